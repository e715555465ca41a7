"""The table of the original layouts that this distribution converts; nothing is imported."""

from __future__ import annotations

from dovetail.declarations import ConverterDeclaration


def layout(model_type: str, name: str, target: str, summary: str) -> ConverterDeclaration:
    """The layout `target` of a family's `conversion.py`."""
    module = f"dovetail_models_vision.{model_type}.conversion"
    return ConverterDeclaration(model_type, name, f"{module}:{target}", summary)


CONVERTERS = (
    layout("bit", "timm", "TIMM", "resnetv2_*_bit*.pth"),
    layout("deformable_detr", "sensetime", "DETECTOR", "*deformable_detr*.pth, in all variants"),
    layout("detr", "facebook", "DETECTOR", "detr-r50*.pth: boxes, with a torchvision ResNet"),
    layout("detr", "facebook-panoptic", "SEGMENTER", "detr-r50-panoptic*.pth: boxes and masks"),
    layout("llava", "original", "ORIGINAL", "llava-v1.5-*: the decoder's files with all parts"),
    layout("sam", "facebook", "FACEBOOK", "sam_vit_*.pth: all three parts"),
    layout("segformer", "nvidia", "SEGMENTER", "segformer.b*.pth: encoder and head"),
    layout("segformer", "nvidia-mit", "CLASSIFIER", "mit_b*.pth: encoder and classifier"),
)
