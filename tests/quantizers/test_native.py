"""Dovetail's own methods: what they hold, how they multiply, save, load and undo."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dovetail import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)
from dovetail.errors import ConfigError, MismatchError
from dovetail.layers.projections import together
from dovetail_quantizers.kernels import chosen
from dovetail_quantizers.layers import PackedLinear, TiedHead
from dovetail_quantizers.native.configuration import HalfConfig, Int4Config, Int8Config
from dovetail_quantizers.native.layers import HalfEmbedding, Int4Linear, Int8Embedding, Int8Linear

METHODS = ("half", "int8", "int4")
TOLERANCES = {"half": 1e-5, "int8": 0.03, "int4": 0.3}
IDS = torch.tensor([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])
MASK = torch.ones_like(IDS)


def checkpoint(folder: Path, tied: bool = True, dtype: torch.dtype = torch.bfloat16) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=160,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        attention_bias=True,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    return folder


def load(folder: Path, method: Any = None, **options: Any) -> Any:
    options = {"torch_dtype": torch.float32} | options
    return LlamaForCausalLM.from_pretrained(folder, quantization_config=method, **options)


def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    with torch.inference_mode():
        return model(ids, attention_mask=torch.ones_like(ids)).logits


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return checkpoint(tmp_path / "model", tied=request.param)


@pytest.mark.parametrize("method", METHODS)
def test_logits_and_tokens_are_near(folder: Path, method: str) -> None:
    plain, packed = load(folder), load(folder, method)
    assert torch.allclose(logits(packed), logits(plain), atol=TOLERANCES[method])
    one = IDS[:1, :1]
    assert torch.allclose(logits(packed, one), logits(plain, one), atol=TOLERANCES[method])
    tokens = packed.generate(IDS, attention_mask=MASK, max_new_tokens=4, do_sample=False)
    assert tokens.shape == (2, 9)
    if method == "half":
        expected = plain.generate(IDS, attention_mask=MASK, max_new_tokens=4, do_sample=False)
        assert torch.equal(tokens, expected)


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_reloaded(folder: Path, tmp_path: Path, method: str) -> None:
    packed = load(folder, method)
    packed.save_pretrained(tmp_path / "packed")
    again = load(tmp_path / "packed")
    assert torch.allclose(logits(again), logits(packed), atol=1e-6)
    assert hasattr(again.config, "quantization_config") == (method != "half")
    first, second = packed.state_dict(), again.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_dequantized(folder: Path, method: str) -> None:
    plain, packed = load(folder), load(folder, method)
    with pytest.raises(ConfigError, match="is not quantized: there is nothing to dequantize"):
        plain.dequantize()
    undone = packed.dequantize()
    assert not any(isinstance(module, PackedLinear | TiedHead) for module in undone.modules())
    tied = undone.lm_head.weight is undone.model.embed_tokens.weight
    assert tied == plain.config.tie_word_embeddings
    for name, weight in plain.state_dict().items():
        limit = {"half": 0.0, "int8": 0.006, "int4": 0.1}[method] * weight.abs().max()
        assert (undone.state_dict()[name] - weight).abs().max() <= limit, name


@pytest.mark.parametrize("method", METHODS)
def test_copies_and_pickles(folder: Path, method: str) -> None:
    packed = load(folder, method)
    before = logits(packed)
    for twin in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(logits(twin), before)


def test_projections_of_one_input_are_one_product(tmp_path: Path) -> None:
    layer = load(checkpoint(tmp_path / "model"), "int8").model.layers[0]
    attention = layer.self_attn
    joint = attention.q_proj.joint
    assert joint is attention.k_proj.joint is attention.v_proj.joint
    assert joint.product is not None
    assert layer.mlp.gate_proj.joint is layer.mlp.up_proj.joint
    x = torch.randn(2, 3, 64)
    with torch.inference_mode():
        parts = joint.parts(x)
        assert torch.equal(attention.k_proj(x), parts[1])
        assert torch.allclose(
            parts[1],
            nn.functional.linear(x, attention.k_proj.plain_weight(), attention.k_proj.bias),
            atol=0.02,
        )


def test_a_row_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    layer = load(checkpoint(tmp_path / "model"), "int8").model.layers[0].mlp.down_proj
    x = torch.randn(4, 128) * torch.tensor([[1.0], [100.0], [0.01], [1.0]])
    with torch.inference_mode():
        together = layer(x)
        assert torch.equal(together[:2], layer(x[:2]))
        expected = nn.functional.linear(x, layer.plain_weight())
    relative = (together - expected).norm(dim=1) / expected.norm(dim=1)
    assert relative.max() < 0.02


def test_zeros_and_rows_of_zeros() -> None:
    layer = Int8Linear(nn.Linear(8, 4, bias=False))
    layer.quantize(torch.zeros(4, 8))
    assert torch.equal(layer.dequantized(), torch.zeros(4, 8))
    packed = Int4Linear(nn.Linear(32, 16, bias=False), 32)
    packed.quantize(torch.zeros(16, 32))
    assert torch.equal(packed.dequantized(), torch.zeros(16, 32))


def test_only_weights_that_fit_16_bits_are_held_in_16(tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path / "wide", dtype=torch.float32), "half")
    layer = model.model.layers[0]
    assert layer.mlp.up_proj.joint.product is None
    assert model.model.embed_tokens.weight.dtype == torch.float32
    assert torch.equal(logits(model), logits(load(tmp_path / "wide")))
    narrow = load(checkpoint(tmp_path / "narrow"), "half")
    assert isinstance(narrow.model.embed_tokens, HalfEmbedding)
    assert narrow.model.embed_tokens.weight.dtype == torch.bfloat16
    if chosen("half").kernel is not None:
        assert narrow.model.layers[0].mlp.up_proj.joint.product is not None


def test_parts_left_as_they_are(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", tied=False)
    model = load(
        folder, Int8Config(embeddings=False, head=False, modules_to_not_convert=["o_proj"])
    )
    assert type(model.model.embed_tokens) is nn.Embedding
    assert isinstance(model.lm_head, nn.Linear)
    assert isinstance(model.model.layers[1].self_attn.o_proj, nn.Linear)
    assert isinstance(model.model.layers[1].self_attn.q_proj, Int8Linear)


def test_gradients_reach_adapters(tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path / "model"), "int8")
    assert model.hf_quantizer.is_trainable
    embeddings = torch.randn(1, 4, 64, requires_grad=True)
    model(inputs_embeds=embeddings).logits.sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0


def test_transposed_projections(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=16)
    torch.manual_seed(0)
    plain = GPT2LMHeadModel(config).eval()
    plain.save_pretrained(tmp_path)
    packed = GPT2LMHeadModel.from_pretrained(tmp_path, quantization_config=Int8Config())
    assert isinstance(packed.transformer.h[0].attn.c_attn, Int8Linear)
    assert isinstance(packed.transformer.wte, Int8Embedding)
    assert torch.allclose(logits(packed, IDS), logits(plain, IDS), atol=0.05)
    undone = packed.hf_quantizer.dequantize(packed)
    assert undone.transformer.h[0].attn.c_attn.weight.shape == (32, 96)


def test_auto_classes_take_a_config_and_tensors(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", tied=False)
    state = load_file(folder / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(
        None,
        config=LlamaConfig.from_pretrained(folder),
        state_dict=state,
        quantization_config="int8",
    )
    assert isinstance(model.model.layers[0].mlp.up_proj, Int8Linear)


def test_experts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    plain = MixtralForCausalLM(config).eval()
    plain.save_pretrained(tmp_path)
    packed = MixtralForCausalLM.from_pretrained(tmp_path, quantization_config="int8")
    kinds = [type(module).__name__ for name, module in packed.named_modules() if "experts." in name]
    assert kinds.count("Int8Linear") == 12
    assert torch.allclose(logits(packed), logits(plain), atol=0.05)


def test_groups_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="group_size=48 is not one of 32, 64, 128, 256"):
        Int4Config(group_size=48)
    model = load(checkpoint(tmp_path / "model"), Int4Config(group_size=128))
    kinds = {type(getattr(model.model.layers[0].mlp, n)) for n in ("up_proj", "down_proj")}
    assert kinds == {Int8Linear, Int4Linear}


def test_another_shape_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", tied=False)
    state = load_file(folder / "model.safetensors")
    state["model.layers.0.mlp.up_proj.weight"] = torch.zeros(8, 64)
    config = LlamaConfig.from_pretrained(folder)
    with pytest.raises(MismatchError, match=r"up_proj.weight is \(8, 64\) in the checkpoint"):
        LlamaForCausalLM.from_pretrained(
            None, config=config, state_dict=state, quantization_config="int4"
        )


def test_types_of_activations(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    model = load(folder, HalfConfig(), torch_dtype=torch.bfloat16)
    assert logits(model).dtype == torch.bfloat16
    assert torch.allclose(logits(model).float(), logits(load(folder)), atol=0.1)


def test_without_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On machines without FBGEMM the same checkpoints work, slower."""
    from dovetail_quantizers import kernels

    folder = checkpoint(tmp_path / "model")
    expected = logits(load(folder))
    monkeypatch.setattr(kernels, "KERNELS", ())
    chosen.cache_clear()
    try:
        for method in METHODS:
            assert torch.allclose(logits(load(folder, method)), expected, atol=TOLERANCES[method])
    finally:
        chosen.cache_clear()


def test_outliers_are_multiplied_apart(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": 6.0}
    attention = load(folder, config).model.layers[0].self_attn
    plain = load(folder).model.layers[0].self_attn
    x = torch.randn(1, 5, 64)
    x[0, 2, 7] = 500.0
    with torch.inference_mode():
        for found, expected in zip(
            together(x, attention.q_proj, attention.k_proj, attention.v_proj),
            together(x, plain.q_proj, plain.k_proj, plain.v_proj),
            strict=True,
        ):
            assert (found - expected).norm() < 0.02 * expected.norm()
            assert (found[:, 0] - expected[:, 0]).norm() < 0.02 * expected[:, 0].norm()


def test_hooks_see_every_layer(tmp_path: Path) -> None:
    model = load(checkpoint(tmp_path / "model"), "int8")
    seen: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, PackedLinear):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    logits(model)
    assert len(seen) == 14
