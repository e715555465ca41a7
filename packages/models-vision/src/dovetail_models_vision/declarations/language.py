"""Vision-language models: they write about pictures and videos."""

from __future__ import annotations

from typing import Any

from dovetail.declarations import ModelDeclaration
from dovetail_models_vision.declarations.family import PACKAGE, family

BERT_TOKENIZER = "dovetail_models_text.bert.tokenization:BertTokenizer"
CLIP_PROCESSOR = f"{PACKAGE}.clip.image_processing:CLIPImageProcessor"
LLAMA_TOKENIZER = "dovetail_models_text.llama.tokenization:LlamaTokenizer"
WRITERS = ("AutoModelForPreTraining", "AutoModelForVision2Seq", "AutoModelForImageTextToText")
"""The auto classes that pick what writes about pictures."""


def writer(
    model_type: str, prefix: str, auto: tuple[str, ...] = WRITERS, **options: Any
) -> ModelDeclaration:
    """A family with one class, which writes about pictures."""
    name = f"{prefix}ForConditionalGeneration"
    options.setdefault("tokenizer", LLAMA_TOKENIZER)
    options.setdefault("processor", f"{prefix}Processor")
    return family(model_type, prefix, (), auto=dict.fromkeys(auto, name), **options)


def parts(prefix: str, *suffixes: str) -> dict[str, str]:
    """The configs of a family's parts, as further names."""
    return {prefix + suffix: f"configuration:{prefix}{suffix}" for suffix in suffixes}


LANGUAGE: tuple[ModelDeclaration, ...] = (
    family(
        "blip",
        "Blip",
        ("Model",),
        auto={
            "AutoModelForVision2Seq": "BlipForConditionalGeneration",
            "AutoModelForVisualQuestionAnswering": "BlipForQuestionAnswering",
            "AutoModelForZeroShotImageClassification": "BlipModel",
        },
        models=("PreTrainedModel", "ForImageTextRetrieval", "TextModel", "VisionModel"),
        tokenizer=BERT_TOKENIZER,
        image_processor="BlipImageProcessor",
        processor="BlipProcessor",
        aliases=parts("Blip", "TextConfig", "VisionConfig"),
    ),
    family(
        "idefics2",
        "Idefics2",
        ("Model",),
        auto=dict.fromkeys(WRITERS, "Idefics2ForConditionalGeneration"),
        tokenizer=LLAMA_TOKENIZER,
        image_processor="Idefics2ImageProcessor",
        processor="Idefics2Processor",
    ),
    family(
        "idefics3",
        "Idefics3",
        ("Model",),
        auto=dict.fromkeys(WRITERS, "Idefics3ForConditionalGeneration"),
        tokenizer=LLAMA_TOKENIZER,
        image_processor="Idefics3ImageProcessor",
        processor="Idefics3Processor",
    ),
    writer("llava", "Llava", image_processor=CLIP_PROCESSOR),
    writer("llava_next", "LlavaNext", image_processor="LlavaNextImageProcessor"),
    writer(
        "llava_next_video",
        "LlavaNextVideo",
        WRITERS[:2],
        image_processor="LlavaNextVideoImageProcessor",
    ),
    family(
        "mllama",
        "Mllama",
        (),
        auto={
            **dict.fromkeys(WRITERS, "MllamaForConditionalGeneration"),
            "AutoModelForCausalLM": "MllamaForCausalLM",
            "AutoModelForImage": "MllamaVisionModel",
            "AutoModelForTextEncoding": "MllamaTextModel",
        },
        image_processor="MllamaImageProcessor",
        processor="MllamaProcessor",
        tokenizer=LLAMA_TOKENIZER,
        aliases=parts("Mllama", "TextConfig", "VisionConfig"),
    ),
    family(
        "pixtral",
        "PixtralVision",
        ("Model",),
        models=(),
        tokenizer="dovetail.tokenizers:PreTrainedTokenizerFast",
        image_processor="PixtralImageProcessor",
        processor="PixtralProcessor",
        aliases={"PixtralPreTrainedModel": "PixtralPreTrainedModel"},
    ),
    family(
        "qwen2_vl",
        "Qwen2VL",
        ("Model",),
        auto=dict.fromkeys(WRITERS[1:], "Qwen2VLForConditionalGeneration"),
        tokenizer="dovetail_models_text.qwen2.tokenization:Qwen2Tokenizer",
        image_processor="Qwen2VLImageProcessor",
        processor="Qwen2VLProcessor",
    ),
    family(
        "vision-encoder-decoder",
        "VisionEncoderDecoder",
        (),
        auto={"AutoModelForVision2Seq": "VisionEncoderDecoderModel"},
        models=(),
    ),
)
