"""Weights that are read together lie together, and nobody notices but the clock."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dovetail import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from dovetail.layers import projections
from dovetail.layers.projections import Linear, together

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
IDS = torch.arange(12).view(2, 6)


def saved(folder: Path, biased: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = (
        Qwen2ForCausalLM(Qwen2Config(**SIZES)) if biased else LlamaForCausalLM(LlamaConfig(**SIZES))
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return model.eval()


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each matrix that was multiplied with."""
    rows: list[int] = []
    original = projections.linear

    def counted(x: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        rows.append(len(weight))
        return original(x, weight, bias)

    monkeypatch.setattr(projections, "linear", counted)
    return rows


@pytest.fixture(params=[1, 2])
def few_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("biased", [False, True])
def test_projections_of_one_input_are_one_product(
    biased: bool, products: list[int], tmp_path: Path
) -> None:
    model = saved(tmp_path, biased)
    loaded = type(model).from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(IDS).logits
        products.clear()
        torch.testing.assert_close(loaded(IDS).logits, expected)
    assert products == [64, 32, 96, 32] * 2 + [64]  # qkv, output, gate and up, down; head


def test_training_takes_each_by_itself(products: list[int], tmp_path: Path) -> None:
    saved(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path)
    loaded(IDS, labels=IDS).loss.backward()
    assert products[:4] == [32, 16, 16, 32]
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_neighbours_in_the_file_are_mapped_together(tmp_path: Path) -> None:
    saved(tmp_path)
    mlp = LlamaForCausalLM.from_pretrained(tmp_path).model.layers[0].mlp
    gate, up = mlp.gate_proj.weight, mlp.up_proj.weight
    assert gate.untyped_storage().data_ptr() == up.untyped_storage().data_ptr()
    assert gate.untyped_storage().nbytes() == gate.nbytes + up.nbytes


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_other_dtypes_are_seated_too(
    kind: torch.dtype, products: list[int], tmp_path: Path
) -> None:
    saved(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path, torch_dtype=kind)
    with torch.no_grad():
        loaded(IDS)
    assert products[:3] == [64, 32, 96]


def test_moved_and_copied_models_are_right(products: list[int], tmp_path: Path) -> None:
    model = saved(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(IDS).logits
        for other in (copy.deepcopy(loaded), loaded.double().float()):
            torch.testing.assert_close(other(IDS).logits, expected)


def test_a_replaced_weight_counts(tmp_path: Path) -> None:
    saved(tmp_path)
    attention = LlamaForCausalLM.from_pretrained(tmp_path).model.layers[0].self_attn
    attention.k_proj.weight = nn.Parameter(torch.zeros_like(attention.k_proj.weight))
    with torch.no_grad():
        _, key, value = attention.project(torch.ones(1, 1, 32))
    assert not key.any()
    assert value.any()


def test_hooks_and_replaced_layers_are_called(tmp_path: Path) -> None:
    saved(tmp_path)
    attention = LlamaForCausalLM.from_pretrained(tmp_path).model.layers[0].self_attn
    x = torch.ones(1, 1, 32)
    with torch.no_grad():
        handle = attention.v_proj.register_forward_hook(lambda *_: torch.zeros(1, 1, 16))
        assert not attention.project(x)[2].any()
        handle.remove()
        assert attention.project(x)[2].any()
        attention.v_proj.forward = lambda _: torch.zeros(1, 1, 16)
        assert not attention.project(x)[2].any()


def test_neighbours_by_chance_are_left_alone() -> None:
    one, other = Linear(4, 3, bias=False), Linear(4, 3, bias=False)
    buffer = torch.randn(6, 4)
    one.weight.data, other.weight.data = buffer[:3], buffer[3:].clone()
    with torch.no_grad():
        first, second = together(torch.ones(1, 4), one, other)
        assert torch.equal(second, other(torch.ones(1, 4)))
        assert torch.equal(first, one(torch.ones(1, 4)))


@pytest.mark.usefixtures("few_threads")
def test_matrices_with_short_rows_are_stored_by_input(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = SIZES | {"vocab_size": 4096, "hidden_size": 128, "tie_word_embeddings": True}
    model = LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    model.save_pretrained(tmp_path / "first")
    loaded = LlamaForCausalLM.from_pretrained(tmp_path / "first")
    assert loaded.lm_head.weight.stride() == (1, 4096)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    with torch.no_grad():
        for ids in (IDS, IDS[:1, :1]):
            torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-5, rtol=1e-4)
    loaded.save_pretrained(tmp_path / "again")
    first, again = (load_file(tmp_path / n / "model.safetensors") for n in ("first", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_seated_nan_is_found(tmp_path: Path) -> None:
    model = LlamaForCausalLM(LlamaConfig(**SIZES | {"vocab_size": 8192}))
    with torch.no_grad():
        model.lm_head.weight[8000, 3] = torch.nan
    model.save_pretrained(tmp_path)
    _, told = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert told["nan_keys"] == ["lm_head.weight"]


def test_parameters_can_be_saved_by_others(tmp_path: Path) -> None:
    saved(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path)
    save_file(loaded.state_dict(), tmp_path / "all.safetensors")
    again = load_file(tmp_path / "all.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in loaded.state_dict().items())
    torch.save(loaded.model.layers[0].self_attn.q_proj.state_dict(), tmp_path / "one.pt")
    assert (tmp_path / "one.pt").stat().st_size < 16000
