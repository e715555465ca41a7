"""Arguments of ``generate`` that cannot be: each one clear error, before the model runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dovetail.caches import DynamicCache, QuantizedCacheConfig, StaticCache, state_layer
from dovetail.configs import PretrainedConfig
from dovetail.errors import GenerationError
from dovetail.generation import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    MaxLengthCriteria,
    NoRepeatNGramLogitsProcessor,
    PhrasalConstraint,
    TextStreamer,
)
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import CausalLMOutputWithPast


class BigramConfig(PretrainedConfig):
    model_type = "bigram"
    vocab_size: int = 12
    hidden_size: int = 4
    num_hidden_layers: int = 1
    num_attention_heads: int = 1
    max_position_embeddings: int = 64


class Bigram(PreTrainedModel, GenerationMixin):
    """Refuses to run: whatever reaches its forward pass was not refused in time."""

    config_class = BigramConfig

    def __init__(self, config: BigramConfig) -> None:
        super().__init__(config)
        self.table = nn.Embedding(config.vocab_size, config.vocab_size)

    def get_input_embeddings(self) -> nn.Module:
        return self.table

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool = True,
    ) -> CausalLMOutputWithPast:
        raise RuntimeError("the model ran")


PROMPT = torch.tensor([[3, 4, 5]])


def filled(layers: int = 1, rows: int = 1, heads: int = 1, width: int = 4) -> DynamicCache:
    """A cache of two positions."""
    cache, states = DynamicCache(), torch.zeros(rows, heads, 2, width)
    for index in range(layers):
        cache.update(states, states, index)
    return cache


@pytest.fixture
def model() -> Bigram:
    return Bigram(BigramConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0))


def of_states() -> DynamicCache:
    """The cache of a recurrent model."""
    cache = DynamicCache()
    state_layer(cache, 0).put(2, state=torch.zeros(1, 4))
    return cache


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "negative max_new_tokens": ({"max_new_tokens": -1}, "max_new_tokens=-1: it must be an integer"),
    "no new tokens": ({"max_new_tokens": 0}, "max_new_tokens=0"),
    "fraction of tokens": ({"max_new_tokens": 2.5}, "max_new_tokens=2.5"),
    "negative max_length": ({"max_length": -5}, "max_length=-5"),
    "negative min_length": (
        {"min_length": -1},
        "min_length=-1: it must be an integer of at least 0",
    ),
    "top_p": ({"top_p": 2}, "top_p=2: it must be a number from 0 to 1"),
    "top_p in sampling": ({"top_p": -0.1, "do_sample": True}, "top_p=-0.1"),
    "temperature": ({"temperature": -1.0}, "temperature=-1.0: it must be a number above 0"),
    "zero temperature": ({"temperature": 0.0, "do_sample": True}, "temperature=0 cannot be used"),
    "infinite temperature": ({"temperature": float("inf")}, "temperature=inf"),
    "top_k": ({"top_k": -3}, "top_k=-3"),
    "repetition_penalty": ({"repetition_penalty": 0}, "repetition_penalty=0"),
    "num_beams": ({"num_beams": 0}, "num_beams=0"),
    "text as number": ({"num_beams": "three"}, "num_beams='three'"),
    "flag": ({"do_sample": "yes"}, "do_sample='yes': it must be True or False"),
    "early_stopping": ({"num_beams": 2, "early_stopping": "always"}, "early_stopping='always'"),
    "many of one": ({"num_return_sequences": 3}, "num_return_sequences=3: greedy search has one"),
    "more than beams": (
        {"num_return_sequences": 3, "num_beams": 2},
        "num_return_sequences=3 exceeds num_beams=2",
    ),
    "groups": (
        {"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 1.0},
        "num_beam_groups=3 does not divide num_beams=4",
    ),
    "unknown argument": ({"max_new_tokns": 3}, "max_new_tokns.*Did you mean 'max_new_tokens'"),
    "unknown model input": ({"atention_mask": PROMPT}, "Did you mean 'attention_mask'"),
    "cache": ({"cache_implementation": "statik"}, "cache_implementation='statik'"),
    "backend": (
        {"cache_implementation": "quantized", "cache_config": {"backend": "quantum"}},
        "no cache implementation 'quantized/quantum'. Did you mean 'quantized/quanto'",
    ),
    "bits": (
        {"cache_implementation": "quantized", "cache_config": {"nbits": 3}},
        "nbits=3: it must be 1, 2, 4 or 8",
    ),
    "groups of a cache": (
        {"cache_implementation": "quantized", "cache_config": {"q_group_size": 3}},
        "q_group_size=3 does not divide the 4 channels",
    ),
    "settings of another cache": (
        {"cache_implementation": "static", "cache_config": QuantizedCacheConfig()},
        "cache_config is a QuantizedCacheConfig: the cache 'static' is configured by a Static",
    ),
    "a cache without settings": (
        {"cache_implementation": "offloaded", "cache_config": {"nbits": 4}},
        "the cache 'offloaded' has no settings",
    ),
    "a reserved batch": (
        {"cache_implementation": "static", "cache_config": {"batch_size": 2, "max_cache_len": 40}},
        "batch_size=2 and there are 1 texts",
    ),
    "a reserved length": (
        {
            "cache_implementation": "static",
            "cache_config": {"batch_size": 1, "max_cache_len": 4},
            "max_new_tokens": 9,
        },
        "max_cache_len=4 and the text may need 12",
    ),
    "a part of the prompt": ({"prefill_chunk_size": 0}, "prefill_chunk_size=0"),
    "records of parts": (
        {
            "prefill_chunk_size": 2,
            "output_attentions": True,
            "return_dict_in_generate": True,
        },
        "output_attentions=True needs all of it in one pass",
    ),
    "contrast of parts": (
        {"prefill_chunk_size": 2, "penalty_alpha": 0.5, "top_k": 4},
        "penalty_alpha=0.5 needs all of it in one pass",
    ),
    "a cache of more layers": (
        {"past_key_values": filled(layers=3)},
        "past_key_values has 3 layers and Bigram 1",
    ),
    "a cache of wider heads": (
        {"past_key_values": filled(width=8)},
        "keys of 1 heads of width 8, and Bigram 1 of 4",
    ),
    "a cache of more heads": (
        {"past_key_values": filled(heads=2)},
        "keys of 2 heads of width 4, and Bigram 1 of 4",
    ),
    "a cache of states": (
        {"past_key_values": of_states()},
        "layer 0 holds a state, and that of Bigram does not",
    ),
    "tuples of older code": (
        {"past_key_values": ((torch.zeros(1, 1, 2, 4),),)},
        "layer 0 is no pair of key and value",
    ),
    "a cache of more texts": (
        {"past_key_values": filled(rows=2)},
        "layer 0 holds 2 rows and there are 1",
    ),
    "two caches": (
        {"cache_implementation": "static", "past_key_values": DynamicCache()},
        "both name a cache",
    ),
    "short cache": (
        {"past_key_values": StaticCache(BigramConfig(), 1, 4), "max_new_tokens": 9},
        "room for 4 positions and the text may need 11",
    ),
    "long prompt": ({"max_length": 3}, "the prompt has 3 tokens and max_length=3"),
    "id beyond the vocabulary": ({"inputs": torch.tensor([[3, 12]])}, "id 12: ids go from 0 to 11"),
    "negative id": ({"inputs": torch.tensor([[3, -1]])}, "holds token id -1"),
    "no tokens": ({"inputs": PROMPT[:, :0]}, r"input_ids of shape \(1, 0\) is empty"),
    "no rows": ({"inputs": PROMPT[:0]}, r"input_ids of shape \(0, 3\) is empty"),
    "one dimension": ({"inputs": PROMPT[0]}, r"shape \(3,\): it must be \(batch, length\)"),
    "list": ({"inputs": [[3, 4]]}, "input_ids is a list: give a tensor"),
    "real ids": ({"inputs": PROMPT.float()}, "torch.float32 numbers: token ids are integers"),
    "prompt twice": ({"input_ids": PROMPT}, "both inputs and input_ids"),
    "mask too short": (
        {"attention_mask": torch.ones(1, 2)},
        r"shape \(1, 2\) and input_ids \(1, 3\)",
    ),
    "mask of a matrix": ({"attention_mask": torch.ones(1, 3, 3)}, r"the mask must be \(1, 3\)"),
    "mask that hides all": (
        {"inputs": PROMPT.expand(2, 3), "attention_mask": torch.tensor([[1, 1, 1], [0, 0, 0]])},
        "attention_mask hides every token of row 1",
    ),
    "unknown padding": ({"pad_token_id": 12}, "pad_token_id=12 is outside the vocabulary: ids go"),
    "unknown end": ({"eos_token_id": [2, 40]}, "eos_token_id=40 is outside the vocabulary"),
    "more than may be": (
        {"max_new_tokens": 3, "min_new_tokens": 4},
        "min_new_tokens=4 exceeds max_new_tokens=3",
    ),
    "mask as list": ({"attention_mask": [[1, 1, 1]]}, "attention_mask is a list"),
    "forced begin": ({"forced_bos_token_id": 40}, "forced_bos_token_id=40 is outside"),
    "forced end": ({"forced_eos_token_id": 40}, "forced_eos_token_id=40 is outside"),
    "forced and suppressed": (
        {"forced_eos_token_id": [5], "suppress_tokens": [4, 5]},
        "forced_eos_token_id=.5. is in suppress_tokens",
    ),
    "bias": ({"sequence_bias": "none"}, "sequence_bias='none': give a dictionary"),
    "bad words": ({"bad_words_ids": []}, "bad_words_ids="),
    "stop string without tokenizer": (
        {"stop_strings": "."},
        r"generate\(..., tokenizer=tokenizer\)",
    ),
    "empty stop string": ({"stop_strings": [""], "tokenizer": 1}, "none empty"),
    "no end": ({"max_length": None, "eos_token_id": None}, "nothing would stop"),
    "beams without end": (
        {"max_length": None, "eos_token_id": None, "num_beams": 2},
        "beam search has no end",
    ),
    "assistant": ({"assistant_model": 1}, "assistant_model is a int"),
    "assistance to two": (
        {"prompt_lookup_num_tokens": 2, "inputs": PROMPT.expand(2, -1)},
        "the batch has 2 prompts",
    ),
    "assistance without cache": (
        {"prompt_lookup_num_tokens": 2, "use_cache": False},
        "use_cache=False.*needs use_cache=True",
    ),
    "assistance in a fixed cache": (
        {"prompt_lookup_num_tokens": 2, "cache_implementation": "static"},
        "a dynamic cache",
    ),
    "assistance by nobody": ({"custom_generate": "assisted_generation"}, "nothing to assist it"),
    "assistant of another vocabulary": (
        {"assistant_model": Bigram(BigramConfig(vocab_size=9))},
        "writes 9 tokens and the model 12",
    ),
    "assistant and beams": (
        {"assistant_model": 1, "num_beams": 2},
        "assistant_model works with greedy search and sampling alone",
    ),
    "unused assistant": ({"assistant_tokenizer": 1}, "assistant_tokenizer: .* has no use for it"),
    "unknown strategy": ({"custom_generate": "greedy_serch"}, "Did you mean 'greedy_search'"),
    "negative prompt without guidance": (
        {"negative_prompt_ids": PROMPT},
        "negative_prompt_ids has no use with guidance_scale=None",
    ),
    "negative prompts of others": (
        {"guidance_scale": 3.0, "negative_prompt_ids": PROMPT.expand(2, -1)},
        r"shape \(2, 3\) for 1 prompts",
    ),
    "guided groups": (
        {"guidance_scale": 3.0, "num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1.0},
        "num_beam_groups=2: set it to 1",
    ),
    "share of green tokens": (
        {"watermarking_config": {"greenlist_ratio": 1.5}},
        "greenlist_ratio=1.5: it must be a number between 0 and 1",
    ),
    "watermark of a strange kind": (
        {"watermarking_config": {"seeding_scheme": "righthash"}},
        "seeding_scheme='righthash'",
    ),
    "watermark's unknown setting": (
        {"watermarking_config": {"ratio": 0.5}},
        "watermarking_config has ratio",
    ),
    "forced words of one beam": ({"force_words_ids": [[3]]}, "num_beams=1: constraints"),
    "forced words without tokens": (
        {"num_beams": 2, "force_words_ids": [[]]},
        "it must be a list of token ids, not empty",
    ),
    "a forced word": ({"num_beams": 2, "force_words_ids": [3]}, r"force_words_ids=\[3\]"),
    "more words than tokens": (
        {"num_beams": 2, "force_words_ids": [[3, 4, 5]], "max_new_tokens": 2},
        "max_new_tokens=2: the constraints need at least 3",
    ),
    "strange constraint": ({"num_beams": 2, "constraints": ["word"]}, "constraints holds a str"),
    "schedule of guesses": (
        {"num_assistant_tokens_schedule": "linear"},
        "num_assistant_tokens_schedule='linear': it must be one of constant",
    ),
    "layers to contrast": ({"dola_layers": "middle"}, "dola_layers='middle': it must be 'low'"),
    "no layers to contrast": ({"dola_layers": []}, r"dola_layers=\[\]"),
    "no head to contrast with": ({"dola_layers": "low"}, "Bigram has no output layer"),
    "streamed beams": ({"num_beams": 2, "streamer": TextStreamer(None)}, "set num_beams=1"),
    "processor twice": (
        {
            "no_repeat_ngram_size": 2,
            "logits_processor": LogitsProcessorList([NoRepeatNGramLogitsProcessor(3)]),
        },
        "give either the object or the setting",
    ),
    "criterion twice": (
        {"stopping_criteria": [MaxLengthCriteria(4)]},
        "give either the object or the setting",
    ),
    "padding of two tokens": ({"pad_token_id": [1, 2]}, r"pad_token_id=\[1, 2\]: it must be a tok"),
    "padding as text": ({"pad_token_id": "x"}, "pad_token_id='x'"),
    "decay of one number": (
        {"exponential_decay_length_penalty": (1,)},
        r"exponential_decay_length_penalty=\(1,\): it must be a pair",
    ),
    "decay by nothing": ({"exponential_decay_length_penalty": (1, 0.0)}, "a factor above 0"),
    "watermark as number": ({"watermarking_config": 3}, "watermarking_config=3: it must be a Wat"),
    "nothing left to write": (
        {"suppress_tokens": list(range(12))},
        "suppress_tokens holds all 12 tokens",
    ),
    "nothing to begin with": (
        {"begin_suppress_tokens": list(range(12))},
        "begin_suppress_tokens holds all 12",
    ),
    "nothing but bad words": (
        {"bad_words_ids": [[token] for token in range(12)], "eos_token_id": None},
        "bad_words_ids holds all 12 tokens",
    ),
    "bias of nan": ({"sequence_bias": {(3,): float("nan")}}, "nan is no bias"),
    "processes that are not there": ({"synced_gpus": True}, "no process group was started"),
    "unknown bad word": ({"bad_words_ids": [[3, 40]]}, "bad_words_ids=40 is outside the vocab"),
    "unknown biased word": ({"sequence_bias": {(40, 41): 1.0}}, r"sequence_bias=\[40, 41\] is out"),
    "unknown forced word": (
        {"num_beams": 2, "force_words_ids": [[[3], [40]]]},
        "force_words_ids=40 is outside the vocabulary",
    ),
    "unknown phrase": (
        {"num_beams": 2, "constraints": [PhrasalConstraint([40])]},
        "constraints=40 is outside the vocabulary",
    ),
    "stop strings of no kind": ({"stop_strings": 3, "tokenizer": 1}, "stop_strings=3: give a str"),
    "tokenizer of no kind": ({"stop_strings": ".", "tokenizer": 1}, "which decodes nothing"),
    "processor of no kind": ({"logits_processor": [3]}, "logits_processor holds a int"),
    "processors as number": ({"logits_processor": 3}, "logits_processor is a int: give a list"),
    "criterion of no kind": ({"stopping_criteria": [3]}, "stopping_criteria holds a int"),
    "prefixes of no kind": ({"prefix_allowed_tokens_fn": 3}, "give a function of the batch index"),
    "streamer of no kind": ({"streamer": 3}, "it needs the methods put and end"),
    "cache of no kind": ({"past_key_values": 3}, "past_key_values is a int: give a cache"),
    "loop of no kind": ({"custom_generate": 3}, "custom_generate is a int: give the name of"),
    "settings as dictionary": ({"generation_config": {"top_k": 3}}, "generation_config is a dict"),
}


@pytest.mark.parametrize(("arguments", "message"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named_before_the_model_runs(
    model: Bigram, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(GenerationError) as caught:
        model.generate(**{"inputs": PROMPT, **arguments})
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_sound_call_reaches_the_model(model: Bigram) -> None:
    with pytest.raises(RuntimeError, match="the model ran"):
        model.generate(PROMPT, max_new_tokens=3)


def test_ends_and_padding_of_a_model_with_a_cut_vocabulary() -> None:
    model = Bigram(BigramConfig(bos_token_id=1, eos_token_id=50, pad_token_id=99))
    for settings in ({}, {"eos_token_id": -1}):
        with pytest.raises(RuntimeError, match="the model ran"):
            model.generate(PROMPT, max_new_tokens=3, **settings)


def test_no_prompt_and_no_begin_token() -> None:
    model = Bigram(BigramConfig())
    with pytest.raises(GenerationError, match="needs a prompt"):
        model.generate(max_new_tokens=3)


def test_a_cache_that_holds_the_whole_prompt(model: Bigram) -> None:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4), 0)
    with pytest.raises(GenerationError, match="cache holds 3 positions and the prompt 3"):
        model.generate(PROMPT, past_key_values=cache, max_new_tokens=3)


def test_a_model_without_logits(model: Bigram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bigram, "can_generate", classmethod(lambda cls: False))
    with pytest.raises(GenerationError, match="Bigram has no next-token logits"):
        model.generate(PROMPT)


def test_settings_of_the_call_win_over_those_given_and_those_of_the_model(model: Bigram) -> None:
    model.generation_config.update(max_new_tokens=5, repetition_penalty=1.5)
    given = GenerationConfig(max_new_tokens=7, no_repeat_ngram_size=2)
    config, rest = model._prepare_generation_config(given, max_new_tokens=9, attention_mask=PROMPT)
    assert (config.max_new_tokens, config.no_repeat_ngram_size) == (9, 2)
    assert config.repetition_penalty == 1.0  # settings given replace the model's, tokens apart
    assert config.eos_token_id == 2
    assert list(rest) == ["attention_mask"]
    assert given.max_new_tokens == 7


def test_settings_changed_in_the_model_config_are_followed(
    model: Bigram, caplog: pytest.LogCaptureFixture
) -> None:
    model.config.max_length = 31
    config, _ = model._prepare_generation_config(None)
    assert config.max_length == 31
    assert "better change model.generation_config" in caplog.text
    model.generation_config.max_length = 32
    model.config.max_length = 33
    config, _ = model._prepare_generation_config(None)
    assert config.max_length == 32
