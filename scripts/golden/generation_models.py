"""Writes what the reference library's ``generate`` does with tiny Llama, GPT-2, T5 and BART
models.

Runs in the reference library's environment: ``python scripts/golden/generation_models.py FILE``.
Weights come from their names, 1.5 times as large as usual so that texts vary.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from generation import ROOT, seeded
from torch import nn

COMMON = {"vocab_size": 64, "eos_token_id": 7, "bos_token_id": 1, "pad_token_id": 0}
MODELS: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    },
    "GPT2LMHeadModel": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "T5ForConditionalGeneration": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
    "BartForConditionalGeneration": {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 64,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
    },
}
SCORED = {"return_dict_in_generate": True, "output_scores": True}
CASES: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 10},
    "endless": {"max_new_tokens": 10, "eos_token_id": None},
    "without cache": {"max_new_tokens": 8, "use_cache": False},
    "sampled": {"max_new_tokens": 10, "do_sample": True, "top_k": 5, "num_return_sequences": 2},
    "beams": {"max_new_tokens": 10, "num_beams": 3, "num_return_sequences": 2, **SCORED},
    "long beams": {"max_new_tokens": 10, "num_beams": 3, "length_penalty": 2.0, **SCORED},
    "beams drawn": {"max_new_tokens": 8, "num_beams": 3, "do_sample": True, "top_p": 0.9},
    "encoder penalties": {
        "max_new_tokens": 8,
        "encoder_repetition_penalty": 1.5,
        "encoder_no_repeat_ngram_size": 1,
    },
    "inferred mask": {"max_new_tokens": 8, "attention_mask": None},
    "static": {"max_new_tokens": 8, "cache_implementation": "static"},
    "static beams": {"max_new_tokens": 8, "cache_implementation": "static", "num_beams": 2},
    "embeddings": {"max_new_tokens": 6, "embedded": True},
    "embeddings, total length": {"max_length": 12, "embedded": True},
    "embeddings, beams": {"max_new_tokens": 6, "num_beams": 2, "embedded": True},
    "groups": {
        "max_new_tokens": 10,
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 0.6,
        "num_return_sequences": 3,
        **SCORED,
    },
    "single beams apart": {
        "max_new_tokens": 8,
        "num_beams": 3,
        "num_beam_groups": 3,
        "diversity_penalty": 2.0,
        "repetition_penalty": 1.2,
        "num_return_sequences": 3,
    },
    "contrastive": {"max_new_tokens": 10, "penalty_alpha": 0.6, "top_k": 4},
    "contrastive, penalized": {
        "max_new_tokens": 8,
        "penalty_alpha": 0.8,
        "top_k": 6,
        "repetition_penalty": 1.3,
        "eos_token_id": None,
    },
    "prompt lookup": {"max_new_tokens": 12, "prompt_lookup_num_tokens": 4, "single": True},
    "prompt lookup, drawn": {
        "max_new_tokens": 12,
        "prompt_lookup_num_tokens": 3,
        "do_sample": True,
        "eos_token_id": 3,
        "top_k": 2,
        "single": True,
    },
    "assisted": {"max_new_tokens": 12, "drafted": 0.97, "eos_token_id": None},
    "assisted, drawn": {
        "max_new_tokens": 12,
        "drafted": 0.97,
        "do_sample": True,
        "temperature": 0.7,
        "eos_token_id": None,
    },
    "marked": {"max_new_tokens": 12, "watermarking_config": {"bias": 3.0}, "eos_token_id": None},
    "marked by itself": {
        "max_new_tokens": 10,
        "watermarking_config": {"seeding_scheme": "selfhash", "context_width": 2},
        "repetition_penalty": 1.2,
    },
    "forced words": {
        "max_new_tokens": 12,
        "num_beams": 4,
        "force_words_ids": [[40, 41], [[50, 51], [52, 53, 54]]],
        "num_return_sequences": 2,
    },
    "forced": {"max_new_tokens": 8, "forced_bos_token_id": 12, "min_new_tokens": 4},
}
DECODERS: dict[str, dict[str, Any]] = {
    "low layers": {"max_new_tokens": 10, "dola_layers": "low", "repetition_penalty": 1.2},
    "high layers": {"max_new_tokens": 10, "dola_layers": "high", "eos_token_id": None},
    "a layer, drawn": {"max_new_tokens": 10, "dola_layers": [1], "do_sample": True},
    "guided": {"max_new_tokens": 10, "guidance_scale": 1.7, "eos_token_id": None},
    "guided away": {
        "max_new_tokens": 10,
        "guidance_scale": 2.5,
        "negative_prompt_ids": [[9, 11, 12], [0, 13, 14], [8, 8, 20]],
        "negative_prompt_attention_mask": [[1, 1, 1], [0, 1, 1], [1, 1, 1]],
    },
}
SEQ2SEQ = {
    "decoder prompt": {"max_new_tokens": 6, "decoder_input_ids": [[0, 5, 6]] * 3},
    "decoder prompt without start": {"max_new_tokens": 6, "decoder_input_ids": [[5, 6]] * 3},
}
TENSORS = {"decoder_input_ids", "negative_prompt_ids", "negative_prompt_attention_mask"}


def fill(model: nn.Module) -> nn.Module:
    """Give every parameter the value that belongs to its name."""
    for name, tensor in model.state_dict().items():
        value = torch.from_numpy(seeded.weight(name, tuple(tensor.shape)))
        tensor.copy_(value * 1.5)
    model.tie_weights()
    return model.eval()


def ragged(left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Three prompts of 7, 4 and 6 tokens, and their mask."""
    ids = torch.from_numpy(seeded.integers("generation prompts", (3, 7), 8, 64))
    mask = torch.ones_like(ids)
    for row, hidden in ((1, 3), (2, 1)):
        place = slice(None, hidden) if left else slice(7 - hidden, None)
        ids[row, place] = mask[row, place] = 0
    return ids, mask


