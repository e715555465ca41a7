"""Every cache returns what was put in, and forgets exactly what it is told to."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from tests.core.decoder import DecoderConfig, decoder, some_ids

from dovetail.caches import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    OffloadedCache,
    SinkCache,
    StaticCache,
)


def pieces(count: int, batch: int = 2, length: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 2, length, 4, generator=generator) for _ in range(count)]


def test_a_dynamic_cache_holds_all_it_was_given():
    cache, given = DynamicCache(), pieces(60)
    for number, piece in enumerate(given, 1):
        keys, values = cache.update(piece, -piece, 0)
        assert keys.equal(torch.cat(given[:number], 2))
        assert values.equal(-keys)
        assert cache.get_seq_length() == keys.shape[2] == 3 * number
    assert cache.get_max_cache_shape() is None
    assert cache.get_seq_length(1) == 0
    assert cache.key_length(4) == 184


def test_growing_does_not_copy_for_every_token():
    cache = DynamicCache()
    for piece in pieces(100, length=1):
        cache.update(piece, piece, 0)
    places = set()
    for piece in pieces(20, length=1):
        places.add(cache.update(piece, piece, 0)[0].data_ptr())
    assert len(places) == 1


def test_gradients_flow_through_a_growing_cache():
    cache = DynamicCache()
    given = [piece.requires_grad_() for piece in pieces(3)]
    for piece in given:
        keys, _ = cache.update(piece, piece, 0)
    keys.sum().backward()
    assert all(piece.grad.equal(torch.ones_like(piece)) for piece in given)


@pytest.mark.parametrize("steps", [1, 3])
def test_batches_are_reordered_repeated_and_selected(steps: int):
    cache, given = DynamicCache(), pieces(steps)
    for piece in given:
        cache.update(piece, piece, 0)
    whole = torch.cat(given, 2)
    cache.reorder_cache(torch.tensor([1, 0]))
    assert cache[0][0].equal(whole.flip(0))
    cache.batch_repeat_interleave(2)
    assert cache[0][1].equal(whole.flip(0).repeat_interleave(2, 0))
    cache.batch_select_indices(torch.tensor([0]))
    assert cache[0][0].equal(whole[1:])
    more = pieces(1, batch=1)[0]
    assert cache.update(more, more, 0)[0].equal(torch.cat((whole[1:], more), 2))


@pytest.mark.parametrize(("length", "left"), [(4, 4), (-2, 7), (99, 9), (-99, 0)])
def test_a_cache_is_cropped_from_either_end(length: int, left: int):
    cache, given = DynamicCache(), pieces(3)
    for piece in given:
        cache.update(piece, piece, 0)
    cache.crop(length)
    assert cache.get_seq_length() == left
    more = pieces(1)[0]
    expected = torch.cat((torch.cat(given, 2)[:, :, :left], more), 2)
    assert cache.update(more, more, 0)[0].equal(expected)


def test_old_tuples_go_in_and_out():
    key, value = pieces(2)
    cache = DynamicCache.from_legacy_cache(((key, value),))
    assert isinstance(cache, Cache)
    assert cache.to_legacy_cache()[0][1].equal(value)
    assert [pair[0].shape for pair in cache] == [key.shape]
    assert len(cache) == 1
    assert cache.key_cache[0].equal(key)
    assert cache.value_cache[0].equal(value)


def test_an_empty_cache_is_true():
    assert DynamicCache()
    assert len(DynamicCache()) == 0


def test_a_copy_goes_its_own_way():
    cache, given = DynamicCache(), pieces(3)
    for piece in given[:2]:
        cache.update(piece, piece, 0)
    twin, stored = copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))
    cache.update(given[2], given[2], 0)
    assert twin[0][0].equal(torch.cat(given[:2], 2))
    assert stored[0][0].equal(twin[0][0])


def test_a_static_cache_writes_in_place():
    cache, (first, second) = StaticCache(DecoderConfig(), 2, 8), pieces(2)
    place = cache.key_cache[0].data_ptr()
    cache.update(first, first, 0, {"cache_position": torch.arange(3)})
    keys, _ = cache.update(second, second, 0)
    assert keys.shape == (2, 2, 8, 4)
    assert keys[:, :, :6].equal(torch.cat((first, second), 2))
    assert not keys[:, :, 6:].any()
    assert keys.data_ptr() == place
    assert (cache.get_seq_length(), cache.get_max_cache_shape()) == (6, 8)
    assert cache.get_usable_length(5) == 3
    cache.reset()
    assert cache.get_seq_length() == 0
    assert not cache.key_cache[0].any()


def test_a_static_cache_may_find_out_its_batch_by_itself():
    cache, (piece,) = StaticCache(DecoderConfig(), max_cache_len=5), pieces(1)
    keys, _ = cache.update(piece, piece, 1)
    assert keys.shape == (2, 2, 5, 4)
    assert cache.get_seq_length(1) == 3
    cache.crop(2)
    assert cache.get_seq_length(1) == 2


def test_encoder_keys_are_computed_once():
    cache, (own, other) = EncoderDecoderCache(), pieces(2)
    calls = []

    def make() -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        return other, -other

    cache.update(own, own, 0)
    for _ in range(2):
        key, value = cache.cross(0, make)
        assert key.equal(other)
        assert value.equal(-other)
    assert len(calls) == 1
    assert cache.is_updated == {0: True}
    assert [tensor.shape for tensor in cache[0]] == [own.shape, own.shape, other.shape, other.shape]
    again = EncoderDecoderCache.from_legacy_cache(cache.to_legacy_cache())
    assert again.get_seq_length() == 3
    assert again.cross_attention_cache[0][1].equal(-other)


def test_an_encoder_decoder_cache_moves_both_halves():
    cache, (own, other) = EncoderDecoderCache(), pieces(2)
    cache.update(own, own, 0)
    cache.cross(0, lambda: (other, other))
    cache.reorder_cache(torch.tensor([1, 0]))
    assert cache[0][0].equal(own.flip(0))
    assert cache[0][2].equal(other.flip(0))
    cache.crop(1)
    assert (cache.get_seq_length(), cache.cross_attention_cache.get_seq_length()) == (1, 3)
    cache.reset()
    assert cache.is_updated == {0: False}


def test_what_does_not_fit_a_reserved_cache_is_refused():
    cache, (piece,) = StaticCache(DecoderConfig(), 1, 5), pieces(1)
    with pytest.raises(ValueError, match=r"reserved for \(1, 2, 5, 4\) rows, heads, positions"):
        cache.update(piece, piece, 0)
    with pytest.raises(ValueError, match="room for 5 positions and the text may need 6"):
        decoder()(some_ids(1, 6), past_key_values=cache)


def test_an_encoder_decoder_cache_leaves_its_work_to_the_halves():
    own = SinkCache(4, 1)
    cache = EncoderDecoderCache(own, OffloadedCache())
    for piece in pieces(4, length=2):
        cache.update(piece, piece, 0, {"cos": torch.ones(1, 2, 4), "sin": torch.zeros(1, 2, 4)})
    assert (cache.get_seq_length(), cache.seen_tokens) == (4, 8)
    assert own.key_cache[0].shape[2] == 4


def test_positions_beyond_a_static_cache_are_refused():
    model, ids = decoder(), some_ids(6)
    cache = StaticCache(model.config, len(ids), 5)
    with pytest.raises(ValueError, match="room for 5 positions and the text may need 6"):
        model(ids, past_key_values=cache, cache_position=torch.arange(6))
    assert cache.get_seq_length() == 0
