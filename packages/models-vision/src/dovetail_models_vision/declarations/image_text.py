"""Pictures beside texts: contrastive pairs, documents, questions."""

from __future__ import annotations

from dovetail_models_vision.declarations.family import PACKAGE, family, tower

IMAGE_TEXT = (
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
        "owlvit",
        "OwlViT",
        ("Model",),
        auto={"AutoModelForZeroShotObjectDetection": "OwlViTForObjectDetection"},
        tokenizer=f"{PACKAGE}.clip.tokenization:CLIPTokenizer",
        image_processor="OwlViTImageProcessor",
        processor="OwlViTProcessor",
        aliases={"OwlViTFeatureExtractor": "image_processing:OwlViTImageProcessor"},
    ),
    tower("owlvit_text_model", "owlvit.text:OwlViTText"),
    tower("owlvit_vision_model", "owlvit.vision:OwlViTVision"),
    family(
        "siglip",
        "Siglip",
        ("Model", "ForImageClassification"),
        auto={"AutoModelForZeroShotImageClassification": "SiglipModel"},
        tokenizer="SiglipTokenizer",
        image_processor="SiglipImageProcessor",
        processor="SiglipProcessor",
    ),
    tower("siglip_text_model", "siglip.text:SiglipText"),
    tower("siglip_vision_model", "siglip.vision:SiglipVision", ("AutoModel", "AutoModelForImage")),
    family(
        "vilt",
        "Vilt",
        ("Model", "ForMaskedLM", "ForTokenClassification"),
        auto={"AutoModelForVisualQuestionAnswering": "ViltForQuestionAnswering"},
        models=("PreTrainedModel", "ForImageAndTextRetrieval", "ForImagesAndTextClassification"),
        tokenizer="dovetail_models_text.bert.tokenization:BertTokenizer",
        image_processor="ViltImageProcessor",
        processor="ViltProcessor",
        aliases={"ViltFeatureExtractor": "image_processing:ViltImageProcessor"},
    ),
)
