"""Every declared converter leads to its original and back without losing a bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_text.conversions import round_trip, tiny
from tests.models_text.originals import digest, write_original

from dovetail import registry
from dovetail.converting import convert_checkpoint
from dovetail.converting.bundle import write_bundle
from dovetail.errors import CheckpointError
from dovetail.testing import seeded
from dovetail.testing.converting import read_hub
from dovetail.weights import MemoryTensor

SEQ2SEQ = {
    "vocab_size": 96,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
}
DECODER = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
BERT = {key: DECODER[key] for key in DECODER if key != "num_key_value_heads"}
NARROW = {"head_dim": 16}
T5 = {"vocab_size": 96, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
STATES = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2}
STATES2 = STATES | {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2}
OPT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 48,
    "max_position_embeddings": 40,
    "word_embed_proj_dim": 16,
    "do_layer_norm_before": False,
}

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bart/fairseq": ("BartForConditionalGeneration", SEQ2SEQ, {}),
    "bart/fairseq-mnli": (
        "BartForSequenceClassification",
        SEQ2SEQ | {"eos_token_id": 7},
        {"eos_token_id": 7},
    ),
    "bert/keras": ("BertModel", BERT, {}),
    "bert/tensorflow": ("BertForPreTraining", BERT, {}),
    "bert/token-dropping": ("BertForMaskedLM", BERT, {}),
    "bloom/megatron": (
        "BloomForCausalLM",
        {"vocab_size": 96, "hidden_size": 32, "n_layer": 2, "n_head": 4},
        {},
    ),
    "falcon/refinedweb": (
        "FalconForCausalLM",
        {
            "vocab_size": 96,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "new_decoder_architecture": True,
        },
        {},
    ),
    "gemma/checkpoint": ("GemmaForCausalLM", DECODER | NARROW, NARROW),
    "gemma/sharded": ("GemmaForCausalLM", DECODER | NARROW, NARROW),
    "gemma2/checkpoint": (
        "Gemma2ForCausalLM",
        DECODER | NARROW | {"query_pre_attn_scalar": 16},
        NARROW,
    ),
    "gemma2/sharded": (
        "Gemma2ForCausalLM",
        DECODER | NARROW | {"query_pre_attn_scalar": 16},
        NARROW,
    ),
    "gpt2/openai": (
        "GPT2LMHeadModel",
        {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40},
        {},
    ),
    "gpt_neo/mesh": (
        "GPTNeoForCausalLM",
        {
            "vocab_size": 96,
            "hidden_size": 32,
            "num_layers": 2,
            "attention_types": [[["global", "local"], 1]],
            "num_heads": 4,
            "max_position_embeddings": 40,
        },
        {},
    ),
    "llama/meta": ("LlamaForCausalLM", DECODER, {}),
    "m2m_100/fairseq": ("M2M100ForConditionalGeneration", SEQ2SEQ, {}),
    "mamba/state-spaces": ("MambaForCausalLM", STATES | {"state_size": 4}, {}),
    "mamba2/codestral": ("Mamba2ForCausalLM", STATES2, {}),
    "mamba2/state-spaces": (
        "Mamba2ForCausalLM",
        STATES2 | {"tie_word_embeddings": True, "pad_token_id": 0, "eos_token_id": 0},
        {},
    ),
    "marian/npz": (
        "MarianMTModel",
        SEQ2SEQ | {"pad_token_id": 95, "decoder_start_token_id": 95, "scale_embedding": True},
        {"max_position_embeddings": 40},
    ),
    "mbart/fairseq": ("MBartForConditionalGeneration", SEQ2SEQ, {}),
    "mistral/consolidated": ("MistralForCausalLM", DECODER, {}),
    "mistral/shards": ("MistralForCausalLM", DECODER, {}),
    "mixtral/blocks": ("MixtralForCausalLM", DECODER | {"num_local_experts": 3}, {}),
    "mixtral/consolidated": ("MixtralForCausalLM", DECODER | {"num_local_experts": 3}, {}),
    "opt/metaseq": ("OPTForCausalLM", OPT, {}),
    "opt/metaseq-fused": ("OPTForCausalLM", OPT, {}),
    "pegasus/tensorflow": (
        "PegasusForConditionalGeneration",
        SEQ2SEQ | {"scale_embedding": True, "activation_function": "relu"},
        {"encoder_attention_heads": 4, "max_position_embeddings": 40},
    ),
    "recurrent_gemma/griffin": (
        "RecurrentGemmaForCausalLM",
        {
            "vocab_size": 96,
            "hidden_size": 32,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "lru_width": 48,
            "attention_window_size": 16,
        },
        {"attention_window_size": 16},
    ),
    "rwkv/blinkdl": (
        "RwkvForCausalLM",
        {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "context_length": 40},
        {"context_length": 40},
    ),
    "t5/mesh": ("T5ForConditionalGeneration", T5, {}),
}
SHARDED = (
    "bloom/megatron",
    "falcon/refinedweb",
    "gemma/sharded",
    "gemma2/sharded",
    "llama/meta",
    "mistral/shards",
    "mixtral/blocks",
)


def absent_zeroed(key: str, model: Any) -> Any:
    """`model` with zeros where the original has nothing."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if key.startswith("pegasus") and "attn." in name and name.endswith("_proj.bias"):
                parameter.zero_()
            if key.startswith("marian") and name == "model.shared.weight":
                parameter[-1] = 0
    return model


