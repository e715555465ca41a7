"""The Audio Spectrogram Transformer passes the battery for models that read spectrograms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dovetail
from dovetail import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    ASTModel,
    AutoFeatureExtractor,
)
from dovetail.converting import convert_checkpoint
from dovetail.errors import CheckpointError
from dovetail.testing import seeded
from dovetail.testing.conformance import SpectrogramConformance
from dovetail.testing.converting import check_layout
from dovetail.testing.subject import fill

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "patch_size": 4,
    "frequency_stride": 3,
    "time_stride": 2,
    "max_length": 17,
    "num_mel_bins": 12,
}
ORIGINAL = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "num_labels": 5,
}


class TestAST(SpectrogramConformance):
    config_class = ASTConfig
    model_classes = (ASTModel, ASTForAudioClassification)
    sizes = SIZES


@pytest.mark.parametrize("shape", [(1, 16, 12), (1, 12, 17), (17, 12), (1, 1, 17, 12)])
def test_spectrograms_of_another_shape_are_refused(shape: tuple[int, ...]):
    model = ASTModel(ASTConfig(**SIZES)).eval()
    with pytest.raises(ValueError, match=r"must be \(batch, 17, 12\), frames by mel bins"):
        model(torch.zeros(shape))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"num_attention_heads": 5}, "num_attention_heads=5 does not divide hidden_size=32"),
        ({"patch_size": 13}, "patch_size=13 is larger than num_mel_bins=12"),
        ({"max_length": 3}, "patch_size=4 is larger than max_length=3"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        ASTConfig(**{**SIZES, **setting})


def test_the_extractor_belongs_to_the_model(tmp_path: Path):
    sizes = {**SIZES, "max_length": 40, "num_mel_bins": 16}
    model = ASTModel(ASTConfig(**sizes)).eval()
    model.save_pretrained(tmp_path)
    ASTFeatureExtractor(max_length=40, num_mel_bins=16).save_pretrained(tmp_path)
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(extractor) is ASTFeatureExtractor
    sounds = [np.zeros(4000), seeded.noise("sound", (9000,))]
    inputs = extractor(sounds, sampling_rate=16000, return_tensors="pt")
    assert dovetail.AutoModel.from_pretrained(tmp_path)(**inputs).pooler_output.shape == (2, 32)


def classifier(**settings: Any) -> ASTForAudioClassification:
    """A small model of the original's shapes."""
    model = ASTForAudioClassification(ASTConfig(**ORIGINAL, **settings)).eval()
    fill(model)
    return model


@pytest.mark.parametrize(
    ("length", "stride"), [(1024, 10), (1024, 12), (1024, 14), (1024, 16), (512, 10), (128, 10)]
)
def test_original_and_back(length: int, stride: int, tmp_path: Path):
    sizes = {"max_length": length, "frequency_stride": stride, "time_stride": stride}
    model = classifier(**sizes)
    original = check_layout("audio-spectrogram-transformer/mit", model, tmp_path)
    tensors = torch.load(original / "ast.pth", weights_only=True)
    layer = model.audio_spectrogram_transformer.encoder.layer[1].attention.attention
    fused = torch.cat([part.weight for part in (layer.query, layer.key, layer.value)])
    assert torch.equal(tensors["module.v.blocks.1.attn.qkv.weight"], fused)
    back = ASTConfig.from_pretrained(tmp_path / "back")
    changed = {"architectures", "_name_or_path", "dtype", "torch_dtype"}
    ours, again = (config.to_dict() for config in (model.config, back))
    assert {k: v for k, v in again.items() if k not in changed} == {
        k: v for k, v in ours.items() if k not in changed
    }


def test_heads_of_the_picture_model_inside_are_left_out(tmp_path: Path):
    original = check_layout("audio-spectrogram-transformer/mit", classifier(), tmp_path)
    tensors = torch.load(original / "ast.pth", weights_only=True)
    for name in ("head", "head_dist"):
        tensors[f"module.v.{name}.weight"] = torch.ones(7, 128)
        tensors[f"module.v.{name}.bias"] = torch.ones(7)
    torch.save(tensors, original / "ast.pth")
    convert_checkpoint(original, tmp_path / "again")
    twin = ASTForAudioClassification.from_pretrained(tmp_path / "again")
    assert twin.config.num_labels == 5


def test_an_original_of_another_length_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"\d+ patches of 16.* of no published AST"):
        check_layout(
            "audio-spectrogram-transformer/mit",
            classifier(max_length=45, num_mel_bins=128, frequency_stride=10),
            tmp_path,
        )
