"""Masks say the same in every form that a kernel may ask for."""

from __future__ import annotations

import pytest
import torch
from tests.core.decoder import DecoderConfig

from dovetail.caches import DynamicCache, StaticCache
from dovetail.masks import Mask, bidirectional_mask, causal_mask

LOW = torch.finfo(torch.float32).min


def states(length: int, batch: int = 1) -> torch.Tensor:
    return torch.zeros(batch, length, 4)


def visible(mask: Mask) -> torch.Tensor:
    additive = mask.additive(torch.float32, torch.device("cpu"))
    assert set(additive.unique().tolist()) <= {0.0, LOW}
    return additive == 0


def filled(length: int, batch: int = 1) -> DynamicCache:
    cache = DynamicCache()
    cache.update(torch.zeros(batch, 1, length, 2), torch.zeros(batch, 1, length, 2), 0)
    return cache


def test_a_whole_text_needs_a_flag_only():
    mask = causal_mask(states(5))
    assert mask.is_plain_causal
    assert visible(mask)[0, 0].equal(torch.ones(5, 5).tril().bool())


def test_one_token_that_sees_everything_needs_no_mask():
    assert causal_mask(states(1), cache=filled(7)) is None
    assert causal_mask(states(1), torch.ones(1, 8), cache=filled(7)) is None
    assert causal_mask(states(1), cache=filled(7), window=8) is None


def test_padding_without_any_padded_token_is_dropped():
    assert causal_mask(states(3), torch.ones(1, 3)).is_plain_causal
    assert bidirectional_mask(states(3), torch.ones(1, 3)) is None


def test_new_tokens_see_the_cached_ones():
    mask = causal_mask(states(2), cache=filled(3))
    assert not mask.is_plain_causal
    assert visible(mask)[0, 0].tolist() == [[True] * 4 + [False], [True] * 5]


def test_padding_hides_keys_for_everyone():
    mask = causal_mask(states(3, 2), torch.tensor([[0, 1, 1], [1, 1, 1]]))
    first, second = visible(mask)[:, 0]
    assert first.tolist() == [[False] * 3, [False, True, False], [False, True, True]]
    assert second.equal(torch.ones(3, 3).tril().bool())


def test_a_window_hides_what_is_far_back():
    mask = causal_mask(states(4), window=2)
    expected = torch.ones(4, 4).tril().bool() & ~torch.ones(4, 4).tril(-2).bool()
    assert visible(mask)[0, 0].equal(expected)
    assert causal_mask(states(4), window=4).is_plain_causal


def test_positions_that_start_again_mark_packed_sequences():
    position_ids = torch.tensor([[0, 1, 2, 0, 1]])
    block = visible(causal_mask(states(5), position_ids=position_ids))[0, 0]
    expected = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2)).tril().bool()
    assert block.equal(expected)


@pytest.mark.parametrize("positions", [[3, 4, 5], [5, 1, 0], [0, 1, 2], [0, 0, 2]])
def test_other_positions_mark_nothing(positions: list[int]):
    assert causal_mask(states(3), position_ids=torch.tensor([positions])).is_plain_causal


def test_a_static_cache_hides_what_is_not_written_yet():
    cache = StaticCache(DecoderConfig(), 1, 6)
    mask = causal_mask(states(2), cache=cache, cache_position=torch.tensor([2, 3]))
    assert visible(mask)[0, 0].tolist() == [[True] * 3 + [False] * 3, [True] * 4 + [False] * 2]
    padded = causal_mask(
        states(1), torch.tensor([[0, 1, 1]]), cache=cache, cache_position=torch.tensor([2])
    )
    assert visible(padded)[0, 0].tolist() == [[False, True, True, False, False, False]]


def test_cross_attention_hides_padded_encoder_states():
    mask = bidirectional_mask(states(2), torch.tensor([[1, 1, 0]]), key_length=3)
    assert visible(mask).expand(1, 1, 2, 3)[0, 0].tolist() == [[True, True, False]] * 2


def test_ready_masks_are_taken_as_they_are():
    own = torch.tensor([[[True, False], [True, True]]])
    for given in (own, own[:, None], own.long()):
        assert visible(causal_mask(states(2), given))[0, 0].equal(own[0])
    added = torch.tensor([[[[0.0, -1.5], [0.0, 0.0]]]])
    assert causal_mask(states(2), added).additive(torch.float32, added.device).equal(added)


def test_a_ready_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 3\) does not fit 2 queries and 2 keys"):
        causal_mask(states(2), torch.ones(1, 2, 3))


def test_the_predicate_says_what_the_tensor_says():
    padding = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    mask = causal_mask(states(4, 2), padding, window=2)
    tensor = visible(mask)
    says = mask.predicate(torch.device("cpu"))
    for batch in range(2):
        for query in range(4):
            for key in range(4):
                where = (torch.tensor(n) for n in (batch, 0, query, key))
                assert bool(says(*where)) == bool(tensor[batch, 0, query, key])


def test_additive_masks_follow_the_dtype():
    mask = causal_mask(states(2), window=1)
    half = mask.additive(torch.bfloat16, torch.device("cpu"))
    assert half.dtype == torch.bfloat16
    assert half.min() == torch.finfo(torch.bfloat16).min
    assert mask.additive(torch.float32, torch.device("cpu")).dtype == torch.float32
