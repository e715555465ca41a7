"""Shortcuts of plain inference: what lies side by side is read as one, and results stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.layers.attention import attention, split_heads
from dovetail.layers.immediate import as_one, is_immediate
from dovetail.layers.norms import RMSNorm
from dovetail.layers.projections import linear
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary, swap_halves, swap_neighbours
from dovetail.pages import LINE, PAGE, PIECE, LargePages


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_only_plain_inference_is_immediate() -> None:
    assert not is_immediate()
    with torch.no_grad():
        assert is_immediate()
        seen: list[bool] = []

        def note(x: Tensor) -> Tensor:
            seen.append(is_immediate())
            return x + 1

        torch.vmap(note)(torch.zeros(2))
        torch.export.export(_Noted(note), (torch.zeros(2),))
        assert not any(seen)


class _Noted(torch.nn.Module):
    def __init__(self, note: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.note = note

    def forward(self, x: Tensor) -> Tensor:
        return self.note(x)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_neighbours_are_one(dim: int) -> None:
    whole = torch.randn(6, 6, 6)
    parts = whole.split([3, 1, 2], dim)
    assert torch.equal(as_one(parts, dim), whole)
    assert as_one((parts[0], parts[2]), dim) is None
    assert as_one(parts[::-1], dim) is None


def test_others_are_not() -> None:
    whole = torch.randn(4, 6)
    above, below = whole.split(2)
    assert as_one((above, below[:, :3])) is None  # another shape
    assert as_one((above, below.clone())) is None  # another storage
    assert as_one((above[:1], whole[1:].view(torch.int32))) is None
    assert as_one((above, None)) is None
    assert as_one((None,)) is None


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (3, 1), (1, 5), (3, 5)])
@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.parametrize("swap", [swap_halves, swap_neighbours])
def test_heads_side_by_side_turn_as_one(
    rows: int, length: int, keys: int, swap: Callable[[Tensor], Tensor]
) -> None:
    rotary = RotaryEmbedding(8, interleaved=swap is swap_neighbours)
    cos, sin = rotary(torch.zeros(1), torch.arange(length)[None] + torch.arange(rows)[:, None])
    states = torch.randn(rows, length, (4 + keys) * 8)
    query, key = (split_heads(part, 8) for part in states.split([32, keys * 8], -1))
    expected = apply_rotary(query, key, cos, sin, swap=swap)
    with torch.no_grad():
        assert as_one((query, key), 1) is not None
        for turned, wanted in zip(
            apply_rotary(query, key, cos, sin, swap=swap), expected, strict=True
        ):
            torch.testing.assert_close(turned, wanted)


@pytest.mark.parametrize("eps", [1e-6, 0.0])
@pytest.mark.parametrize("offset", [False, True])
def test_the_norm_of_one_row(eps: float, offset: bool) -> None:
    norm = RMSNorm(48, eps, offset)
    torch.nn.init.normal_(norm.weight)
    for row in (torch.randn(1, 1, 48), torch.randn(48, 1)[:, 0], torch.zeros(1, 48)):
        expected = norm(row)
        with torch.no_grad():
            torch.testing.assert_close(norm(row), expected, equal_nan=True)


def test_a_traced_norm_follows_its_input() -> None:
    norm = RMSNorm(16)
    other = torch.randn(1, 16) * 100
    with torch.no_grad():
        with pytest.warns(DeprecationWarning, match="torch.jit.trace"):
            traced = torch.jit.trace(norm, torch.randn(1, 16))
        torch.testing.assert_close(traced(other), norm(other))


@pytest.mark.parametrize("outputs", [512, 513])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.usefixtures("threads")
def test_a_matrix_stored_by_input(outputs: int, biased: bool) -> None:
    weight = torch.randn(256, outputs).t()
    bias = torch.randn(outputs) if biased else None
    with torch.no_grad():
        for x in (torch.randn(1, 1, 256), torch.randn(256), torch.randn(3, 256)):
            expected = F.linear(x, weight, bias)
            torch.testing.assert_close(linear(x, weight, bias), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("biased", [False, True])
def test_a_long_row_in_bfloat16(biased: bool) -> None:
    weight, bias = torch.randn(64, 1024).bfloat16(), torch.randn(64).bfloat16() if biased else None
    for x in (torch.randn(1, 1, 1024).bfloat16(), torch.randn(1024).bfloat16()):
        expected = F.linear(x, weight, bias)
        with torch.no_grad():
            torch.testing.assert_close(linear(x, weight, bias), expected, atol=0.3, rtol=0.02)


def test_attention_of_one_query_is_in_the_order_of_heads() -> None:
    query, key, value = torch.randn(2, 4, 1, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    repeated = (states.repeat_interleave(2, 1) for states in (key, value))
    expected = F.scaled_dot_product_attention(query, *repeated).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(query, key, value), expected)


def test_large_pages_give_separate_memory() -> None:
    pages = LargePages()
    first, second = pages.empty((3, 5), torch.float32).fill_(1), pages.empty((7,), torch.float64)
    large = pages.empty((PIECE // 4 + 9,), torch.float32)
    second.fill_(2)
    large[-9:] = 3
    assert first.sum() == 15
    assert first.untyped_storage().nbytes() == first.nbytes
    assert second.data_ptr() - first.data_ptr() == LINE
    assert first.data_ptr() % PAGE == large.data_ptr() % PAGE == 0
    del first, pages
    assert second.sum() == 14
    assert large[-1] == 3
