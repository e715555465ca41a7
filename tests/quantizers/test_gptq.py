"""GPTQ: rounding with calibration, its settings, and checkpoints that do not fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dovetail import AutoModelForCausalLM
from dovetail.errors import CheckpointError, ConfigError
from dovetail_quantizers.gptq.algorithm import compensated
from dovetail_quantizers.gptq.configuration import GPTQConfig
from dovetail_quantizers.gptq.layers import GPTQLinear
from dovetail_quantizers.grouped import rounded_groups

FOLDER = Path(__file__).parents[1] / "golden" / "quantizers"
ORIGINAL = FOLDER / "original"


def texts(count: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 48, (24,), generator=generator).tolist() for _ in range(count)]


def correlated(rows: int, seed: int) -> Tensor:
    """Activations (rows, 64) of which few directions hold most."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(64, 64, generator=torch.Generator().manual_seed(7))
    scales = torch.logspace(0, -2, 64)
    return torch.randn(rows, 64, generator=generator) * scales @ mixing


def plain_rounding(weight: Tensor, config: GPTQConfig, size: int) -> Tensor:
    scale, zero = rounded_groups(weight, config.bits, size, config.sym)
    scale = scale.half().float().repeat_interleave(size, 1)
    zero = zero.repeat_interleave(size, 1)
    return ((weight / scale + zero).round().clamp(0, 2**config.bits - 1) - zero) * scale


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_output_errs_less_than_with_plain_rounding(
    bits: int, act_order: bool, symmetric: bool
) -> None:
    weight = torch.randn(48, 64, generator=torch.Generator().manual_seed(1))
    seen, unseen = correlated(512, 2), correlated(256, 3)
    config = GPTQConfig(bits=bits, group_size=16, desc_act=act_order, sym=symmetric)
    rounded, scale, zero, order = compensated(weight, seen.t() @ seen / 512, config, 16)
    error = (unseen @ (rounded - weight).t()).norm()
    plain_error = (unseen @ (plain_rounding(weight, config, 16) - weight).t()).norm()
    assert error < 0.6 * plain_error
    layer = GPTQLinear(torch.nn.Linear(64, 48, bias=False), "layer", config)
    layer.fill(rounded, scale, zero, order)
    assert torch.allclose(layer.dequantized(), rounded, atol=1e-5)


@pytest.mark.parametrize("act_order", [False, True])
def test_calibrated_while_loading(act_order: bool, tmp_path: Path) -> None:
    config = GPTQConfig(bits=4, group_size=32, desc_act=act_order, dataset=texts(8, 0))
    plain = AutoModelForCausalLM.from_pretrained(ORIGINAL)
    model = AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=config)
    ids = torch.tensor(texts(2, 9))
    with torch.inference_mode():
        expected, found = plain(ids).logits, model(ids).logits
    assert (found - expected).norm() < 0.1 * expected.norm()
    assert isinstance(model.lm_head, torch.nn.Linear)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(again.model.layers[0].mlp.up_proj, GPTQLinear)
    assert "dataset" not in again.config.quantization_config.to_dict()
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, found)


def test_only_the_modules_named(tmp_path: Path) -> None:
    config = GPTQConfig(
        group_size=32,
        dataset=texts(2, 0),
        modules_in_block_to_quantize=[["self_attn.q_proj"], ["mlp.down_proj"]],
    )
    model = AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=config)
    kinds = {n for n, m in model.named_modules() if isinstance(m, GPTQLinear)}
    assert {n.rpartition(".")[2] for n in kinds} == {"q_proj", "down_proj"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 5}, "bits=5 cannot be: it must be 2, 3, 4 or 8"),
        ({"group_size": 0}, "group_size=0 cannot be"),
        ({"damp_percent": 1.5}, "damp_percent=1.5 cannot be"),
        ({"checkpoint_format": "marlin"}, "checkpoint_format='marlin' cannot be"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GPTQConfig(**settings)


def test_no_calibration_data() -> None:
    with pytest.raises(ConfigError, match="GPTQ quantizes with calibration data, and dataset=None"):
        AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=GPTQConfig())
    with pytest.raises(ConfigError, match="dataset holds texts: give tokenizer="):
        AutoModelForCausalLM.from_pretrained(
            ORIGINAL, quantization_config=GPTQConfig(dataset=["a text"])
        )


def test_a_group_size_that_does_not_divide() -> None:
    config = GPTQConfig(group_size=48, dataset=texts(1, 0))
    with pytest.raises(ConfigError, match=r"layers.0.self_attn.q_proj: group_size=48 does not div"):
        AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=config)


def test_damaged_groups() -> None:
    state = load_file(FOLDER / "gptq-4" / "model.safetensors")
    state["model.layers.0.mlp.up_proj.g_idx"] = torch.full((64,), 9, dtype=torch.int32)
    with pytest.raises(CheckpointError, match="names groups 9 to 9, but it has groups 0 to 1"):
        AutoModelForCausalLM.from_pretrained(FOLDER / "gptq-4", state_dict=state)