def test_every_declared_converter_has_a_case() -> None:
    converters = registry.converters()
    own = {
        name
        for name in converters.names()
        if converters.providers(name)[0].distribution == "dovetail-models-text"
    }
    assert set(CASES) == own


@pytest.mark.parametrize("key", CASES)
def test_there_and_back(key: str, tmp_path: Path) -> None:
    architecture, sizes, given = CASES[key]
    round_trip(key, absent_zeroed(key, tiny(architecture, sizes)), tmp_path, config=given)


@pytest.mark.parametrize("key", SHARDED)
def test_there_and_back_in_parts(key: str, tmp_path: Path) -> None:
    architecture, sizes, given = CASES[key]
    original = round_trip(key, tiny(architecture, sizes), tmp_path, shards=2, config=given)
    assert len(list(original.glob("*0*"))) >= 2


def test_t5_with_gates_and_a_head_of_its_own(tmp_path: Path) -> None:
    sizes = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    model = tiny("T5ForConditionalGeneration", sizes | {"num_decoder_layers": 1})
    round_trip("t5/mesh", model, tmp_path)


def test_a_tied_llama_holds_its_embeddings_once_on_the_hub(tmp_path: Path) -> None:
    model = tiny("LlamaForCausalLM", DECODER | {"tie_word_embeddings": True})
    round_trip("llama/meta", model, tmp_path, config={"tie_word_embeddings": True})


GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "conversions").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_reference_makes_the_same_of_an_original(path: Path, tmp_path: Path) -> None:
    case = json.loads(path.read_text())
    write_original(tmp_path / "original", case["original"], seeded.weight, bundle)
    config = case["original"].get("config")
    done = convert_checkpoint(
        tmp_path / "original", tmp_path / "hub", config=config, dtype=case["dtype"]
    )
    assert f"{done.model_type}/{done.layout}" == case["layout"]
    found = {name: digest(tensor) for name, tensor in read_hub(tmp_path / "hub").items()}
    assert found == {name: case["result"].get(name) for name in found}


def bundle(tensors: Mapping[str, torch.Tensor], prefix: Path) -> None:
    """Write a checkpoint of TensorFlow's."""
    write_bundle({name: MemoryTensor(tensor) for name, tensor in tensors.items()}, prefix)


def test_a_bloom_of_the_hub_is_not_taken_for_a_falcon(tmp_path: Path) -> None:
    architecture, sizes, _ = CASES["bloom/megatron"]
    tiny(architecture, sizes).save_pretrained(tmp_path / "hub", safe_serialization=False)
    with pytest.raises(CheckpointError, match="--to-original"):
        convert_checkpoint(tmp_path / "hub", tmp_path / "out")


def test_marians_vocabulary_is_translated_and_gains_padding(tmp_path: Path) -> None:
    architecture, sizes, given = CASES["marian/npz"]
    model = absent_zeroed("marian/npz", tiny(architecture, sizes))
    model.save_pretrained(tmp_path / "hub")
    convert_checkpoint(tmp_path / "hub", tmp_path / "npz", to_original=True)
    lines = ['"</s>": 0', "▁the: 1", r'"\"": 2', "':': 3", r'"\xab": 4', "a:b: 5", "x\u2028: 6"]
    (tmp_path / "npz" / "opus.vocab.yml").write_text("\n".join([*lines, "'it''s': 7", ""]))
    convert_checkpoint(tmp_path / "npz", tmp_path / "back", config=given)
    vocabulary = json.loads((tmp_path / "back" / "vocab.json").read_text())
    tokens = ["</s>", "▁the", '"', ":", "«", "a:b", "x\u2028", "it's", "<pad>"]
    assert list(vocabulary) == tokens
    convert_checkpoint(tmp_path / "back", tmp_path / "again", to_original=True)
    (tmp_path / "again" / "model.vocab.yml").rename(tmp_path / "npz" / "opus.vocab.yml")
    convert_checkpoint(tmp_path / "npz", tmp_path / "twice", config=given)
    assert json.loads((tmp_path / "twice" / "vocab.json").read_text()) == vocabulary
    (tmp_path / "npz" / "opus.vocab.yml").write_text("nonsense")
    with pytest.raises(CheckpointError, match="line 1, 'nonsense', is no token"):
        convert_checkpoint(tmp_path / "npz", tmp_path / "thrice", config=given)
