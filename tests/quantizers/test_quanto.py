"""Quanto's activations, and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dovetail import AutoModelForCausalLM
from dovetail.errors import ConfigError
from dovetail_quantizers.quanto.configuration import QuantoConfig
from dovetail_quantizers.quanto.layers import QLinear, group_size

ORIGINAL = Path(__file__).parents[1] / "golden" / "quantizers" / "original"
TEXTS = [[1, 5, 9, 40, 7, 3], [4, 4, 8, 11, 30, 21]]


@pytest.mark.parametrize(("activations", "limit"), [("int8", 0.05), ("float8", 0.12)])
def test_calibrated_activations(activations: str, limit: float, tmp_path: Path) -> None:
    config = QuantoConfig(activations=activations, dataset=TEXTS)
    plain = AutoModelForCausalLM.from_pretrained(ORIGINAL)
    model = AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=config)
    layers = [module for module in model.modules() if isinstance(module, QLinear)]
    assert all(layer.activations == activations for layer in layers)
    assert all(layer.input_scale != 1 for layer in layers)
    with torch.inference_mode():
        found, expected = model(torch.tensor(TEXTS)).logits, plain(torch.tensor(TEXTS)).logits
    assert (found - expected).norm() < limit * expected.norm()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(again(torch.tensor(TEXTS)).logits, found)


def test_activations_without_calibration() -> None:
    with pytest.raises(ConfigError, match="Quanto with activations quantizes with calibration"):
        AutoModelForCausalLM.from_pretrained(
            ORIGINAL, quantization_config=QuantoConfig(activations="int8")
        )


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="weights='int3' is not one of float8, int8"):
        QuantoConfig(weights="int3")
    with pytest.raises(ConfigError, match="activations='int4' is not None"):
        QuantoConfig(activations="int4")


def test_sizes_of_groups() -> None:
    assert [group_size(columns) for columns in (256, 96, 576, 100)] == [128, 96, 96, 100]
