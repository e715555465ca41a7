"""Texts of a given form from real architectures, behind an encoder too, and from pipelines."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tests.core.byte_level import byte_level

from dovetail import (
    BartConfig,
    BartForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    pipeline,
)

TOKENIZER = byte_level()
SIZE = len(TOKENIZER)
SCHEMA = {
    "type": "array",
    "items": {"enum": ["name", True, 12]},
    "minItems": 2,
    "maxItems": 3,
    "x-guidance": {"whitespace_flexible": False},
}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def bart() -> Any:
    sizes = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 32)
    layers = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2)
    config = BartConfig(vocab_size=SIZE, d_model=16, **sizes, **layers, **heads, **IDS)
    config.decoder_start_token_id, config.forced_eos_token_id = 2, 2
    config.forced_bos_token_id = 1  # a first token that is not part of the text
    return BartForConditionalGeneration(config)


def t5() -> Any:
    config = T5Config(
        vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, **IDS
    )
    config.decoder_start_token_id = 0
    return T5ForConditionalGeneration(config)


def llama() -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=SIZE, num_hidden_layers=1, **sizes, **IDS))


@pytest.mark.parametrize("make", [bart, t5, llama])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"do_sample": True, "num_return_sequences": 2},
    ],
    ids=["greedy", "beams", "sampling"],
)
def test_every_text_is_valid(make: Any, settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = make().eval()
    batch = TOKENIZER(["hello the", "x"], return_tensors="pt", padding=True, padding_side="left")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    options = {"json_schema": SCHEMA, "tokenizer": TOKENIZER, "max_new_tokens": 60}
    rows = model.generate(**inputs, **options, **settings)
    begin = 1 if model.config.is_encoder_decoder else 5
    for row in rows[:, begin:].tolist():
        assert row.count(2) == 1
        value = json.loads(TOKENIZER.decode(row, skip_special_tokens=True))
        assert 2 <= len(value) <= 3
        assert all(entry in ("name", True, 12) for entry in value)


def test_a_pipeline_hands_its_tokenizer_on() -> None:
    torch.manual_seed(0)
    model = llama().eval()
    pipe = pipeline("text-generation", model=model, tokenizer=TOKENIZER, device="cpu")
    options = {"max_new_tokens": 60, "return_full_text": False}
    [answer] = pipe("hello", json_schema=SCHEMA, **options)
    assert len(json.loads(answer["generated_text"])) >= 2
    [answer] = pipe("hello", regex="true|name", **options)
    assert answer["generated_text"] in ("true", "name")


def test_requests_that_are_batched_continuously_keep_to_it_too() -> None:
    torch.manual_seed(0)
    model = llama().eval()
    prompts = [TOKENIZER.encode(text) for text in ("hello the", "x")]
    options = {"json_schema": SCHEMA, "tokenizer": TOKENIZER, "max_new_tokens": 60}
    outputs = model.generate_batch(prompts, **options)
    for prompt, output in zip(prompts, outputs.values(), strict=True):
        alone = model.generate(torch.tensor([prompt]), **options)[0, len(prompt) :]
        assert output.generated_tokens == alone.tolist()
        json.loads(TOKENIZER.decode(alone, skip_special_tokens=True))
