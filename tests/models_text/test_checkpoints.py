"""Checkpoints as they are found on the Hub: pickled ones, and names of earlier releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dovetail.testing.golden import Golden

FOLDER = Path(__file__).parents[1] / "golden"
PICKLED = {
    name: further
    for name, further in json.loads((FOLDER / "checkpoints" / "pickled.json").read_text()).items()
    if name.startswith("models-text/")
}
MASKS = ("attn.bias", "attn.masked_bias")
ANGLES = ("self_attn.rotary_emb.inv_freq",)
OLD_NAMES: dict[str, tuple[str, ...]] = {
    "gpt2/GPT2LMHeadModel": tuple(f"transformer.h.0.{name}" for name in MASKS),
    "gptj/GPTJForCausalLM": tuple(f"transformer.h.0.{name}" for name in MASKS),
    "gpt_neo/GPTNeoForCausalLM": (
        "transformer.h.0.attn.attention.bias",
        "transformer.h.0.attn.attention.masked_bias",
    ),
    "codegen/CodeGenForCausalLM": (
        "transformer.h.0.attn.causal_mask",
        *(f"transformer.h.0.{name}" for name in MASKS),
    ),
    "gpt_bigcode/GPTBigCodeForCausalLM": (
        "transformer.bias",
        "transformer.mask_value",
        *(f"transformer.h.0.{name}" for name in MASKS),
    ),
    "gpt_neox/GPTNeoXForCausalLM": tuple(
        f"gpt_neox.layers.0.attention.{name}"
        for name in ("bias", "masked_bias", "rotary_emb.inv_freq")
    ),
    "bart/BartForConditionalGeneration": ("model.encoder.version", "model.decoder.version"),
    "mbart/MBartForConditionalGeneration": ("model.encoder.version", "model.decoder.version"),
    "m2m_100/M2M100ForConditionalGeneration": (
        "model.encoder.version",
        "model.encoder.embed_positions.weights",
        "model.decoder.embed_positions._float_tensor",
    ),
    "opt/OPTForCausalLM": ("model.decoder.version",),
    "falcon/FalconForCausalLM": (
        "transformer.h.0.self_attention.rotary_emb.inv_freq",
        "transformer.h.0.self_attention.maybe_rotary.inv_freq",
    ),
    **{
        name: tuple(f"model.layers.0.{angle}" for angle in ANGLES)
        for name in (
            "llama/LlamaForCausalLM",
            "mistral/MistralForCausalLM",
            "mixtral/MixtralForCausalLM",
            "qwen2/Qwen2ForCausalLM",
            "gemma/GemmaForCausalLM",
            "phi3/Phi3ForCausalLM",
            "stablelm/StableLmForCausalLM",
            "cohere/CohereForCausalLM",
        )
    },
}


def load(golden: Golden, weights: dict[str, Tensor], folder: Path, pickled: bool = False) -> Any:
    """The model that `weights` make; nothing may be missing, unused or of another shape."""
    (folder / "config.json").write_text(json.dumps(golden.content["config"]))
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model, report = golden.model_class.from_pretrained(folder, output_loading_info=True)
    computed = {
        name for name, shape in golden.content["tensors"].items() if not isinstance(shape, list)
    }
    assert set(report["missing_keys"]) <= computed
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    return model


@pytest.mark.parametrize("name", PICKLED)
def test_pickled_checkpoints_load_and_are_saved_the_same(name: str, tmp_path: Path):
    golden, further = Golden.read(FOLDER / f"{name}.json"), PICKLED[name]
    weights = golden.weights()
    shared = {
        other: weights[holder] for other, holder in further.items() if isinstance(holder, str)
    }
    model = load(golden, weights | shared, tmp_path, pickled=True)
    state = model.state_dict()
    assert state.keys() == golden.content["tensors"].keys() | further.keys()
    for own, tensor in (weights | shared).items():
        assert torch.equal(state[own], tensor), own
    model.save_pretrained(tmp_path / "saved", safe_serialization=False)
    saved = torch.load(tmp_path / "saved" / "pytorch_model.bin", weights_only=True)
    kept = set(getattr(model, "_keys_to_ignore_on_save", None) or ())
    assert saved.keys() == state.keys() - kept


@pytest.mark.parametrize("name", OLD_NAMES)
def test_names_of_earlier_releases_load_silently(name: str, tmp_path: Path):
    golden = Golden.read(FOLDER / "models-text" / f"{name}.json")
    load(golden, golden.weights() | {old: torch.zeros(3) for old in OLD_NAMES[name]}, tmp_path)


@pytest.mark.parametrize("name", OLD_NAMES)
def test_files_of_a_body_fit_its_heads_and_the_other_way_round(name: str, tmp_path: Path):
    golden = Golden.read(FOLDER / "models-text" / f"{name}.json")
    prefix = f"{golden.model_class.base_model_prefix}."
    weights = golden.weights()
    plain = {key.removeprefix(prefix): tensor for key, tensor in weights.items()}
    loaded = load(golden, plain, tmp_path).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in weights.items())
