"""Checkpoints as the Hub holds them, packed by the formats' own packages: read, generate, save."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dovetail import AutoModelForCausalLM
from dovetail_quantizers.method import packed_modules

READ_ONLY = ("aqlm", "awq", "gptq")  # or with calibration
CHAOTIC = ("hqq-1",)  # with one bit a last digit decides after how many turns the solver stops
FOLDER = Path(__file__).parents[1] / "golden" / "quantizers"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/dequantized.safetensors"))
QUANTIZED_HERE = [name for name in CASES if not name.startswith(READ_ONLY + CHAOTIC)]
IDS = torch.tensor([[1, 5, 9, 40, 7, 3], [4, 4, 8, 11, 30, 21]])


def load(folder: Path, **options: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, **options)


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS, attention_mask=torch.ones_like(IDS)).logits


@pytest.mark.parametrize("case", CASES)
def test_weights_equal_the_formats_own_reading(case: str) -> None:
    model, info = load(FOLDER / case, output_loading_info=True)
    assert info["missing_keys"] == info["unexpected_keys"] == info["mismatched_keys"] == []
    assert model.is_quantized
    expected = load_file(FOLDER / case / "dequantized.safetensors")
    assert len(dict(packed_modules(model))) == 7
    for name, weight in expected.items():
        layer = model.get_submodule(name)
        found = layer.plain_weight()
        assert torch.equal(found.to(weight.dtype), weight), name


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_dequantized_model(case: str) -> None:
    packed = load(FOLDER / case)
    shown = logits(packed)
    undone = packed.hf_quantizer.dequantize(load(FOLDER / case))
    assert not dict(packed_modules(undone))
    assert isinstance(undone.model.layers[0].mlp.up_proj, nn.Linear)
    assert (shown - logits(undone)).norm() <= 0.02 * shown.norm()
    tokens = packed.generate(
        IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=3, do_sample=False
    )
    assert tokens.shape == (2, 9)


@pytest.mark.parametrize("case", CASES)
def test_saved_tensor_for_tensor(case: str, tmp_path: Path) -> None:
    model = load(FOLDER / case)
    logits(model)
    model.save_pretrained(tmp_path)
    before = load_file(FOLDER / case / "model.safetensors")
    after = load_file(tmp_path / "model.safetensors")
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        if name.startswith("model.layers.0.") and "norm" not in name:
            assert after[name].dtype == tensor.dtype, name
            assert torch.equal(after[name], tensor), name
    said = json.loads((FOLDER / case / "config.json").read_text())["quantization_config"]
    saved = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert saved["quant_method"] == said["quant_method"]
    assert torch.equal(logits(load(tmp_path)), logits(model))


@pytest.mark.parametrize("case", QUANTIZED_HERE)
def test_quantized_here_as_there(case: str) -> None:
    """The same weights and settings give the same codes, but for ties between two of them."""
    expected = load_file(FOLDER / case / "model.safetensors")
    said = json.loads((FOLDER / case / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(
        FOLDER / "original",
        quantization_config=said["quantization_config"],
        torch_dtype=said["torch_dtype"],
    )
    state = model.state_dict()
    for name, tensor in expected.items():
        if not name.startswith("model.layers.0.") or "norm" in name:
            continue
        found = state[name]
        assert found.dtype == tensor.dtype, name
        assert found.shape == tensor.shape, name
        if ".quant_state." in name:
            continue
        different = (found.float() - tensor.float()).abs() > 1e-5 * tensor.float().abs()
        assert different.sum() <= max(1, 0.002 * different.numel()), name


def test_one_bit_errs_as_little_as_there() -> None:
    folder = FOLDER / "hqq-1-axis-1"
    said = json.loads((folder / "config.json").read_text())["quantization_config"]
    model = AutoModelForCausalLM.from_pretrained(FOLDER / "original", quantization_config=said)
    original = load_file(FOLDER / "original" / "model.safetensors")
    for name, theirs in load_file(folder / "dequantized.safetensors").items():
        weight, ours = original[f"{name}.weight"], model.get_submodule(name).plain_weight()
        assert (ours - weight).abs().mean() < 1.01 * (theirs - weight).abs().mean()
