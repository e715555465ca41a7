"""Vision-language models: they write about pictures and videos."""

from __future__ import annotations

from typing import Any

from dovetail.declarations import ModelDeclaration
from dovetail_models_vision.declarations.family import PACKAGE, family

BERT_TOKENIZER = "dovetail_models_text.bert.tokenization:BertTokenizer"
BLIP_PROCESSOR = f"{PACKAGE}.blip.image_processing:BlipImageProcessor"
CLIP_PROCESSOR = f"{PACKAGE}.clip.image_processing:CLIPImageProcessor"
GPT2_TOKENIZER = "dovetail_models_text.gpt2.tokenization:GPT2Tokenizer"
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


def instructed(model_type: str, prefix: str, image_processor: str) -> ModelDeclaration:
    """A family with a Q-Former that reads instructions."""
    name = f"{prefix}ForConditionalGeneration"
    auto = WRITERS[1:] if model_type == "instructblip" else WRITERS[1:2]
    return family(
        model_type,
        prefix,
        (),
        auto=dict.fromkeys(auto, name),
        models=("PreTrainedModel", "QFormerModel", "VisionModel"),
        tokenizer=GPT2_TOKENIZER,
        image_processor=image_processor,
        processor=f"{prefix}Processor",
        aliases=parts(prefix, "QFormerConfig", "VisionConfig"),
    )


LANGUAGE: tuple[ModelDeclaration, ...] = (
    family(
        "blip",
        "Blip",
        ("Model",),
        auto={
            "AutoModelForImageTextToText": "BlipForConditionalGeneration",
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
        "blip-2",
        "Blip2",
        ("Model",),
        auto={
            "AutoModelForImageTextToText": "Blip2ForConditionalGeneration",
            "AutoModelForVision2Seq": "Blip2ForConditionalGeneration",
            "AutoModelForVisualQuestionAnswering": "Blip2ForConditionalGeneration",
            "AutoModelForZeroShotImageClassification": "Blip2ForImageTextRetrieval",
        },
        models=(
            "PreTrainedModel",
            "QFormerModel",
            "TextModelWithProjection",
            "VisionModel",
            "VisionModelWithProjection",
        ),
        tokenizer=GPT2_TOKENIZER,
        image_processor=BLIP_PROCESSOR,
        processor="Blip2Processor",
        aliases=parts("Blip2", "QFormerConfig", "VisionConfig"),
    ),
    instructed("instructblip", "InstructBlip", BLIP_PROCESSOR),
    instructed("instructblipvideo", "InstructBlipVideo", "InstructBlipVideoImageProcessor"),
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
    writer(
        "paligemma",
        "PaliGemma",
        tokenizer="dovetail_models_text.gemma.tokenization:GemmaTokenizer",
        image_processor=f"{PACKAGE}.siglip.image_processing:SiglipImageProcessor",
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
        auto=dict.fromkeys(WRITERS[1:], "VisionEncoderDecoderModel"),
        models=(),
    ),
)
