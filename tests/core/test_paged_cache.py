"""Pages are taken, filled, read and given back, and never counted wrongly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dovetail.caches import PagedCache
from dovetail.caches.paged import PagePool
from dovetail.errors import GenerationError
from dovetail.layers.attention import attention
from dovetail.layers.packed import packed_attention
from dovetail.masks import Mask

CPU = torch.device("cpu")


def test_a_text_gets_the_pages_after_its_own():
    pool = PagePool(8)
    first = pool.take(2)
    assert first[1] == first[0] + 1
    assert pool.take(1, after=first[1]) == [first[1] + 1]
    assert pool.free == 5


def test_a_new_text_leaves_its_neighbour_room_to_grow():
    pool = PagePool(32)
    texts = [pool.take(1) for _ in range(4)]
    for text in texts:
        for _ in range(2):
            text += pool.take(1, after=text[-1])
    assert all(text == list(range(text[0], text[0] + 3)) for text in texts)


def test_more_pages_than_there_are_is_an_error_that_names_both():
    pool = PagePool(3)
    pool.take(1)
    with pytest.raises(GenerationError, match="2 of 3 pages free and 3 are wanted"):
        pool.take(3)
    assert pool.free == 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=40))
def test_no_page_is_ever_lost_or_in_two_hands(orders: list[tuple[int, int]]):
    cache = PagedCache([None], pages=10, page_size=3)
    for text, length in orders:
        before = dict(cache.tables)
        if length == 0:
            cache.free(text)
        elif not cache.reserve(text, length):
            assert cache.tables == before
        taken = [page for table in cache.tables.values() for page in table]
        assert len(set(taken)) == len(taken) == 10 - cache.pool.free
    for text in range(5):
        cache.free(text)
    assert cache.pool.free == 10


@pytest.mark.parametrize("window", [None, 4])
def test_packed_attention_equals_each_text_alone(window: int | None):
    torch.manual_seed(0)
    cache = PagedCache([window], pages=12, page_size=2)
    lengths = {"a": 9, "b": 3, "c": 6}
    states = {name: torch.randn(3, 1, 2, length, 4) for name, length in lengths.items()}
    for name in "ab":  # pages of the two alternate, so that they are not neighbours
        assert cache.reserve(name, 2)
    cache.tables["a"], cache.tables["b"] = [0], [1]
    cache.pool._free = set(range(2, 12))
    reads = [{"a": 2, "b": 2}, {"b": 3, "a": 5, "c": 4}, {"a": 6, "c": 6}, {"a": 9}]
    past = dict.fromkeys(lengths, 0)
    for step in reads:
        batch = []
        for name, end in step.items():
            assert cache.reserve(name, end)
            batch.append((name, past[name], end))
        cache.begin(batch, CPU)
        packed = torch.cat([states[n][..., start:end, :] for n, start, end in batch], -2)
        query, key, value = packed
        cache.update(key, value, 0)
        output = packed_attention(attention, query, cache, 0)
        alone = []
        for name, start, end in batch:
            query, key, value = states[name][..., :end, :]
            mask = Mask(end, end, causal=True, window=window)
            alone.append(attention(query, key, value, mask)[:, start:])
            past[name] = end
        torch.testing.assert_close(output, torch.cat(alone, 1))
    assert cache.key_length(1) == 9
    assert cache.get_seq_length() == 6


def test_one_length_for_all_texts_is_refused():
    with pytest.raises(GenerationError, match="free a text's pages"):
        PagedCache([None], 1, 1).crop(0)
