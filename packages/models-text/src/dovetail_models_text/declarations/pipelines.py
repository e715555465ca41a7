"""The text tasks; the default models are those that the field uses for them."""

from __future__ import annotations

from dovetail.declarations import PipelineDeclaration
from dovetail_models_text.declarations.family import PACKAGE


def _task(
    task: str,
    auto_model: str,
    default_model: str,
    *,
    module: str | None = None,
    inputs: str = "text",
    aliases: tuple[str, ...] = (),
) -> PipelineDeclaration:
    """The declaration of a task whose class is called as the task is: ``fill-mask``,
    `FillMaskPipeline`."""
    name = task.title().replace("-", "")
    return PipelineDeclaration(
        task,
        pipeline=f"{PACKAGE}.pipelines.{module or task.replace('-', '_')}:{name}Pipeline",
        auto_models=(auto_model,),
        inputs=inputs,
        default_model=default_model,
        aliases=aliases,
    )


PIPELINES = (
    _task(
        "feature-extraction",
        "AutoModel",
        "distilbert/distilbert-base-cased@6ea8117",
        inputs="multimodal",
    ),
    _task("fill-mask", "AutoModelForMaskedLM", "distilbert/distilroberta-base@fb53ab8"),
    _task(
        "question-answering",
        "AutoModelForQuestionAnswering",
        "distilbert/distilbert-base-cased-distilled-squad@564e9b5",
    ),
    _task(
        "summarization",
        "AutoModelForSeq2SeqLM",
        "sshleifer/distilbart-cnn-12-6@a4f8f3e",
        module="text2text_generation",
    ),
    _task(
        "text-classification",
        "AutoModelForSequenceClassification",
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english@714eb0f",
        aliases=("sentiment-analysis",),
    ),
    _task("text-generation", "AutoModelForCausalLM", "openai-community/gpt2@607a30d"),
    _task("text2text-generation", "AutoModelForSeq2SeqLM", "google-t5/t5-base@a9723ea"),
    _task(
        "token-classification",
        "AutoModelForTokenClassification",
        "dbmdz/bert-large-cased-finetuned-conll03-english@4c53496",
        aliases=("ner",),
    ),
    _task(
        "translation",
        "AutoModelForSeq2SeqLM",
        "google-t5/t5-base@a9723ea",
        module="text2text_generation",
    ),
    _task(
        "zero-shot-classification",
        "AutoModelForSequenceClassification",
        "facebook/bart-large-mnli@d7645e1",
    ),
)
