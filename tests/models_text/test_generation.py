"""``generate`` with whole models: what holds between calls."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch._dynamo.testing
from golden.generation_calls import MODELS, Calls
from torch import Tensor

import dovetail
from dovetail.caches import DynamicCache, EncoderDecoderCache, StaticCache
from dovetail.generation import (
    GenerateBeamEncoderDecoderOutput,
    GenerateDecoderOnlyOutput,
    StoppingCriteria,
    TextIteratorStreamer,
)
from dovetail.testing import seeded

CALLS = Calls(dovetail, seeded)
build = CALLS.build
draft = CALLS.draft
DECODERS = ("llama", "gpt2")
TAKE_BACK = tuple(name for name in MODELS if name != "mamba")  # whose states cannot


def ragged(model: Any) -> tuple[Tensor, Tensor]:
    """Three prompts of 7, 4 and 6 tokens, padded where the model wants it, and their mask."""
    return CALLS.prompts(model.config.is_encoder_decoder)


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_alone_gives_what_it_gives_in_a_padded_batch(name: str) -> None:
    model = build(name)
    ids, mask = ragged(model)
    batch = model.generate(ids, attention_mask=mask, max_new_tokens=9, eos_token_id=None)
    for row in range(3):
        alone = ids[row, mask[row].bool()][None]
        text = model.generate(alone, max_new_tokens=9, eos_token_id=None)
        assert text[0, -9:].tolist() == batch[row, -9:].tolist()


@pytest.mark.parametrize("name", DECODERS)
def test_a_text_goes_on_from_its_cache(name: str) -> None:
    model = build(name)
    ids, _ = ragged(model)
    first = model.generate(
        ids[:1], max_new_tokens=4, eos_token_id=None, return_dict_in_generate=True
    )
    assert isinstance(first, GenerateDecoderOnlyOutput)
    assert isinstance(first.past_key_values, DynamicCache)
    text = torch.cat((first.sequences, ids[:1, :2]), dim=1)
    options = {"max_new_tokens": 5, "eos_token_id": None}
    expected = model.generate(text, **options)
    for cache in (first.past_key_values.to_legacy_cache(), first.past_key_values):
        assert torch.equal(model.generate(text, past_key_values=cache, **options), expected)


@pytest.mark.parametrize("name", DECODERS)
def test_beams_go_on_from_one_cache(name: str) -> None:
    model = build(name)
    ids, _ = ragged(model)
    cache = model(ids[:1, :5], use_cache=True).past_key_values
    options = {"max_new_tokens": 5, "num_beams": 3}
    expected = model.generate(ids[:1], **options)
    assert torch.equal(model.generate(ids[:1], past_key_values=cache, **options), expected)


def test_the_callers_static_cache_is_used() -> None:
    model = build("llama")
    ids, mask = ragged(model)
    cache = StaticCache(model.config, 3, 20)
    options = {"attention_mask": mask, "max_new_tokens": 6}
    found = model.generate(ids, past_key_values=cache, **options)
    assert torch.equal(found, model.generate(ids, **options))
    assert cache.get_seq_length() == 12


def test_the_static_cache_is_kept_for_the_next_call() -> None:
    model = build("llama")
    ids, _ = ragged(model)
    options = {"cache_implementation": "static", "return_dict_in_generate": True}
    first = model.generate(ids[:1], max_new_tokens=6, **options)
    second = model.generate(ids[:1, :3], max_new_tokens=6, **options)
    assert second.past_key_values is first.past_key_values
    assert torch.equal(second.sequences, model.generate(ids[:1, :3], max_new_tokens=6))


def test_token_types_and_positions_grow_with_the_text() -> None:
    model = build("gpt2")
    ids, mask = ragged(model)
    types = torch.ones_like(ids)
    found = [
        model.generate(
            ids, attention_mask=mask, token_type_ids=types, max_new_tokens=6, use_cache=use_cache
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(*found)
    positions = torch.arange(7)[None].expand(3, -1)
    plain = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6)
    given = model.generate(
        ids, attention_mask=torch.ones_like(ids), position_ids=positions, max_new_tokens=6
    )
    assert torch.equal(plain, given)


def test_what_an_encoder_read_can_be_given() -> None:
    model = build("t5")
    ids, mask = ragged(model)
    encoded = model.get_encoder()(ids, attention_mask=mask, return_dict=True)
    for options in ({}, {"num_beams": 2}):
        expected = model.generate(ids, attention_mask=mask, max_new_tokens=6, **options)
        for given in (encoded, encoded.to_tuple()):
            found = model.generate(
                encoder_outputs=given, attention_mask=mask, max_new_tokens=6, **options
            )
            assert torch.equal(found, expected)


def test_everything_is_recorded_on_request() -> None:
    model = build("t5")
    ids, mask = ragged(model)
    result = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=4,
        num_beams=2,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        output_attentions=True,
        output_hidden_states=True,
    )
    assert isinstance(result, GenerateBeamEncoderDecoderOutput)
    assert isinstance(result.past_key_values, EncoderDecoderCache)
    assert [step.shape for step in result.scores] == [(6, 64)] * 4
    assert [layer.shape for layer in result.encoder_hidden_states] == [(3, 7, 32)] * 3
    assert [layer.shape for layer in result.encoder_attentions] == [(3, 4, 7, 7)] * 2
    for step in range(4):
        own, cross = result.decoder_attentions[step], result.cross_attentions[step]
        assert [layer.shape for layer in own] == [(6, 4, 1, step + 1)] * 2
        assert [layer.shape for layer in cross] == [(6, 4, 1, 7)] * 2
        assert [layer.shape for layer in result.decoder_hidden_states[step]] == [(6, 1, 32)] * 3


def test_groups_of_beams_say_which_rows_they_followed() -> None:
    model = build("llama")
    ids, mask = ragged(model)
    result = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=6,
        num_beams=4,
        num_beam_groups=2,
        diversity_penalty=0.0001,
        num_return_sequences=4,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    steps = model.compute_transition_scores(result.sequences, result.scores, result.beam_indices)
    assert torch.allclose(steps.sum(-1), result.sequences_scores, atol=1e-3)


@pytest.mark.parametrize("name", TAKE_BACK)
@pytest.mark.parametrize("assistance", ["lookup", "draft", "itself"])
def test_assistance_changes_neither_text_nor_records(name: str, assistance: str) -> None:
    model = build(name)
    ids, _ = CALLS.prompts(False, "repetitive")
    options: dict[str, Any] = {"max_new_tokens": 14, "return_dict_in_generate": True}
    options["cache_implementation"] = "dynamic"  # Gemma 2's own one has columns for text to come
    for flag in ("output_scores", "output_logits", "output_attentions", "output_hidden_states"):
        options[flag] = True
    plain = model.generate(ids, **options)
    if assistance == "lookup":
        options["prompt_lookup_num_tokens"] = 3
    else:
        options["assistant_model"] = draft(model, 0.97) if assistance == "draft" else build(name)
        options["assistant_model"].generation_config.num_assistant_tokens_schedule = "heuristic"
    assisted = model.generate(ids, **options)
    assert torch.equal(assisted.sequences, plain.sequences)
    for expected, found in zip(flat(plain), flat(assisted), strict=True):
        assert torch.allclose(expected, found, atol=1e-4)


def flat(result: Any) -> list[Tensor]:
    """All tensors of an output but its cache's."""
    records = [value for name, value in result.items() if name != "past_key_values"]
    tensors = []
    while records:
        entry = records.pop()
        if isinstance(entry, Tensor):
            tensors.append(entry)
        else:
            records.extend(entry)
    return tensors


