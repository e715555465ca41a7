"""What `dovetail-models-vision` provides: declarations only, nothing is imported."""

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
from dovetail_models_vision.converters import CONVERTERS
from dovetail_models_vision.tasks import PIPELINES

PACKAGE = "dovetail_models_vision"
CONVNEXT_PROCESSOR = f"{PACKAGE}.convnext.image_processing:ConvNextImageProcessor"

PROCESSORS = {
    "blip": ("Blip", False),
    "deformable_detr": ("DeformableDetr", True),
    "dpt": ("DPT", True),
    "owlvit": ("OwlViT", True),
    "rt_detr": ("RTDetr", False),
    "segformer": ("Segformer", True),
    "siglip": ("Siglip", False),
    "videomae": ("VideoMAE", True),
    "vilt": ("Vilt", True),
}
"""Image processors of architectures that are not here: folder to prefix, and whether they were once
called feature extractors."""


@hookimpl
def dovetail_names() -> list[NamesDeclaration]:
    """The image processors that stand alone."""
    names = {}
    for folder, (prefix, was_extractor) in PROCESSORS.items():
        target = f"{PACKAGE}.{folder}.image_processing:{prefix}ImageProcessor"
        names[f"{prefix}ImageProcessor"] = target
        if was_extractor:
            names[f"{prefix}FeatureExtractor"] = target
    return [NamesDeclaration(names)]


@hookimpl
def dovetail_models() -> list[ModelDeclaration]:
    """The architectures of this distribution."""
    return [
        family(
            "clip",
            "CLIP",
            ("Model", "ForImageClassification"),
            auto={"AutoModelForZeroShotImageClassification": "CLIPModel"},
            tokenizer="CLIPTokenizer",
            image_processor="CLIPImageProcessor",
            processor="CLIPProcessor",
            aliases={"CLIPFeatureExtractor": "image_processing:CLIPImageProcessor"},
        ),
        tower(
            "clip_text_model",
            "clip.text:CLIPText",
            ("AutoModel", "AutoModelForTextEncoding"),
            ("ModelWithProjection",),
        ),
        tower("clip_vision_model", "clip.vision:CLIPVision", models=("ModelWithProjection",)),
        family(
            "convnext",
            "ConvNext",
            ("Model", "ForImageClassification"),
            auto={"AutoBackbone": "ConvNextBackbone", "AutoModelForImage": "ConvNextModel"},
            image_processor=CONVNEXT_PROCESSOR,
            aliases={"ConvNextFeatureExtractor": "image_processing:ConvNextImageProcessor"},
        ),
        family(
            "detr",
            "Detr",
            ("Model", "ForObjectDetection"),
            auto={
                "AutoModelForImage": "DetrModel",
                "AutoModelForImageSegmentation": "DetrForSegmentation",
                "AutoModelForUniversalSegmentation": "DetrForSegmentation",
            },
            image_processor="DetrImageProcessor",
            aliases={"DetrFeatureExtractor": "image_processing:DetrImageProcessor"},
        ),
        family(
            "dinov2",
            "Dinov2",
            ("Model", "ForImageClassification"),
            auto={"AutoBackbone": "Dinov2Backbone", "AutoModelForImage": "Dinov2Model"},
            image_processor=f"{PACKAGE}.bit.image_processing:BitImageProcessor",
        ),
        family(
            "rt_detr_resnet",
            "RTDetrResNet",
            (),
            auto={"AutoBackbone": "RTDetrResNetBackbone"},
        ),
        family(
            "sam",
            "Sam",
            ("Model",),
            auto={"AutoModelForMaskGeneration": "SamModel"},
            image_processor="SamImageProcessor",
            processor="SamProcessor",
        ),
        family(
            "layoutlm",
            "LayoutLM",
            ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"),
            auto={
                "AutoModelForDocumentQuestionAnswering": "LayoutLMForQuestionAnswering",
                "AutoModelForPreTraining": "LayoutLMForMaskedLM",
                "AutoModelWithLMHead": "LayoutLMForMaskedLM",
            },
            tokenizer="LayoutLMTokenizer",
        ),
        family(
            "resnet",
            "ResNet",
            ("Model", "ForImageClassification"),
            auto={"AutoBackbone": "ResNetBackbone", "AutoModelForImage": "ResNetModel"},
            image_processor=CONVNEXT_PROCESSOR,
        ),
        family(
            "swin",
            "Swin",
            ("Model", "ForImageClassification", "ForMaskedImageModeling"),
            auto={"AutoBackbone": "SwinBackbone", "AutoModelForImage": "SwinModel"},
            image_processor=f"{PACKAGE}.vit.image_processing:ViTImageProcessor",
        ),
        family(
            "vit",
            "ViT",
            ("Model", "ForImageClassification", "ForMaskedImageModeling"),
            auto={"AutoModelForImage": "ViTModel"},
            image_processor="ViTImageProcessor",
            aliases={"ViTFeatureExtractor": "image_processing:ViTImageProcessor"},
        ),
    ]


@hookimpl
def dovetail_converters() -> list[ConverterDeclaration]:
    """The original layouts from which and to which checkpoints are converted."""
    return list(CONVERTERS)


@hookimpl
def dovetail_pipelines() -> list[PipelineDeclaration]:
    """The tasks of this distribution."""
    return list(PIPELINES)


def family(
    model_type: str, prefix: str, heads: tuple[str, ...], **options: Any
) -> ModelDeclaration:
    """A family of this package, in the folder called as its model type."""
    return declared(model_type, f"{PACKAGE}.{model_type}", prefix, heads, **options)


def tower(
    model_type: str,
    target: str,
    auto: tuple[str, ...] = ("AutoModel",),
    models: tuple[str, ...] = (),
) -> ModelDeclaration:
    """One half of a family, picked by the classes `auto`: `target` is folder, module and prefix."""
    module, _, prefix = target.partition(":")
    where = f"{PACKAGE}.{module}:{prefix}"
    return ModelDeclaration(
        model_type,
        config=f"{PACKAGE}.{module.partition('.')[0]}.configuration:{prefix}Config",
        auto=dict.fromkeys(auto, f"{where}Model"),
        models=tuple(where + suffix for suffix in models),
    )
