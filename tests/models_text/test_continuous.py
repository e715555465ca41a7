"""Continuous batching of every kind of decoder gives the texts that ``generate`` gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import dovetail
from dovetail.errors import GenerationError
from dovetail.generation import ContinuousBatchingConfig, LogitsProcessor

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
LLAMA = SIZES | {"intermediate_size": 48, "num_key_value_heads": 2, "pad_token_id": 0}
GPT = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}
WINDOWS = {"sliding_window": 5}
DECODERS: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA | WINDOWS,
    "MixtralForCausalLM": LLAMA | {"num_local_experts": 4},
    "Gemma2ForCausalLM": LLAMA | WINDOWS | {"head_dim": 8, "query_pre_attn_scalar": 8},
    "GPT2LMHeadModel": GPT,
    "GPTJForCausalLM": GPT | {"rotary_dim": 4},
    "GPTBigCodeForCausalLM": GPT,
    "GPTNeoXForCausalLM": SIZES | {"intermediate_size": 48},
    "GPTNeoForCausalLM": {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 4,
        "initializer_range": 0.3,
    },
    "BloomForCausalLM": GPT | {"hidden_size": 32},
    "FalconForCausalLM": SIZES | {"alibi": True},
    "MptForCausalLM": {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4},
    "OPTForCausalLM": {
        "vocab_size": 64,
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
        "init_std": 0.3,
    },
}
SMALL_PASSES = ContinuousBatchingConfig(
    page_size=3, num_blocks=16, max_batch_tokens=6, safety_margin=0.0
)
BOTH = pytest.mark.parametrize(
    "batching", [ContinuousBatchingConfig(), SMALL_PASSES], ids=["usual", "small"]
)


def build(name: str, **changed: Any) -> Any:
    torch.manual_seed(0)
    kind = getattr(dovetail, name)
    tokens = {"eos_token_id": None, "bos_token_id": None}
    return kind(kind.config_class(**DECODERS.get(name, LLAMA) | tokens | changed)).eval()


def ragged() -> list[list[int]]:
    """Seven prompts, among them two of one token and one longer than a small pass."""
    generator = torch.Generator().manual_seed(3)
    return [
        torch.randint(3, 64, (length,), generator=generator).tolist()
        for length in (1, 5, 13, 2, 30, 1, 9)
    ]


def alone(model: Any, prompt: list[int], **options: Any) -> list[int]:
    ids = torch.tensor([prompt])
    options = {"max_new_tokens": 8, "do_sample": False} | options
    return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[
        0, len(prompt) :
    ].tolist()


@BOTH
@pytest.mark.parametrize("name", DECODERS)
def test_greedy_tokens_are_those_of_generate(name: str, batching: ContinuousBatchingConfig):
    model = build(name)
    expected = [alone(model, prompt) for prompt in ragged()]
    assert len({tuple(tokens) for tokens in expected}) > 3
    outputs = model.generate_batch(
        ragged(), continuous_batching_config=batching, max_new_tokens=8, do_sample=False
    )
    assert [output.generated_tokens for output in outputs.values()] == expected


@pytest.mark.parametrize("implementation", ["eager", "flex_attention"])
def test_every_attention_implementation_serves(implementation: str):
    expected = [alone(build("MistralForCausalLM"), prompt) for prompt in ragged()]
    model = build("MistralForCausalLM", attn_implementation=implementation)
    outputs = model.generate_batch(
        ragged(), continuous_batching_config=SMALL_PASSES, max_new_tokens=8, do_sample=False
    )
    assert [output.generated_tokens for output in outputs.values()] == expected


def test_each_request_follows_its_own_settings():
    class Even(LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores.masked_fill(torch.arange(scores.shape[-1]) % 2 == 1, -torch.inf)

    model, prompts = build("LlamaForCausalLM"), ragged()
    plain = [alone(model, prompt, max_new_tokens=20) for prompt in prompts]
    wishes: list[dict[str, Any]] = [
        {},
        {"max_new_tokens": 3},
        {"eos_token_id": plain[2][4]},
        {"repetition_penalty": 3.0, "no_repeat_ngram_size": 2},
        {"logits_processor": [Even()]},
        {"eos_token_id": [plain[5][0]], "min_new_tokens": 5},
        {"bad_words_ids": [[plain[6][0]]]},
    ]
    expected = [
        alone(model, prompt, **{"max_new_tokens": 20, "pad_token_id": 0} | wish)
        for prompt, wish in zip(prompts, wishes, strict=True)
    ]
    with model.continuous_batching_context_manager(
        dovetail.GenerationConfig(max_new_tokens=20, do_sample=False),
        continuous_batching_config=ContinuousBatchingConfig(page_size=3, num_blocks=20),
    ) as manager:
        names = [
            manager.add_request(prompt, **wish)
            for prompt, wish in zip(prompts, wishes, strict=True)
        ]
        found = [manager.get_result(name, 30).generated_tokens for name in names]
    assert found == expected
    assert {len(tokens) for tokens in found} == {3, 5, 20}


def test_a_draw_does_not_depend_on_what_else_runs():
    model, prompts = build("LlamaForCausalLM"), ragged()
    options = {"max_new_tokens": 8, "do_sample": True, "temperature": 0.8, "top_k": 20}
    results = []
    for limit in (None, 1):
        batching = ContinuousBatchingConfig(seed=5, page_size=4, max_requests_per_batch=limit)
        outputs = model.generate_batch(prompts, continuous_batching_config=batching, **options)
        results.append([output.generated_tokens for output in outputs.values()])
    assert results[0] == results[1]
    torch.manual_seed(7)
    expected = alone(model, prompts[2], **options)
    torch.manual_seed(7)
    (output,) = model.generate_batch(prompts[2:3], **options).values()
    assert output.generated_tokens == expected


def test_several_texts_of_a_prompt_have_names_of_their_own():
    model = build("LlamaForCausalLM")
    outputs = model.generate_batch(
        ragged()[:2],
        continuous_batching_config=ContinuousBatchingConfig(seed=1),
        max_new_tokens=8,
        do_sample=True,
        num_return_sequences=2,
    )
    assert list(outputs) == ["req_0", "req_0__child#0", "req_1", "req_1__child#0"]
    assert len({tuple(output.generated_tokens) for output in outputs.values()}) == 4


def test_the_probability_of_each_token_is_noted():
    model, prompt = build("LlamaForCausalLM"), ragged()[2]
    (output,) = model.generate_batch(
        [prompt],
        continuous_batching_config=ContinuousBatchingConfig(return_logprobs=True),
        max_new_tokens=4,
    ).values()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + output.generated_tokens])).logits[0]
    scores = logits.log_softmax(-1)[len(prompt) - 1 : -1].max(-1).values
    torch.testing.assert_close(torch.tensor(output.logprobs), scores, atol=1e-4, rtol=1e-4)


def test_frequencies_that_change_with_the_length_bound_the_text():
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    model = build("LlamaForCausalLM", rope_scaling=scaling, max_position_embeddings=24)
    prompts = [prompt for prompt in ragged() if len(prompt) < 24]
    expected = [alone(model, prompt) for prompt in prompts]
    short, (long,) = (
        list(model.generate_batch(texts, max_new_tokens=8).values())
        for texts in (prompts, [[5] * 17])
    )
    assert [output.generated_tokens for output in short] == expected
    assert "25 tokens, and from 24 on" in long.error


def test_a_text_beyond_the_positions_of_the_model_fails_alone():
    model = build("GPT2LMHeadModel", n_positions=16)
    short, long = ragged()[1], ragged()[2]
    outputs = list(model.generate_batch([long, short], max_new_tokens=8).values())
    assert outputs[0].error.startswith("the text has 17 tokens and the model 16 positions: Index")
    assert outputs[0].generated_tokens == alone(model, long, max_new_tokens=4)
    assert outputs[1].generated_tokens == alone(model, short)


@pytest.mark.parametrize(
    ("name", "sizes", "words"),
    [
        (
            "T5ForConditionalGeneration",
            {"vocab_size": 64, "d_model": 32, "num_layers": 1, "num_heads": 4, "d_kv": 8},
            "encoder-decoder",
        ),
        (
            "RwkvForCausalLM",
            {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1},
            "recurrent states",
        ),
    ],
)
def test_models_whose_texts_cannot_be_packed_are_refused(
    name: str, sizes: dict[str, Any], words: str
):
    kind = getattr(dovetail, name)
    model = kind(kind.config_class(**sizes))
    with pytest.raises(GenerationError, match=f"{name} cannot batch continuously.*{words}"):
        model.generate_batch([[1, 2]])
    with pytest.raises(GenerationError, match=words):
        model.init_continuous_batching()