def test_guidance_follows_beams_and_guesses() -> None:
    model = build("llama")
    ids, _ = ragged(model)
    options = {"guidance_scale": 2.0, "max_new_tokens": 8, "eos_token_id": None}
    expected = model.generate(ids[:1], **options)
    assert torch.equal(model.generate(ids[:1], prompt_lookup_num_tokens=3, **options), expected)
    assert torch.equal(model.generate(ids[:1], use_cache=False, **options), expected)
    beams = [
        model.generate(ids[:1], num_beams=3, use_cache=use_cache, **options)
        for use_cache in (True, False)
    ]
    assert torch.equal(*beams)


@pytest.mark.parametrize("scheme", ["lefthash", "selfhash"])
def test_a_watermark_is_found_where_there_is_one(scheme: str) -> None:
    model = build("llama")
    ids, mask = ragged(model)
    mark = dovetail.WatermarkingConfig(bias=8.0, seeding_scheme=scheme, context_width=2)
    detector = dovetail.WatermarkDetector(model.config, "cpu", mark)
    options = {"attention_mask": mask, "max_new_tokens": 40, "eos_token_id": None}
    torch.manual_seed(1)
    plain = model.generate(ids, do_sample=True, **options)[:, 7:]
    marked = model.generate(ids, do_sample=True, watermarking_config=mark, **options)[:, 7:]
    assert detector(marked).tolist() == [True] * 3
    assert detector(plain).tolist() == [False] * 3
    found = detector(marked, return_dict=True)
    assert torch.allclose(found.green_fraction, found.num_green_tokens / found.num_tokens_scored)
    assert bool((found.confidence > 0.99).all())
    with pytest.raises(dovetail.errors.GenerationError, match="needs at least 3"):
        detector(marked[:, :2])


