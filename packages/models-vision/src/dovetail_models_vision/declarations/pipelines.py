"""The tasks on pictures and videos; the default models are those that the field uses for them."""

from __future__ import annotations

from dovetail.declarations import PipelineDeclaration

PACKAGE = "dovetail_models_vision"


def _task(
    task: str, auto_models: tuple[str, ...], default_model: str, *, inputs: str = "image"
) -> PipelineDeclaration:
    """The declaration of a task whose module and class are called as the task is."""
    name = task.title().replace("-", "")
    return PipelineDeclaration(
        task,
        pipeline=f"{PACKAGE}.pipelines.{task.replace('-', '_')}:{name}Pipeline",
        auto_models=auto_models,
        inputs=inputs,
        default_model=default_model,
    )


PIPELINES = (
    _task("depth-estimation", ("AutoModelForDepthEstimation",), "Intel/dpt-large@bc15f29"),
    _task(
        "document-question-answering",
        ("AutoModelForDocumentQuestionAnswering", "AutoModelForVision2Seq"),
        "impira/layoutlm-document-qa@beed3c4",
        inputs="multimodal",
    ),
    _task(
        "image-classification",
        ("AutoModelForImageClassification",),
        "google/vit-base-patch16-224@3f49326",
    ),
    _task("image-feature-extraction", ("AutoModel",), "google/vit-base-patch16-224@3f49326"),
    _task(
        "image-segmentation",
        (
            "AutoModelForImageSegmentation",
            "AutoModelForSemanticSegmentation",
            "AutoModelForInstanceSegmentation",
            "AutoModelForUniversalSegmentation",
        ),
        "facebook/detr-resnet-50-panoptic@d53b52a",
        inputs="multimodal",
    ),
    _task(
        "image-text-to-text",
        ("AutoModelForImageTextToText",),
        "Qwen/Qwen2-VL-2B-Instruct",
        inputs="multimodal",
    ),
    _task(
        "image-to-image",
        ("AutoModelForImageToImage",),
        "caidas/swin2SR-classical-sr-x2-64@cee1c92",
    ),
    _task(
        "image-to-text",
        ("AutoModelForVision2Seq",),
        "ydshieh/vit-gpt2-coco-en@5bebf1e",
        inputs="multimodal",
    ),
    _task(
        "mask-generation",
        ("AutoModelForMaskGeneration",),
        "facebook/sam-vit-huge@87aecf0",
        inputs="multimodal",
    ),
    _task(
        "object-detection",
        ("AutoModelForObjectDetection",),
        "facebook/detr-resnet-50@1d5f47b",
        inputs="multimodal",
    ),
    _task(
        "video-classification",
        ("AutoModelForVideoClassification",),
        "MCG-NJU/videomae-base-finetuned-kinetics@488eb9a",
        inputs="video",
    ),
    _task(
        "visual-question-answering",
        ("AutoModelForVisualQuestionAnswering",),
        "dandelin/vilt-b32-finetuned-vqa@d0a1f6a",
        inputs="multimodal",
    ),
    _task(
        "zero-shot-image-classification",
        ("AutoModelForZeroShotImageClassification",),
        "openai/clip-vit-base-patch32@3d74acf",
        inputs="multimodal",
    ),
    _task(
        "zero-shot-object-detection",
        ("AutoModelForZeroShotObjectDetection",),
        "google/owlvit-base-patch32@cbc355f",
        inputs="multimodal",
    ),
)
