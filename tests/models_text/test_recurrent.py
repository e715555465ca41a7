"""What every model with recurrent states must do: read on from them as if it had read it all."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import dovetail
from dovetail import registry
from dovetail.caches import recurrent_layers
from dovetail.testing.subject import fill

COMMON = {
    "vocab_size": 99,
    "hidden_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ATTENTION = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
FAMILIES: dict[str, dict[str, Any]] = {
    "Jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "num_experts": 4,
        "mamba_d_state": 4,
        "use_mamba_kernels": False,
        **ATTENTION,
    },
    "Mamba": {"num_hidden_layers": 2, "state_size": 4},
    "Mamba2": {
        "num_hidden_layers": 2,
        "state_size": 8,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "chunk_size": 4,
    },
    "RecurrentGemma": {"num_hidden_layers": 4, "attention_window_size": 5, **ATTENTION},
    "Rwkv": {"num_hidden_layers": 3, "rescale_every": 2},
}
LENGTH = 12


@dataclass
class Family:
    """A model, a text for each of three rows, and its logits (B, T, V) by one pass."""

    model: Any
    ids: Tensor
    whole: Tensor

    def read(self, ids: Tensor, cache: Any = None, **more: Any) -> Any:
        """The output after what `cache` holds."""
        return self.model(ids, past_key_values=cache, use_cache=True, **more)

    def greedy(self, ids: Tensor, **more: Any) -> Tensor:
        """Six tokens behind the prompt."""
        options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
        more.setdefault("attention_mask", torch.ones_like(ids))
        return self.model.generate(ids, **options | more)[:, ids.shape[1] :]


@pytest.fixture(params=FAMILIES, scope="module")
def family(request):
    config = getattr(dovetail, f"{request.param}Config")(**COMMON | FAMILIES[request.param])
    model = getattr(dovetail, f"{request.param}ForCausalLM")(config).eval()
    fill(model)
    ids = torch.randint(5, 99, (3, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return Family(model, ids, model(ids, use_cache=False).logits)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def same(ours: Tensor, expected: Tensor) -> bool:
    return torch.allclose(ours, expected, atol=1e-4)


def test_every_recurrent_model_is_here():
    configs = [registry.resolve(each.config) for each in registry.models().declarations()]
    alone = [config for config in configs if not config.has_no_defaults_at_init]  # no pairs
    recurrent = {config.__name__ for config in alone if recurrent_layers(config())}
    assert recurrent == {f"{name}Config" for name in FAMILIES}


@pytest.mark.parametrize(
    "sizes", [[1] * LENGTH, [5, 7], [1, 11], [11, 1], [2, 3, 1, 6]], ids=lambda sizes: len(sizes)
)
def test_a_text_in_pieces_is_the_text(family, sizes):
    cache, logits = None, []
    for piece in family.ids.split(sizes, 1):
        output = family.read(piece, cache)
        cache = output.past_key_values
        logits.append(output.logits)
    assert same(torch.cat(logits, 1), family.whole)
    assert cache.get_seq_length() == LENGTH


def test_rows_can_be_reordered_repeated_and_selected(family):
    for change, rows in (
        (lambda cache: cache.reorder_cache(torch.tensor([2, 0, 0])), [2, 0, 0]),
        (lambda cache: cache.batch_repeat_interleave(2), [0, 0, 1, 1, 2, 2]),
        (lambda cache: cache.batch_select_indices(torch.tensor([1])), [1]),
    ):
        cache = family.read(family.ids[:, :7]).past_key_values
        change(cache)
        assert same(family.read(family.ids[rows, 7:], cache).logits, family.whole[rows, 7:])


def test_caches_are_split_and_joined(family):
    cache = family.read(family.ids[:, :7]).past_key_values
    parts = cache.batch_split(3, 2)
    for part, rows in zip(parts, (slice(0, 2), slice(2, 3)), strict=True):
        output = family.read(family.ids[rows, 7:9], part)
        assert same(output.logits, family.whole[rows, 7:9])
    joined = type(cache).from_batch_splits(parts)
    assert same(family.read(family.ids[:, 9:], joined).logits, family.whole[:, 9:])


def test_a_cache_begins_anew_after_reset(family):
    cache = family.read(family.ids[:, :7].flip(1)).past_key_values
    cache.reset()
    assert cache.get_seq_length() == 0
    assert same(family.read(family.ids, cache).logits, family.whole)


def test_a_copy_goes_its_own_way(family):
    cache = family.read(family.ids[:, :7]).past_key_values
    kept = copy.deepcopy(cache)
    family.read(family.ids[:, :5], cache)
    assert same(family.read(family.ids[:, 7:], kept).logits, family.whole[:, 7:])


def test_a_state_does_not_go_back(family):
    cache = family.read(family.ids).past_key_values
    with pytest.raises(ValueError, match="cannot go back"):
        cache.crop(5)


@pytest.mark.parametrize("left", [True, False])
def test_padding_changes_nothing(family, left):
    sides = (3, 0) if left else (0, 3)
    ids = torch.nn.functional.pad(family.ids, sides, value=7)
    mask = torch.nn.functional.pad(torch.ones_like(family.ids), sides)
    logits = family.model(ids, attention_mask=mask).logits
    assert same(logits[mask.bool()], family.whole.flatten(0, 1))


@pytest.mark.parametrize("shape", [(3, 5), (2, LENGTH), (3, 1, LENGTH, LENGTH)])
def test_masks_that_do_not_fit_are_refused(family, shape):
    with pytest.raises(ValueError, match=r"attention_mask of shape .* give \(batch, length\)"):
        family.model(family.ids, attention_mask=torch.ones(shape, dtype=torch.long))


def test_a_ragged_batch_reads_on_as_each_text_alone(family):
    lengths = [9, 4, 1]
    mask = torch.tensor([[0] * (9 - length) + [1] * length for length in lengths])
    first = torch.where(mask.bool(), family.ids[:, :9], 7)
    cache = family.read(first, attention_mask=mask).past_key_values
    mask = torch.nn.functional.pad(mask, (0, 3), value=1)
    output = family.read(family.ids[:, 9:], cache, attention_mask=mask)
    for row, length in enumerate(lengths):
        alone = family.model(family.ids[row : row + 1, 9 - length :], use_cache=False)
        assert same(output.logits[row], alone.logits[0, -3:])


def test_padding_behind_and_within_is_passed_over(family, monkeypatch):
    if hasattr(family.model.config, "attention_window_size"):  # which counts padding as well
        monkeypatch.setattr(family.model.config, "attention_window_size", LENGTH)
    rows = [[1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1, 1], [0] * 7]
    mask = torch.tensor(rows)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    told = "position_ids" in inspect.signature(type(family.model.base_model).forward).parameters
    more = {"position_ids": positions} if told else {}
    cache = family.read(family.ids[:, :7], attention_mask=mask, **more).past_key_values
    full = torch.nn.functional.pad(mask, (0, 5), value=1)
    more = {"position_ids": (full.cumsum(1) - 1)[:, 7:]} if told else {}
    output = family.read(family.ids[:, 7:], cache, attention_mask=full, **more)
    for row, shown in enumerate(full.bool()):
        alone = family.model(family.ids[row : row + 1, shown], use_cache=False)
        assert same(output.logits[row], alone.logits[0, -5:])


def test_a_ragged_batch_generates_what_each_text_does_alone(family):
    lengths = [9, 4, 1]
    mask = torch.tensor([[0] * (9 - length) + [1] * length for length in lengths])
    prompts = torch.where(mask.bool(), family.ids[:, :9], 0)
    for more in ({}, {"num_beams": 3}):
        together = family.greedy(prompts, attention_mask=mask, **more)
        for row, length in enumerate(lengths):
            alone = family.greedy(prompts[row : row + 1, 9 - length :], **more)
            assert torch.equal(together[row : row + 1], alone)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"do_sample": True, "top_k": 5},
        {"num_beams": 3},
        {"num_beams": 3, "do_sample": True},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0},
    ],
    ids=["greedy", "sample", "beam", "beam-sample", "groups"],
)
def test_the_cache_changes_no_strategy(family, more):
    results = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        results.append(family.greedy(family.ids[:, :6], use_cache=use_cache, **more))
    assert torch.equal(*results)


def test_interleaved_texts_do_not_disturb_each_other(family):
    caches: list[Any] = [None, None]
    for start in range(0, LENGTH, 2):
        for row in range(2):
            output = family.read(family.ids[row : row + 1, start : start + 2], caches[row])
            caches[row] = output.past_key_values
            assert same(output.logits, family.whole[row : row + 1, start : start + 2])
            family.greedy(family.ids[2:, :3])


def test_each_call_of_generate_begins_anew(family):
    expected = family.greedy(family.ids[:, :6])
    family.greedy(family.ids[:, :9].flip(1), num_beams=2)
    assert torch.equal(family.greedy(family.ids[:, :6]), expected)


def test_a_prompt_that_was_read_is_not_read_again(family):
    expected = family.greedy(family.ids[:, :9])
    cache = family.read(family.ids[:, :5]).past_key_values
    assert torch.equal(family.greedy(family.ids[:, :9], past_key_values=cache), expected)
