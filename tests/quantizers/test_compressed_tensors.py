"""compressed-tensors: which layers a config means, older checkpoints, and what cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dovetail import AutoModelForCausalLM
from dovetail.errors import CheckpointError, ConfigError
from dovetail_quantizers.compressed_tensors.configuration import CompressedTensorsConfig
from dovetail_quantizers.compressed_tensors.layers import PlainLinear, WordsLinear
from dovetail_quantizers.method import packed_modules

FOLDER = Path(__file__).parents[1] / "golden" / "quantizers"
ORIGINAL = FOLDER / "original"
IDS = torch.tensor([[1, 5, 9, 40, 7, 3]])
ATTENTION = "model.layers.0.self_attn"
FOURS = {"num_bits": 4, "strategy": "group", "group_size": 32}
BYTES = {"num_bits": 8, "strategy": "channel"}


def changed(
    case: str,
    folder: Path,
    tensors: dict[str, Tensor] | None = None,
    without: tuple[str, ...] = (),
    **settings: Any,
) -> Path:
    """A copy of a checkpoint with some tensors and settings of its own."""
    shutil.copytree(FOLDER / case, folder, dirs_exist_ok=True)
    state = load_file(FOLDER / case / "model.safetensors") | (tensors or {})
    state = {name: tensor for name, tensor in state.items() if name not in without}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    said = json.loads((FOLDER / case / "config.json").read_text())
    said["quantization_config"] |= settings
    (folder / "config.json").write_text(json.dumps(said))
    return folder


def quantized(**settings: Any) -> Any:
    config = CompressedTensorsConfig(**settings)
    return AutoModelForCausalLM.from_pretrained(ORIGINAL, quantization_config=config)


def group(targets: list[str], weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"targets": targets, "weights": weights, **more}


def test_groups_by_path_pattern_and_class(tmp_path: Path) -> None:
    groups = {
        "all": group(["Linear"], FOURS, format="pack-quantized"),
        "mlp": group([r"re:.*mlp\.(up|gate)_proj$"], BYTES, format="int-quantized"),
        "one": group([f"{ATTENTION}.q_proj"], {"num_bits": 8, "type": "float"}),
    }
    groups["one"]["format"] = "float-quantized"
    ignore = ["lm_head", "re:.*down_proj"]
    model = quantized(config_groups=groups, format="mixed-precision", ignore=ignore)
    found = {name.rpartition(".")[2]: layer for name, layer in packed_modules(model)}
    assert {name for name, layer in found.items() if isinstance(layer, WordsLinear)} == {
        "k_proj",
        "v_proj",
        "o_proj",
    }
    floats = {name for name, layer in found.items() if getattr(layer, "code", None) != torch.int8}
    assert floats == {"k_proj", "v_proj", "o_proj", "q_proj"}
    assert found.keys() == {"k_proj", "v_proj", "o_proj", "q_proj", "up_proj", "gate_proj"}
    with torch.inference_mode():
        shown = model(IDS).logits
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config.quantization_config.config_groups == groups
    with torch.inference_mode():
        assert torch.equal(again(IDS).logits, shown)


def test_presets() -> None:
    model = quantized(
        config_groups={"W8A8": ["Linear"]}, format="int-quantized", ignore=["lm_head"]
    )
    assert len([m for m in model.modules() if isinstance(m, PlainLinear)]) == 7


def test_rounded_when_read_in_the_dense_format(tmp_path: Path) -> None:
    settings = {"config_groups": {"all": group(["Linear"], FOURS)}, "ignore": ["lm_head"]}
    dense, packed = quantized(**settings), quantized(**settings, format="pack-quantized")
    original = load_file(ORIGINAL / "model.safetensors")
    for name, layer in packed_modules(dense):
        assert torch.equal(layer.weight, original[f"{name}.weight"])
        assert torch.equal(layer.plain_weight(), packed.get_submodule(name).plain_weight())
    dense.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(again(IDS).logits, dense(IDS).logits)


def test_kernels() -> None:
    kinds = {"compressed-int-channel": "int8", "compressed-pack-8-channel": "int8"}
    kinds |= {"compressed-pack-4": "int4", "compressed-pack-4-asymmetric": "int4"}
    for case, kind in kinds.items():
        model = AutoModelForCausalLM.from_pretrained(FOLDER / case)
        assert {layer.kind for _, layer in packed_modules(model)} == {kind}


def test_columns_in_another_order(tmp_path: Path) -> None:
    case, name = "compressed-pack-4", f"{ATTENTION}.q_proj"
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(64)[order] // 32
    folder = changed(case, tmp_path, {f"{name}.weight_g_idx": groups.int()})
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert info["unexpected_keys"] == []
    layer = model.get_submodule(name)
    plain = AutoModelForCausalLM.from_pretrained(FOLDER / case).get_submodule(name)
    scale = load_file(FOLDER / case / "model.safetensors")[f"{name}.weight_scale"]
    codes = plain.plain_weight() / scale.repeat_interleave(32, 1)
    assert torch.allclose(layer.plain_weight(), codes * scale[:, groups], atol=1e-6)
    model.save_pretrained(tmp_path / "again")
    saved = load_file(tmp_path / "again" / "model.safetensors")
    assert torch.equal(saved[f"{name}.weight_g_idx"], groups.int())
    unused = changed(case, tmp_path, {f"{name}.weight_g_idx": torch.full((64,), -1)})
    again = AutoModelForCausalLM.from_pretrained(unused).get_submodule(name)
    assert torch.equal(again.plain_weight(), plain.plain_weight())
    wrong = changed(case, tmp_path, {f"{name}.weight_g_idx": torch.full((64,), 2)})
    with pytest.raises(CheckpointError, match=r"q_proj.weight_g_idx .* with groups 0 to 1"):
        AutoModelForCausalLM.from_pretrained(wrong)


def test_ranges_of_activations_and_caches_are_kept(tmp_path: Path) -> None:
    scales = {
        f"{ATTENTION}.k_scale": torch.tensor([0.5]),
        f"{ATTENTION}.v_scale": torch.tensor([0.25]),
        f"{ATTENTION}.q_proj.input_scale": torch.tensor([0.125]),
        f"{ATTENTION}.k_proj.output_scale": torch.tensor([0.0625]),
    }
    scheme = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
    folder = changed("compressed-float-tensor", tmp_path, scales, kv_cache_scheme=scheme)
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert info["unexpected_keys"] == []
    model.save_pretrained(tmp_path / "again")
    saved = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(saved[name], scale) for name, scale in scales.items())
    said = json.loads((tmp_path / "again" / "config.json").read_text())
    assert said["quantization_config"]["kv_cache_scheme"] == scheme


def test_words_that_codes_do_not_go_across(tmp_path: Path) -> None:
    """How codes of 6 bits were packed before 2026: five in a word."""
    case, name = "compressed-pack-6", f"{ATTENTION}.q_proj"
    model = AutoModelForCausalLM.from_pretrained(FOLDER / case)
    codes = model.get_submodule(name).codes().tolist()
    rows = [
        [
            sum((code + 32) << (6 * place) for place, code in enumerate(row[start : start + 5]))
            for start in range(0, 64, 5)
        ]
        for row in codes
    ]
    words = torch.tensor(rows).to(torch.int32)
    folder = changed(case, tmp_path, {f"{name}.weight_packed": words})
    again = AutoModelForCausalLM.from_pretrained(folder)
    expected = model.get_submodule(name).plain_weight()
    assert torch.equal(again.get_submodule(name).plain_weight(), expected)
    again.save_pretrained(tmp_path / "again")
    saved = load_file(tmp_path / "again" / "model.safetensors")
    assert torch.equal(saved[f"{name}.weight_packed"], words)


def test_older_configs(tmp_path: Path) -> None:
    folder = changed("compressed-pack-4", tmp_path)
    said = json.loads((folder / "config.json").read_text())
    settings = said.pop("quantization_config")
    del settings["quant_method"]
    nested = {"quantization_config": settings, "sparsity_config": {"format": "dense"}}
    for written in (settings, nested):
        (folder / "config.json").write_text(json.dumps(said | {"compression_config": written}))
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert len(list(packed_modules(model))) == 7
        model.save_pretrained(tmp_path / "again")
        saved = json.loads((tmp_path / "again" / "config.json").read_text())
        assert "compression_config" not in saved
        assert saved["quantization_config"]["quant_method"] == "compressed-tensors"


def test_ordinary_weights_on_request() -> None:
    case = FOLDER / "compressed-int-channel"
    model = AutoModelForCausalLM.from_pretrained(
        case, quantization_config=CompressedTensorsConfig(run_compressed=False)
    )
    assert not list(packed_modules(model))
    assert isinstance(model.get_submodule(f"{ATTENTION}.q_proj"), nn.Linear)
    shown = load_file(case / "dequantized.safetensors")
    assert all(torch.equal(model.get_submodule(n).weight, weight) for n, weight in shown.items())


@pytest.mark.parametrize(
    ("weights", "form", "message"),
    [
        ({"num_bits": 9}, "pack-quantized", r"num_bits=9 .*'mine'.* must be 1 to 8"),
        ({"num_bits": 4, "type": "float"}, "float-quantized", "must be 8 for floats"),
        ({"type": "complex"}, "int-quantized", "type='complex'"),
        ({"strategy": "token"}, "int-quantized", "strategy='token'"),
        ({"strategy": "group"}, "int-quantized", "group_size=None"),
        ({"strategy": "block"}, "int-quantized", "block_structure=None"),
        ({"type": "float"}, "pack-quantized", "'int' for pack-quantized"),
        ({"type": "float", "symmetric": False}, "float-quantized", "symmetric=False"),
        ({}, "marlin-24", "format='marlin-24' is not read here"),
        ({}, "mixed-precision", "format='mixed-precision' of the weights"),
    ],
)
def test_settings_that_cannot_be(weights: dict[str, Any], form: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CompressedTensorsConfig({"mine": group(["Linear"], weights)}, form)


def test_targets_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="is no regular expression"):
        CompressedTensorsConfig({"mine": group(["re:(("], {})}, "int-quantized")
    with pytest.raises(ConfigError, match="config_groups\\['mine'\\] must have 'targets'"):
        CompressedTensorsConfig({"mine": ["Linear"]}, "int-quantized")
    with pytest.raises(ConfigError, match="format='sparse-bitmask' of sparsity_config"):
        CompressedTensorsConfig(sparsity_config={"format": "sparse-bitmask"})
    with pytest.raises(ConfigError, match="embed_tokens is an embedding"):
        quantized(config_groups={"mine": group(["Embedding"], BYTES)}, format="int-quantized")
    fours = FOURS | {"group_size": 48}
    with pytest.raises(ConfigError, match=r"q_proj: group_size=48 .*'mine'.* 64 columns"):
        quantized(config_groups={"mine": group(["Linear"], fours)}, format="pack-quantized")


def test_checkpoints_that_contradict_their_config(tmp_path: Path) -> None:
    groups = {"group_0": group(["Linear"], FOURS | {"num_bits": 8})}
    folder = changed("compressed-pack-4", tmp_path, config_groups=groups)
    with pytest.raises(CheckpointError, match=r"weight_packed is \(\d+, 8\).*num_bits=8"):
        AutoModelForCausalLM.from_pretrained(folder)
    name = f"{ATTENTION}.q_proj"
    shape = {f"{name}.weight_shape": torch.tensor([64, 32])}
    with pytest.raises(CheckpointError, match=r"q_proj.weight_shape says \[64, 32\]"):
        AutoModelForCausalLM.from_pretrained(changed("compressed-pack-4", tmp_path, shape))
    halves = {f"{name}.weight": torch.zeros(64, 64)}
    with pytest.raises(CheckpointError, match=r"q_proj.weight is \(64, 64\) in torch.float32"):
        AutoModelForCausalLM.from_pretrained(changed("compressed-int-channel", tmp_path, halves))
    lacking = changed("compressed-pack-4", tmp_path, without=(f"{name}.weight_scale",))
    with pytest.raises(CheckpointError, match=r"lacks .*q_proj.weight_scale"):
        AutoModelForCausalLM.from_pretrained(lacking)
