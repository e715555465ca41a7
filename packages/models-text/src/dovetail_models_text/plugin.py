"""What `dovetail-models-text` provides: declarations only, nothing is imported."""

from __future__ import annotations

from typing import Any

from dovetail import hookimpl
from dovetail.declarations import (
    ConverterDeclaration,
    ModelDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
)
from dovetail.declarations import family as declared

PACKAGE = "dovetail_models_text"
CLASSIFIERS = ("ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification")
TEXT_CLASSIFIERS = CLASSIFIERS[1:]
LLAMA_TOKENIZER = f"{PACKAGE}.llama.tokenization:LlamaTokenizer"


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [
        family(
            "bart",
            "Bart",
            (
                "Model",
                "ForCausalLM",
                "ForQuestionAnswering",
                "ForSequenceClassification",
            ),
            auto={
                "AutoModelForMaskedLM": "BartForConditionalGeneration",
                "AutoModelForPreTraining": "BartForConditionalGeneration",
                "AutoModelForSeq2SeqLM": "BartForConditionalGeneration",
                "AutoModelWithLMHead": "BartForConditionalGeneration",
            },
            tokenizer="BartTokenizer",
            aliases={
                "BartPretrainedModel": "BartPreTrainedModel",
                "PretrainedBartModel": "BartPreTrainedModel",
            },
        ),
        family(
            "bert",
            "Bert",
            (
                "Model",
                "ForMaskedLM",
                "ForMultipleChoice",
                "ForNextSentencePrediction",
                "ForPreTraining",
                *CLASSIFIERS,
            ),
            auto={
                "AutoModelForCausalLM": "BertLMHeadModel",
                "AutoModelForTextEncoding": "BertModel",
                "AutoModelWithLMHead": "BertForMaskedLM",
            },
            models=("PreTrainedModel", "Layer"),
            tokenizer="BertTokenizer",
            aliases={
                "BasicTokenizer": "tokenization:BasicTokenizer",
                "WordpieceTokenizer": "tokenization:WordpieceTokenizer",
            },
        ),
        family(
            "bloom",
            "Bloom",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            auto={
                "AutoModelForPreTraining": "BloomForCausalLM",
                "AutoModelWithLMHead": "BloomForCausalLM",
            },
            tokenizer="BloomTokenizerFast",
        ),
        family(
            "codegen",
            "CodeGen",
            ("Model", "ForCausalLM"),
            auto={"AutoModelWithLMHead": "CodeGenForCausalLM"},
            tokenizer="CodeGenTokenizer",
        ),
        family(
            "cohere",
            "Cohere",
            ("Model", "ForCausalLM"),
            tokenizer="CohereTokenizerFast",
        ),
        family(
            "falcon",
            "Falcon",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            tokenizer="dovetail.tokenizers:PreTrainedTokenizerFast",
        ),
        family(
            "gemma",
            "Gemma",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer="GemmaTokenizer",
        ),
        family(
            "gemma2",
            "Gemma2",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=f"{PACKAGE}.gemma.tokenization:GemmaTokenizer",
        ),
        family(
            "gpt2",
            "GPT2",
            ("Model", *CLASSIFIERS),
            auto={
                "AutoModelForCausalLM": "GPT2LMHeadModel",
                "AutoModelForPreTraining": "GPT2LMHeadModel",
                "AutoModelWithLMHead": "GPT2LMHeadModel",
            },
            models=("PreTrainedModel", "DoubleHeadsModel"),
            tokenizer="GPT2Tokenizer",
        ),
        family(
            "gpt_bigcode",
            "GPTBigCode",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            auto={
                "AutoModelForPreTraining": "GPTBigCodeForCausalLM",
                "AutoModelWithLMHead": "GPTBigCodeForCausalLM",
            },
            tokenizer=f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer",
        ),
        family(
            "gpt_neo",
            "GPTNeo",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            auto={"AutoModelWithLMHead": "GPTNeoForCausalLM"},
            tokenizer=f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer",
        ),
        family(
            "gpt_neox",
            "GPTNeoX",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            auto={"AutoModelWithLMHead": "GPTNeoXForCausalLM"},
            tokenizer="GPTNeoXTokenizerFast",
        ),
        family(
            "gptj",
            "GPTJ",
            ("Model", "ForCausalLM", *CLASSIFIERS[:2]),
            auto={"AutoModelWithLMHead": "GPTJForCausalLM"},
            tokenizer=f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer",
        ),
        family(
            "jamba",
            "Jamba",
            ("Model", "ForCausalLM", "ForSequenceClassification"),
            tokenizer=LLAMA_TOKENIZER,
        ),
        family(
            "llama",
            "Llama",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            tokenizer="LlamaTokenizer",
        ),
        family(
            "m2m_100",
            "M2M100",
            ("Model",),
            auto={
                "AutoModelForSeq2SeqLM": "M2M100ForConditionalGeneration",
                "AutoModelWithLMHead": "M2M100ForConditionalGeneration",
            },
            tokenizer="M2M100Tokenizer",
        ),
        family(
            "mamba",
            "Mamba",
            ("Model", "ForCausalLM"),
            auto={
                "AutoModelForPreTraining": "MambaForCausalLM",
                "AutoModelWithLMHead": "MambaForCausalLM",
            },
            tokenizer=f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast",
        ),
        family(
            "mamba2",
            "Mamba2",
            ("Model", "ForCausalLM"),
            auto={
                "AutoModelForPreTraining": "Mamba2ForCausalLM",
                "AutoModelWithLMHead": "Mamba2ForCausalLM",
            },
            tokenizer=f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast",
        ),
        family(
            "marian",
            "Marian",
            ("Model", "ForCausalLM"),
            auto={
                "AutoModelForSeq2SeqLM": "MarianMTModel",
                "AutoModelWithLMHead": "MarianMTModel",
            },
            tokenizer="MarianTokenizer",
        ),
        family(
            "mbart",
            "MBart",
            ("Model", "ForCausalLM", "ForQuestionAnswering", "ForSequenceClassification"),
            auto={
                "AutoModelForMaskedLM": "MBartForConditionalGeneration",
                "AutoModelForSeq2SeqLM": "MBartForConditionalGeneration",
            },
            tokenizer="MBartTokenizer",
        ),
        family(
            "mistral",
            "Mistral",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=LLAMA_TOKENIZER,
        ),
        family(
            "mixtral",
            "Mixtral",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=LLAMA_TOKENIZER,
        ),
        family(
            "mpt",
            "Mpt",
            ("Model", "ForCausalLM", *CLASSIFIERS),
            auto={
                "AutoModelForPreTraining": "MptForCausalLM",
                "AutoModelWithLMHead": "MptForCausalLM",
            },
            tokenizer=f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast",
        ),
        family(
            "opt",
            "OPT",
            ("Model", "ForCausalLM", *CLASSIFIERS[:2]),
            tokenizer=f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer",
        ),
        family(
            "pegasus",
            "Pegasus",
            ("Model", "ForCausalLM"),
            auto={"AutoModelForSeq2SeqLM": "PegasusForConditionalGeneration"},
            tokenizer="PegasusTokenizer",
        ),
        family(
            "phi3",
            "Phi3",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=LLAMA_TOKENIZER,
        ),
        family(
            "qwen2",
            "Qwen2",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer="Qwen2Tokenizer",
        ),
        family(
            "qwen2_moe",
            "Qwen2Moe",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=f"{PACKAGE}.qwen2.tokenization:Qwen2Tokenizer",
        ),
        family(
            "recurrent_gemma",
            "RecurrentGemma",
            ("Model", "ForCausalLM"),
            tokenizer=f"{PACKAGE}.gemma.tokenization:GemmaTokenizer",
        ),
        family(
            "rwkv",
            "Rwkv",
            ("Model", "ForCausalLM"),
            auto={
                "AutoModelForPreTraining": "RwkvForCausalLM",
                "AutoModelWithLMHead": "RwkvForCausalLM",
            },
            tokenizer=f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast",
        ),
        family(
            "stablelm",
            "StableLm",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=f"{PACKAGE}.gpt_neox.tokenization:GPTNeoXTokenizerFast",
        ),
        family(
            "starcoder2",
            "Starcoder2",
            ("Model", "ForCausalLM", *TEXT_CLASSIFIERS),
            tokenizer=f"{PACKAGE}.gpt2.tokenization:GPT2Tokenizer",
        ),
        family(
            "t5",
            "T5",
            ("Model", *CLASSIFIERS),
            auto={
                "AutoModelForPreTraining": "T5ForConditionalGeneration",
                "AutoModelForSeq2SeqLM": "T5ForConditionalGeneration",
                "AutoModelForTextEncoding": "T5EncoderModel",
                "AutoModelWithLMHead": "T5ForConditionalGeneration",
            },
            models=("PreTrainedModel",),
            tokenizer="T5Tokenizer",
        ),
    ]


