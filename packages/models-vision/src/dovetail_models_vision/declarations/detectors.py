"""Detection, segmentation and depth."""

from __future__ import annotations

from dovetail_models_vision.declarations.family import family

DETECTORS = (
    family(
        "deformable_detr",
        "DeformableDetr",
        ("Model", "ForObjectDetection"),
        auto={"AutoModelForImage": "DeformableDetrModel"},
        image_processor="DeformableDetrImageProcessor",
        aliases={"DeformableDetrFeatureExtractor": "image_processing:DeformableDetrImageProcessor"},
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
        "omdet-turbo",
        "OmDetTurbo",
        ("ForObjectDetection",),
        auto={
            "AutoModel": "OmDetTurboForObjectDetection",
            "AutoModelForZeroShotObjectDetection": "OmDetTurboForObjectDetection",
        },
        processor="OmDetTurboProcessor",
    ),
    family(
        "rt_detr",
        "RTDetr",
        ("Model", "ForObjectDetection"),
        image_processor="RTDetrImageProcessor",
    ),
    family(
        "sam",
        "Sam",
        ("Model",),
        auto={"AutoModelForMaskGeneration": "SamModel"},
        image_processor="SamImageProcessor",
        processor="SamProcessor",
        aliases={
            f"Sam{part}Config": f"configuration:Sam{part}Config"
            for part in ("MaskDecoder", "PromptEncoder", "Vision")
        },
    ),
)
