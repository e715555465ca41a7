"""Every kind of cache: steps equal one pass, and rows are moved, split and copied alike."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from tests.core.cache_kinds import CLOSE, EVERY, EXACT, LIMIT, PLAIN, ROWS, fill, model_for, states
from tests.core.decoder import some_ids
from torch import Tensor

from dovetail.caches import Cache, DynamicCache, EncoderDecoderCache, StaticCache

LENGTH = 11


@pytest.fixture(params=EVERY)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def make(kind: str) -> Cache:
    config, build = EVERY[kind]
    return build(config)


def filled(kind: str, length: int = 5) -> Cache:
    return fill(make(kind), length)


def expect(cache: Cache, keys: Tensor, kind: str) -> None:
    """`cache` holds `keys` in both layers, and their negatives as values."""
    tolerance = 0.02 if kind in CLOSE else 0.0
    assert len(cache) == 2
    for pair in cache:
        for tensor, expected in zip(pair, (keys, -keys), strict=True):
            torch.testing.assert_close(tensor, expected, rtol=0, atol=tolerance)


def expect_close(logits: Tensor, expected: Tensor, kind: str) -> None:
    """The logits are those of a pass without a cache, or near them."""
    tolerance = (0.02 if kind in CLOSE else 1e-5) * expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("sizes", [[1] * LENGTH, [3, 5, 3], [LENGTH - 1, 1], [7, 1, 1, 2]])
@torch.no_grad()
def test_steps_equal_one_pass(kind: str, sizes: list[int]):
    config, build = EVERY[kind]
    model, ids, cache = model_for(config), some_ids(ROWS, LENGTH), build(config)
    expected = model(ids, use_cache=False).logits
    outputs = [model(part, past_key_values=cache).logits for part in ids.split(sizes, 1)]
    expect_close(torch.cat(outputs, 1), expected, kind)
    assert cache.get_seq_length() == cache.seen_tokens == LENGTH


@torch.no_grad()
def test_padded_steps_equal_each_text_alone(kind: str):
    config, build = EVERY[kind]
    model, ids, cache = model_for(config), some_ids(ROWS, LENGTH), build(config)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    for start, end in ((0, 6), (6, 7), (7, LENGTH)):
        output = model(
            ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=positions[:, start:end],
            past_key_values=cache,
            cache_position=torch.arange(start, end),
        )
    alone = model(ids[1:, 3:], use_cache=False).logits[0, -4:]
    expect_close(output.logits[1], alone, kind)


def test_it_tells_what_it_holds(kind: str):
    cache = make(kind)
    assert cache.get_seq_length() == cache.seen_tokens == 0
    fill(cache, 5)
    assert cache.get_seq_length() == cache.get_seq_length(1) == cache.seen_tokens == 5
    assert cache.nbytes >= 4 * 2 * states(2).numel()
    assert f"{type(cache).__name__}(2 layers, 5 positions, {cache.nbytes:,} bytes)" == repr(cache)
    expect(cache, states(5), kind)
    if not isinstance(cache, EncoderDecoderCache):
        assert len(cache.key_cache) == len(cache.value_cache) == 2
        assert cache.key_cache[0].shape[:2] == (ROWS, 2)


def test_rows_are_reordered_repeated_and_selected(kind: str):
    cache, keys = filled(kind), states(5)
    cache.reorder_cache(torch.tensor([1, 0]))
    expect(cache, keys.flip(0), kind)
    cache.batch_repeat_interleave(2)
    expect(cache, keys.flip(0).repeat_interleave(2, 0), kind)
    cache.batch_select_indices(torch.tensor([0, 3]))
    expect(cache, keys.flip(0), kind)
    new = states(1, 5)
    for layer in range(2):
        cache.update(new, -new, layer)
    expect(cache, torch.cat((keys.flip(0), new), 2), kind)


def test_batches_are_split_and_joined(kind: str):
    cache, keys = filled(kind), states(5)
    parts = cache.batch_split(ROWS, 1)
    assert [type(part) for part in parts] == [type(cache)] * ROWS
    for index, part in enumerate(parts):
        expect(part, keys[index : index + 1], kind)
    whole = type(cache).from_batch_splits(parts[::-1])
    expect(whole, keys.flip(0), kind)
    assert whole.get_seq_length() == 5
    new = states(1, 5)
    for layer in range(2):
        whole.update(new, -new, layer)
    assert whole.seen_tokens == 6
    expect(cache, keys, kind)  # what was made of it has memory of its own
    expect(parts[0], keys[:1], kind)


def copies(cache: Cache) -> list[Any]:
    file = io.BytesIO()
    torch.save(cache, file)
    file.seek(0)
    saved = torch.load(file, weights_only=False)
    return [copy.deepcopy(cache), pickle.loads(pickle.dumps(cache)), saved]


def test_copies_go_their_own_way(kind: str):
    cache = filled(kind)
    twins = copies(cache)
    fill(cache, 2, first=5)
    for twin in twins:
        expect(twin, states(5), kind)
        fill(twin, 2, first=5)
        for pair, expected in zip(twin, cache, strict=True):
            assert pair[0].equal(expected[0])


@pytest.mark.parametrize(("length", "left"), [(3, 3), (-1, 4), (9, 5), (0, 0)])
def test_it_is_cropped(kind: str, length: int, left: int):
    cache = filled(kind)
    cache.crop(length)
    assert cache.get_seq_length() == cache.seen_tokens == left
    fill(cache, 5 - left, first=left)
    expect(cache, states(5), kind)


def test_it_forgets_everything(kind: str):
    cache = filled(kind)
    cache.reset()
    assert cache.get_seq_length() == cache.seen_tokens == 0
    fill(cache, 4)
    expect(cache, states(4), kind)


def test_old_tuples_go_out_and_in(kind: str):
    cache = filled(kind)
    legacy = cache.to_legacy_cache()
    assert len(legacy) == 2
    again = DynamicCache.from_legacy_cache(legacy)
    expect(again, states(5), kind)
    arguments = {"static": (PLAIN, ROWS, LIMIT)}.get(kind)
    if arguments is not None:
        expect(StaticCache.from_legacy_cache(legacy, *arguments), states(5), kind)


def test_tensors_are_moved(kind: str):
    cache = filled(kind)
    cache.map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
    assert all(tensor.dtype == torch.float64 for pair in cache for tensor in pair)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("given", EXACT)
def test_generation_does_not_depend_on_the_cache(given: str, beams: int):
    config, build = EXACT[given]
    if given.startswith("encoder-decoder"):
        config, build = PLAIN, EXACT["dynamic"][1]
    model, ids = model_for(config), some_ids(ROWS, 6)
    options = {"max_new_tokens": 8, "num_beams": beams, "do_sample": False, "eos_token_id": None}
    expected = model.generate(ids, use_cache=False, **options)
    cache = build(config)
    if beams > 1 and "unknown" not in given:  # memory that is reserved at once must fit the beams
        cache.batch_repeat_interleave(beams)
    assert torch.equal(model.generate(ids, past_key_values=cache, **options), expected)
    assert cache.seen_tokens == 13


def test_caches_of_different_lengths_are_not_joined():
    with pytest.raises(ValueError, match=r"they hold \[5, 6\] positions"):
        DynamicCache.from_batch_splits([filled("dynamic"), filled("dynamic", 6)])
    with pytest.raises(ValueError, match=r"they hold \[\] positions"):
        DynamicCache.from_batch_splits([])
