"""Backbones and classifiers of pictures and videos."""

from __future__ import annotations

from dovetail_models_vision.declarations.family import PACKAGE, family

CONVNEXT_PROCESSOR = f"{PACKAGE}.convnext.image_processing:ConvNextImageProcessor"

BACKBONES = (
    family(
        "bit",
        "Bit",
        ("Model", "ForImageClassification"),
        auto={"AutoBackbone": "BitBackbone", "AutoModelForImage": "BitModel"},
        image_processor="BitImageProcessor",
    ),
    family(
        "convnext",
        "ConvNext",
        ("Model", "ForImageClassification"),
        auto={"AutoBackbone": "ConvNextBackbone", "AutoModelForImage": "ConvNextModel"},
        image_processor=CONVNEXT_PROCESSOR,
        aliases={"ConvNextFeatureExtractor": "image_processing:ConvNextImageProcessor"},
    ),
    family(
        "dinov2",
        "Dinov2",
        ("Model", "ForImageClassification"),
        auto={"AutoBackbone": "Dinov2Backbone", "AutoModelForImage": "Dinov2Model"},
        image_processor=f"{PACKAGE}.bit.image_processing:BitImageProcessor",
    ),
    family(
        "resnet",
        "ResNet",
        ("Model", "ForImageClassification"),
        auto={"AutoBackbone": "ResNetBackbone", "AutoModelForImage": "ResNetModel"},
        image_processor=CONVNEXT_PROCESSOR,
    ),
    family(
        "rt_detr_resnet",
        "RTDetrResNet",
        (),
        auto={"AutoBackbone": "RTDetrResNetBackbone"},
    ),
    family(
        "swin",
        "Swin",
        ("Model", "ForImageClassification", "ForMaskedImageModeling"),
        auto={"AutoBackbone": "SwinBackbone", "AutoModelForImage": "SwinModel"},
        image_processor=f"{PACKAGE}.vit.image_processing:ViTImageProcessor",
    ),
    family(
        "videomae",
        "VideoMAE",
        ("Model", "ForPreTraining", "ForVideoClassification"),
        auto={"AutoModelForImage": "VideoMAEModel"},
        image_processor="VideoMAEImageProcessor",
        aliases={"VideoMAEFeatureExtractor": "image_processing:VideoMAEImageProcessor"},
    ),
    family(
        "vit",
        "ViT",
        ("Model", "ForImageClassification", "ForMaskedImageModeling"),
        auto={"AutoModelForImage": "ViTModel"},
        image_processor="ViTImageProcessor",
        aliases={"ViTFeatureExtractor": "image_processing:ViTImageProcessor"},
    ),
)
