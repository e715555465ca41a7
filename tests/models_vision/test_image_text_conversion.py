"""Encoders of images, and of images with texts, convert to their originals and back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision.test_vilt import SIZES as VILT
from torch import nn

import dovetail
from dovetail.converting import convert_checkpoint
from dovetail.errors import CheckpointError
from dovetail.testing import seeded
from dovetail.testing.converting import assert_same_tensors, check_layout, read_hub

LAYERS = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
TOWER = LAYERS | {"image_size": 64, "patch_size": 16}
TEXT = {
    "vocab_size": 99,
    "max_position_embeddings": 12,
    "num_hidden_layers": 3,
    "hidden_size": 64,
    "num_attention_heads": 1,
    "intermediate_size": 41,
    "projection_dim": 24,
    "bos_token_id": 97,
    "eos_token_id": 98,
}
CLIP = {
    "text_config": TEXT,
    "vision_config": {**TOWER, "intermediate_size": 37, "projection_dim": 24},
    "projection_dim": 24,
}
SIGLIP = {
    "text_config": {**LAYERS, "intermediate_size": 41, "vocab_size": 99, "num_attention_heads": 4},
    "vision_config": {**TOWER, "intermediate_size": 37, "num_attention_heads": 4},
}
OWL_TEXT, OWL_VISION = (
    {name: size for name, size in CLIP[half].items() if name != "projection_dim"}  # type: ignore[attr-defined]
    for half in ("text_config", "vision_config")
)
VILT_SIZES = {**VILT, **TOWER, "num_attention_heads": 2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "clip/openai": ("CLIPModel", CLIP),
    "dinov2/facebook": ("Dinov2Model", TOWER | {"mlp_ratio": 3}),
    "owlvit/scenic": (
        "OwlViTForObjectDetection",
        CLIP | {"text_config": OWL_TEXT, "vision_config": OWL_VISION, "projection_dim": 64},
    ),
    "siglip/big-vision": ("SiglipModel", SIGLIP),
    "vilt/dandelin": ("ViltForMaskedLM", VILT_SIZES),
    "vilt/dandelin-irtr": ("ViltForImageAndTextRetrieval", VILT_SIZES),
    "vilt/dandelin-nlvr2": (
        "ViltForImagesAndTextClassification",
        VILT_SIZES | {"num_images": 2, "modality_type_vocab_size": 3},
    ),
    "vilt/dandelin-vqa": ("ViltForQuestionAnswering", VILT_SIZES | {"num_labels": 7}),
    "vit/timm": (
        "ViTForImageClassification",
        TOWER | {"intermediate_size": 37, "num_labels": 7, "layer_norm_eps": 1e-6},
    ),
}


def tiny(architecture: str, sizes: dict[str, Any]) -> Any:
    """A small model whose tensors are all different and none trivial."""
    cls = getattr(dovetail, architecture)
    model = cls(cls.config_class(**sizes)).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(seeded.weight(name, tensor.shape)))
    return model


def inputs(key: str) -> dict[str, Any]:
    """An image, two for a text that compares them, and a text where the model reads one."""
    pixels = torch.from_numpy(seeded.noise("pixels", (2, 3, 64, 64)))
    if key.startswith(("vit", "dinov2")):
        return {"pixel_values": pixels}
    pixels = torch.stack((pixels, pixels.flip(-1)), 1) if "nlvr2" in key else pixels
    return {"input_ids": torch.tensor([[97, 5, 6, 98], [97, 7, 8, 98]]), "pixel_values": pixels}


@pytest.mark.parametrize("key", CASES)
def test_original_and_back(key: str, tmp_path: Path):
    check(key, *CASES[key], tmp_path)


def test_a_gated_dinov2(tmp_path: Path):
    check("dinov2/facebook", "Dinov2Model", TOWER | {"use_swiglu_ffn": True}, tmp_path)


def check(key: str, architecture: str, sizes: dict[str, Any], folder: Path) -> None:
    """Convert there and back, and run what came of it."""
    model = tiny(architecture, sizes)
    check_layout(key, model, folder)
    twin = type(model).from_pretrained(folder / "back").eval()
    with torch.no_grad():
        ours, theirs = twin(**inputs(key)), model(**inputs(key))
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-5)
    again, first = twin.config.to_dict(), model.config.to_dict()
    for part in ("text_config", "vision_config"):
        for name, value in sizes.get(part, {}).items():
            assert again[part][name] == first[part][name] == value, name
    own = {name for name in sizes if not name.endswith("_config")} - {"num_labels"}
    assert {name: again[name] for name in own} == {name: sizes[name] for name in own}


class Part(nn.Module):
    """Holds what lies under a name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def as_script(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Save tensors as a TorchScript archive of modules that hold them."""
    whole = Part()
    for name, tensor in tensors.items():
        *outer, last = name.split(".")
        part: nn.Module = whole
        for step in outer:
            if not hasattr(part, step):
                part.add_module(step, Part())
            part = getattr(part, step)
        part.register_parameter(last, nn.Parameter(tensor, requires_grad=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(whole).save(str(path))


def test_clip_as_openai_publishes_it(tmp_path: Path):
    model = tiny(*CASES["clip/openai"])
    original = check_layout("clip/openai", model, tmp_path / "plain")
    extra = {"input_resolution": torch.tensor(64), "transformer.attn_mask": torch.ones(2, 2)}
    as_script(torch.load(original / "clip.pt") | extra, tmp_path / "ViT-B-32.pt")
    done = convert_checkpoint(tmp_path / "ViT-B-32.pt", tmp_path / "out")
    assert (done.model_type, done.layout) == ("clip", "openai")
    assert_same_tensors(read_hub(tmp_path / "out"), read_hub(tmp_path / "plain" / "back"))


def test_what_has_no_text_is_no_clip(tmp_path: Path):
    torch.save({"visual.class_embedding": torch.ones(4)}, tmp_path / "clip.pt")
    with pytest.raises(CheckpointError):
        convert_checkpoint(tmp_path, tmp_path / "out", model_type="clip")
