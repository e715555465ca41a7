"""Every declared converter leads to its original and back without losing a bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision import (
    test_idefics2,
    test_idefics3,
    test_paligemma,
    test_pixtral,
    vision_language,
)
from tests.models_vision.detectors import OWN_BACKBONE, STAGES, resnet
from tests.models_vision.test_blip_conversion import CASES as BLIPS
from tests.models_vision.test_image_text_conversion import CASES as TOWERS

import dovetail
from dovetail import registry
from dovetail.testing import seeded
from dovetail.testing.converting import check_layout

DETR = {
    **OWN_BACKBONE,
    "backbone_config": resnet("stage4"),
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "num_queries": 5,
    "num_labels": 7,
}
DEFORMABLE = {
    **DETR,
    "backbone_config": {**resnet(*STAGES[1:]), "layer_type": "bottleneck"},
    "d_model": 64,
    "encoder_n_points": 2,
    "decoder_n_points": 3,
}
BOTTLENECK = {**resnet(*STAGES), "layer_type": "bottleneck", "depths": [1, 2, 1, 1]}
RT_DETR = {
    "backbone_config": resnet(*STAGES[1:]) | {"model_type": "rt_detr_resnet"},
    "encoder_in_channels": [12, 16, 24],
    "encoder_hidden_dim": 32,
    "encoder_ffn_dim": 37,
    "d_model": 48,
    "hidden_expansion": 0.5,
    "decoder_in_channels": [32, 32, 32],
    "decoder_layers": 2,
    "decoder_ffn_dim": 41,
    "num_labels": 7,
}
SAM = {
    "vision_config": {
        "hidden_size": 24,
        "output_channels": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 8,
        "num_pos_feats": 16,
        "mlp_dim": 37,
        "global_attn_indexes": [1],
        "window_size": 3,
    },
    "prompt_encoder_config": {
        "hidden_size": 32,
        "image_size": 64,
        "patch_size": 8,
        "mask_input_channels": 12,
    },
    "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 41, "iou_head_hidden_dim": 20},
}
SEGFORMER = {
    "depths": [1, 2, 1, 1],
    "hidden_sizes": [8, 16, 40, 64],
    "mlp_ratios": [2, 3, 2, 2],
    "decoder_hidden_size": 12,
    "num_labels": 7,
}
BIT = {
    "embedding_size": 8,
    "hidden_sizes": [16, 32],
    "depths": [2, 1],
    "num_groups": 4,
    "num_labels": 7,
}
DPT = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "image_size": 64,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [8, 8, 12, 12],
    "fusion_hidden_size": 8,
    "num_labels": 7,
}
SMALL_BIT = {
    **BIT,
    "hidden_sizes": [8, 8, 24],
    "depths": [1, 2, 1],
    "layer_type": "bottleneck",
    "global_padding": "same",
    "embedding_dynamic_padding": True,
    "out_features": STAGES[:3],
}
del SMALL_BIT["num_labels"]
HYBRID = {
    **DPT,
    "is_hybrid": True,
    "reassemble_factors": [1, 1, 1, 0.5],
    "backbone_featmap_shape": [1, 24, 4, 4],
    "backbone_config": SMALL_BIT,
}
RESNET = {**BOTTLENECK, "num_labels": 7}
del RESNET["model_type"], RESNET["out_features"]
CONVNEXT = {"hidden_sizes": [8, 16, 24], "depths": [1, 2, 1], "num_stages": 3, "num_labels": 7}
SWIN = {
    "image_size": 64,
    "embed_dim": 8,
    "depths": [2, 1],
    "num_heads": [2, 4],
    "window_size": 2,
    "mlp_ratio": 3.0,
    "use_absolute_embeddings": True,
    "num_labels": 7,
}
MASKS = {
    "feature_size": 32,
    "mask_feature_size": 12,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 20,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "dim_feedforward": 24,
    "num_queries": 6,
    "num_labels": 7,
}
SMALL_SWIN = {
    **SWIN,
    "model_type": "swin",
    "depths": [1, 2, 1, 1],
    "num_heads": [2, 2, 4, 4],
    "out_features": STAGES,
}
del SMALL_SWIN["num_labels"]
SWIN2SR = {"embed_dim": 16, "depths": [2, 1], "num_heads": [2, 2], "upscale": 4}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bit/timm": ("BitForImageClassification", BIT, {"num_groups": 4}),
    "deformable_detr/sensetime": ("DeformableDetrForObjectDetection", DEFORMABLE, {}),
    "detr/facebook": ("DetrForObjectDetection", DETR, {}),
    "detr/facebook-panoptic": (
        "DetrForSegmentation",
        DETR | {"backbone_config": BOTTLENECK},
        {},
    ),
    "dpt/intel": ("DPTForDepthEstimation", HYBRID, {"backbone_config": SMALL_BIT}),
    "dpt/intel-ade20k": (
        "DPTForSemanticSegmentation",
        DPT | {"use_batch_norm_in_fusion_residual": True},
        {},
    ),
    "rt_detr/lyuwenyu": (
        "RTDetrForObjectDetection",
        RT_DETR | {"num_queries": 5},
        {"num_queries": 5},
    ),
    "sam/facebook": ("SamModel", SAM, {}),
    "swin2sr/mv-lab": (
        "Swin2SRForImageSuperResolution",
        SWIN2SR | {"upsampler": "pixelshuffle_aux", "resi_connection": "3conv"},
        {},
    ),
    "mask2former/detectron2": (
        "Mask2FormerForUniversalSegmentation",
        MASKS | {"backbone_config": SMALL_SWIN, "hidden_dim": 16},
        {},
    ),
    "resnet/timm": ("ResNetForImageClassification", RESNET, {}),
    "convnext/facebook": ("ConvNextForImageClassification", CONVNEXT, {}),
    "swin/microsoft": ("SwinForImageClassification", SWIN, {}),
    "segformer/nvidia": ("SegformerForSemanticSegmentation", SEGFORMER, {}),
    "segformer/nvidia-mit": ("SegformerForImageClassification", SEGFORMER, {}),
}
LLAVA = {
    **vision_language.SIZES,
    "text_config": {**vision_language.TEXT, "tie_word_embeddings": False},
    "vision_config": {**vision_language.VISION, "hidden_size": 128, "projection_dim": 768},
    "image_seq_length": 4,
}
IDEFICS2 = {**test_idefics2.SIZES, "image_token_id": 97}
IDEFICS3 = {**test_idefics3.SIZES, "image_token_id": 96, "scale_factor": 4}
VIDEOMAE = {
    "hidden_size": 64,
    "num_attention_heads": 1,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "patch_size": 8,
    "tubelet_size": 4,
}
VIDEO_CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "videomae/mcg-nju": (
        "VideoMAEForPreTraining",
        VIDEOMAE
        | {
            "use_mean_pooling": False,
            "decoder_hidden_size": 64,
            "decoder_num_attention_heads": 1,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 29,
        },
        {},
    ),
    "videomae/mcg-nju-finetuned": (
        "VideoMAEForVideoClassification",
        VIDEOMAE | {"num_labels": 7},
        {},
    ),
}
PALIGEMMA = {
    **test_paligemma.SIZES,
    "text_config": {
        **test_paligemma.SIZES["text_config"],
        "head_dim": 12,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
    },
    "vocab_size": 99,
}
PIXTRAL = {
    "text_config": {
        **{name: size for name, size in vision_language.TEXT.items() if name != "pad_token_id"},
        "model_type": "mistral",
        "sliding_window": None,
    },
    "vision_config": test_pixtral.SIZES | {"model_type": "pixtral"},
    "image_token_index": vision_language.IMAGE,
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
    "image_seq_length": 1,
}
WRITERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "idefics2/original": ("Idefics2ForConditionalGeneration", IDEFICS2, {}),
    "idefics3/original": ("Idefics3ForConditionalGeneration", IDEFICS3, {}),
    "paligemma/big-vision": (
        "PaliGemmaForConditionalGeneration",
        PALIGEMMA,
        {"image_token_index": vision_language.IMAGE},
    ),
    "llava/mistral": ("LlavaForConditionalGeneration", PIXTRAL, {}),
    "llava/original": (
        "LlavaForConditionalGeneration",
        LLAVA,
        {"image_token_index": vision_language.IMAGE},
    ),
    "llava_next/original": (
        "LlavaNextForConditionalGeneration",
        LLAVA | {"image_grid_pinpoints": [[8, 16], [16, 16]]},
        {"image_token_index": vision_language.IMAGE},
    ),
    "llava_next_video/original": (
        "LlavaNextVideoForConditionalGeneration",
        LLAVA | {"video_token_index": 3, "video_seq_length": 1, "spatial_pool_mode": "max"},
        {"image_token_index": vision_language.IMAGE, "video_token_index": 3},
    ),
}
"""Models that write about pictures: their configs must come back as they were."""


ELSEWHERE = ("mllama/meta", "omdet-turbo/om-ai-lab")
"""Those with a test file of their own."""


def test_every_converter_of_the_package_has_a_case():
    declared = {
        key
        for key in registry.converters().names()
        if registry.converters().get(key).converter.startswith("dovetail_models_vision")
    }
    assert declared == {*CASES, *VIDEO_CASES, *WRITERS, *BLIPS, *ELSEWHERE, *TOWERS}


@pytest.mark.parametrize("key", CASES)
def test_original_and_back(key: str, tmp_path: Path):
    architecture, sizes, lost = CASES[key]
    model = tiny(architecture, sizes)
    check_layout(key, model, tmp_path, config=lost)
    twin = type(model).from_pretrained(tmp_path / "back").eval()
    pixels = torch.from_numpy(seeded.noise("pixels", (2, 3, 64, 64)))
    with torch.no_grad():
        torch.testing.assert_close(twin(pixels)[0], model(pixels)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("key", {**VIDEO_CASES, **WRITERS})
def test_original_and_back_of_a_writer(key: str, tmp_path: Path):
    architecture, sizes, lost = {**VIDEO_CASES, **WRITERS}[key]
    model = tiny(architecture, sizes)
    check_layout(key, model, tmp_path, config=lost)
    twin = type(model).from_pretrained(tmp_path / "back").config.to_dict()
    assert twin == {**model.config.to_dict(), "architectures": [architecture]} | {
        name: twin[name] for name in ("_name_or_path", "torch_dtype", "transformers_version")
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"with_box_refine": True},
        {"with_box_refine": True, "two_stage": True},
        {"num_feature_levels": 1, "backbone_config": BOTTLENECK | {"out_features": ["stage4"]}},
    ],
    ids=["refined", "two-stages", "one-level"],
)
def test_variants_of_deformable_detr_are_told_apart(changes: dict[str, Any], tmp_path: Path):
    model = tiny("DeformableDetrForObjectDetection", DEFORMABLE | changes)
    check_layout("deformable_detr/sensetime", model, tmp_path)
    config = dovetail.AutoConfig.from_pretrained(tmp_path / "back")
    assert {name: getattr(config, name) for name in changes if name != "backbone_config"} == {
        name: value for name, value in changes.items() if name != "backbone_config"
    }


@pytest.mark.parametrize(
    "changes",
    [
        {
            "backbone_config": BOTTLENECK
            | {"model_type": "rt_detr_resnet"}
            | {"out_features": STAGES[1:]},
            "num_denoising": 0,
        },
        {"learn_initial_query": True, "num_feature_levels": 4, "encode_proj_layers": [1, 2]},
    ],
    ids=["bottleneck", "learned"],
)
def test_variants_of_rt_detr_are_told_apart(changes: dict[str, Any], tmp_path: Path):
    model = tiny("RTDetrForObjectDetection", RT_DETR | changes)
    check_layout("rt_detr/lyuwenyu", model, tmp_path)


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls: Callable[..., Any] = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()  # type: ignore[attr-defined]
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(seeded.weight(name, tensor.shape)))
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {"upscale": 3},
        {"upsampler": "pixelshuffledirect"},
        {"upsampler": "nearest+conv"},
        {"upsampler": "", "upscale": 1},
    ],
    ids=["three", "direct", "real", "denoised"],
)
def test_variants_of_swin2sr_are_told_apart(changes: dict[str, Any], tmp_path: Path):
    model = tiny("Swin2SRForImageSuperResolution", SWIN2SR | {"qkv_bias": False} | changes)
    check_layout("swin2sr/mv-lab", model, tmp_path)
    config = dovetail.AutoConfig.from_pretrained(tmp_path / "back")
    names = {**SWIN2SR, **changes}
    assert {name: getattr(config, name) for name in names} == names


def test_a_mask2former_on_a_resnet_comes_back(tmp_path: Path):
    sizes = MASKS | {"backbone_config": BOTTLENECK, "enforce_input_projection": True}
    model = tiny("Mask2FormerForUniversalSegmentation", sizes)
    check_layout("mask2former/detectron2", model, tmp_path)
    config = dovetail.AutoConfig.from_pretrained(tmp_path / "back")
    assert config.backbone_config.depths == BOTTLENECK["depths"]
    assert config.enforce_input_projection