def draft(model: Any, share: float) -> Any:
    """A model a little different: the same with its body's weights times `share`."""
    assistant = copy.deepcopy(model)
    for name, tensor in assistant.state_dict().items():
        if "norm" not in name and "ln_" not in name:
            tensor.mul_(share)
    return assistant


def run(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What comes out of one case."""
    seq2seq = model.config.is_encoder_decoder
    ids, mask = ragged(left=not seq2seq)
    options = {"attention_mask": mask, **options}
    share = options.pop("drafted", None)
    if options.pop("single", share is not None):
        ids, options["attention_mask"] = ids[:1], mask[:1]
    if share is not None:
        options["assistant_model"] = draft(model, share)
    if options.pop("embedded", False):
        options["inputs_embeds"] = model.get_input_embeddings()(ids)
    else:
        options["inputs"] = ids
    for name in TENSORS & options.keys():
        options[name] = torch.tensor(options[name])
    torch.manual_seed(5)
    result = model.generate(**options)
    if torch.is_tensor(result):
        return {"sequences": result.tolist()}
    scores = [round(score, 6) for score in result.sequences_scores.tolist()]
    return {"sequences": result.sequences.tolist(), "sequences_scores": scores}


def main(path: Path) -> None:
    """Write the file."""
    transformers.logging.set_verbosity_error()
    lines = []
    for name, sizes in MODELS.items():
        kind = getattr(transformers, name)
        config = {**COMMON, **sizes}
        model = fill(kind(kind.config_class(**config)))
        cases = {**CASES, **(SEQ2SEQ if model.config.is_encoder_decoder else DECODERS)}
        for case, options in cases.items():
            if model.config.is_encoder_decoder and "static" in case:
                continue
            entry = {"model": name, "case": case, "config": config, "options": options}
            lines.append(json.dumps({**entry, **run(model, options)}))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "tests/golden/generation/models.json")