def family(
    model_type: str, prefix: str, heads: tuple[str, ...], **options: Any
) -> ModelDeclaration:
    """The declaration of the folder `model_type` of this package."""
    return declared(model_type, f"{PACKAGE}.{model_type}", prefix, heads, **options)


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The text tasks; the default models are those that the field uses for them."""
    return [
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
    ]


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


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return [
        _layout("bart/fairseq", "FAIRSEQ", "fairseq's model.pt"),
        _layout("bart/fairseq-mnli", "MNLI", "fairseq's model.pt, with a head for MNLI"),
        _layout("bert/keras", "KERAS", "TensorFlow Model Garden's checkpoint of the encoder"),
        _layout("bert/token-dropping", "TOKEN_DROPPING", "TensorFlow Model Garden's checkpoint"),
        _layout("bert/tensorflow", "TENSORFLOW", "Google's TensorFlow checkpoint"),
        _layout("bloom/megatron", "MEGATRON", "Megatron-DeepSpeed's layer_NN-model_RR files"),
        _layout("falcon/refinedweb", "REFINED_WEB", "the Hub's files with a RefinedWeb config"),
        _layout("gemma/checkpoint", "SINGLE", "PyTorch release, one .ckpt"),
        _layout("gemma/sharded", "SHARDED", "PyTorch release, .bin files with an index"),
        _layout("gemma2/checkpoint", "SINGLE", "PyTorch release, one .ckpt"),
        _layout("gemma2/sharded", "SHARDED", "PyTorch release, .bin files with an index"),
        _layout("gpt2/openai", "OPENAI", "OpenAI's TensorFlow checkpoint and hparams.json"),
        _layout("gpt_neo/mesh", "MESH", "EleutherAI's Mesh TensorFlow checkpoint"),
        _layout("llama/meta", "META", "Meta's consolidated.NN.pth and params.json"),
        _layout("m2m_100/fairseq", "FAIRSEQ", "fairseq's model.pt"),
        _layout("mamba/state-spaces", "STATE_SPACES", "pytorch_model.bin of its authors"),
        _layout("mamba2/codestral", "CODESTRAL", "consolidated.safetensors and params.json"),
        _layout("mamba2/state-spaces", "STATE_SPACES", "pytorch_model.bin of its authors"),
        _layout("marian/npz", "NPZ", "Marian's .npz archive"),
        _layout("mbart/fairseq", "FAIRSEQ", "fairseq's model.pt"),
        _layout("mistral/consolidated", "CONSOLIDATED", "consolidated.safetensors and params.json"),
        _layout("mistral/shards", "SHARDS", "consolidated.NN.pth and params.json"),
        _layout("mixtral/blocks", "BLOCK_FILES", "consolidated.NN.pt with fused experts"),
        _layout("mixtral/consolidated", "CONSOLIDATED", "consolidated.safetensors and params.json"),
        _layout("opt/metaseq", "METASEQ", "metaseq's restored.pt"),
        _layout("opt/metaseq-fused", "FUSED", "metaseq's restored.pt with fused projections"),
        _layout("pegasus/tensorflow", "TENSORFLOW", "Google's TensorFlow checkpoint"),
        _layout("recurrent_gemma/griffin", "GRIFFIN", "Google's PyTorch release, one .pt"),
        _layout("rwkv/blinkdl", "BLINKDL", "BlinkDL's .pth"),
        _layout("t5/mesh", "MESH", "Google's Mesh TensorFlow checkpoint"),
    ]


def _layout(key: str, constant: str, summary: str) -> ConverterDeclaration:
    model_type, _, name = key.partition("/")
    target = f"{PACKAGE}.{model_type}.conversion:{constant}"
    return ConverterDeclaration(model_type, name, target, summary)


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """Further public names."""
    return [
        NamesDeclaration(
            {
                "NerPipeline": f"{PACKAGE}.pipelines.token_classification:NerPipeline",
                "SquadExample": f"{PACKAGE}.pipelines.squad:SquadExample",
            }
        )
    ]