def test_a_row_that_a_criterion_stops_stays_open_until_all_stop() -> None:
    class Lengths(StoppingCriteria):
        def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
            return torch.tensor([input_ids.shape[1] >= limit for limit in (8, 10, 9)])

    model = build("llama")
    ids, mask = ragged(model)
    options = {"attention_mask": mask, "eos_token_id": None}
    expected = model.generate(ids, max_new_tokens=3, **options)
    found = model.generate(ids, max_new_tokens=9, stopping_criteria=[Lengths()], **options)
    assert torch.equal(found, expected)


def test_tokens_are_streamed_as_they_come() -> None:
    class Numbers:
        def decode(self, token_ids: list[int], **kwargs: Any) -> str:
            return "".join(f"{token} " for token in token_ids)

    model = build("llama")
    ids, _ = ragged(model)
    streamer = TextIteratorStreamer(Numbers(), timeout=5)
    result = model.generate(ids[:1], max_new_tokens=5, streamer=streamer)
    assert "".join(streamer).split() == [str(token) for token in result[0].tolist()]


def test_a_stop_string_ends_the_text() -> None:
    class Letters:
        def decode(self, token_ids: list[int], **kwargs: Any) -> str:
            return "".join(chr(48 + token) for token in token_ids)

    model = build("llama")
    ids, _ = ragged(model)
    free = model.generate(ids[:1], max_new_tokens=8, eos_token_id=None)[0]
    stop = Letters().decode(free[9:11].tolist())
    found = model.generate(
        ids[:1], max_new_tokens=8, eos_token_id=None, stop_strings=[stop], tokenizer=Letters()
    )
    assert found[0].tolist() == free[:11].tolist()


def test_no_gradients_and_usable_results() -> None:
    model = build("llama")
    ids, _ = ragged(model)
    result = model.generate(
        ids[:1], max_new_tokens=3, return_dict_in_generate=True, output_logits=True
    )
    assert not result.logits[0].requires_grad
    assert not result.sequences.is_inference()
    loss = model(result.sequences, labels=result.sequences).loss
    loss.backward()
    assert next(model.parameters()).grad is not None


def test_a_compiled_model_with_a_static_cache_compiles_prompt_and_step_once() -> None:
    model = build("llama")
    ids, _ = ragged(model)
    expected = model.generate(ids[:1], max_new_tokens=8)
    torch._dynamo.reset()
    compiled = torch._dynamo.testing.CompileCounter()
    model.forward = torch.compile(model.forward, backend=compiled)
    for _ in range(2):
        found = model.generate(ids[:1], max_new_tokens=8, cache_implementation="static")
        assert torch.equal(found, expected)
    assert compiled.frame_count == 2
