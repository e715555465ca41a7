"""A value for each pixel: segmentation, depth, super-resolution."""

from __future__ import annotations

from dovetail_models_vision.declarations.family import family

SEGMENTERS = (
    family(
        "dpt",
        "DPT",
        ("Model", "ForDepthEstimation", "ForSemanticSegmentation"),
        auto={"AutoModelForImage": "DPTModel"},
        image_processor="DPTImageProcessor",
        aliases={"DPTFeatureExtractor": "image_processing:DPTImageProcessor"},
    ),
    family(
        "mask2former",
        "Mask2Former",
        ("Model", "ForUniversalSegmentation"),
        image_processor="Mask2FormerImageProcessor",
    ),
    family(
        "segformer",
        "Segformer",
        ("Model", "ForImageClassification", "ForSemanticSegmentation"),
        auto={"AutoModelForImage": "SegformerModel"},
        models=("PreTrainedModel", "DecodeHead"),
        image_processor="SegformerImageProcessor",
        aliases={"SegformerFeatureExtractor": "image_processing:SegformerImageProcessor"},
    ),
    family(
        "swin2sr",
        "Swin2SR",
        ("Model",),
        auto={
            "AutoModelForImage": "Swin2SRModel",
            "AutoModelForImageToImage": "Swin2SRForImageSuperResolution",
        },
        image_processor="Swin2SRImageProcessor",
    ),
)
