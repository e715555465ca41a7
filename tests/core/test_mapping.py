"""Reversible steps between a checkpoint's tensors and a model's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MismatchError
from dovetail.mapping import (
    Concatenate,
    Drop,
    Rename,
    Split,
    Stack,
    Transpose,
    match,
    to_checkpoint,
    to_model,
)
from dovetail.weights import LazyTensor, MemoryTensor

Shapes = dict[str, tuple[int, ...]]


def lazy(shapes: Shapes) -> dict[str, LazyTensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: MemoryTensor(torch.randn(shape, generator=generator), "file")
        for name, shape in shapes.items()
    }


def values(tensors: dict[str, LazyTensor]) -> dict[str, torch.Tensor]:
    read = {name: tensor.get() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        assert tuple(read[name].shape) == tuple(tensor.shape)
    return read


def round_trips(tensors: dict[str, LazyTensor], steps: Any, config: Any = None) -> bool:
    before = values(tensors)
    after = values(to_checkpoint(to_model(tensors, steps, config), steps, config))
    return before.keys() == after.keys() and all(torch.equal(before[n], after[n]) for n in before)


sizes = st.integers(1, 5)
prefixes = st.sampled_from(["", "model.", "model.decoder."])


@given(prefixes, sizes, st.integers(1, 4))
def test_rename(prefix: str, width: int, layers: int) -> None:
    step = Rename("layers.*.attn.gamma", "layers.*.norm.weight")
    tensors = lazy({f"{prefix}layers.{i}.attn.gamma": (width,) for i in range(layers)})
    assert f"{prefix}layers.0.norm.weight" in to_model(tensors, [step], None)
    assert round_trips(tensors, [step])


@given(sizes, sizes, st.sampled_from([(0, 1), (-1, -2), (1, 0)]))
def test_transpose(rows: int, columns: int, dims: tuple[int, int]) -> None:
    step = Transpose("c_fc.weight", dims)
    tensors = lazy({"h.0.c_fc.weight": (rows, columns), "h.0.c_fc.bias": (rows,)})
    loaded = to_model(tensors, [step], None)
    assert loaded["h.0.c_fc.weight"].shape == (columns, rows)
    assert loaded["h.0.c_fc.bias"].shape == (rows,)
    assert round_trips(tensors, [step])


@given(prefixes, st.lists(sizes, min_size=2, max_size=4), sizes, st.sampled_from([0, 1, -1]))
def test_concatenate_and_split(prefix: str, lengths: list[int], width: int, dim: int) -> None:
    names = tuple(f"layers.*.part{number}.weight" for number in range(len(lengths)))
    step = Concatenate(names, "layers.*.all.weight", dim, sizes=lambda config: config.lengths)
    config = SimpleNamespace(lengths=lengths)
    shapes: Shapes = {}
    for layer in range(2):
        for name, length in zip(names, lengths, strict=True):
            shape = (length, width) if dim == 0 else (width, length)
            shapes[prefix + name.replace("*", str(layer))] = shape
    tensors = lazy(shapes)
    joined = to_model(tensors, [step], config)
    assert list(joined) == [f"{prefix}layers.{layer}.all.weight" for layer in range(2)]
    assert round_trips(tensors, [step], config)
    inverse = Split("layers.*.all.weight", names, dim, sizes=tuple(lengths))
    assert round_trips(joined, [inverse], config)


@given(prefixes, st.integers(1, 12), st.lists(sizes, max_size=3), st.integers(-1, 0))
def test_stack(prefix: str, count: int, shape: list[int], dim: int) -> None:
    step = Stack("mlp.*.experts.#.up.weight", "mlp.*.experts.up", dim)
    shapes = {f"{prefix}mlp.0.experts.{n}.up.weight": tuple(shape) for n in range(count)}
    tensors = lazy(shapes)
    loaded = to_model(tensors, [step], None)
    assert list(loaded) == [f"{prefix}mlp.0.experts.up"]
    assert round_trips(tensors, [step])


@given(st.integers(1, 3), st.integers(1, 3), sizes)
@settings(max_examples=30)
def test_steps_compose(layers: int, experts: int, width: int) -> None:
    steps = (
        Rename("blocks.*.gamma", "layers.*.norm.weight"),
        Transpose("blocks.*.experts.#.w"),
        Stack("blocks.*.experts.#.w", "layers.*.experts.w"),
        Concatenate(("blocks.*.q", "blocks.*.k"), "layers.*.qk"),
        Split("blocks.*.gate_up", ("layers.*.gate", "layers.*.up"), dim=-1),
    )
    shapes: Shapes = {"embed": (3, width)}
    for layer in range(layers):
        head = f"model.blocks.{layer}"
        shapes |= {f"{head}.gamma": (width,), f"{head}.q": (4, width), f"{head}.k": (4, width)}
        shapes |= {f"{head}.experts.{n}.w": (width, 3) for n in range(experts)}
        shapes[f"{head}.gate_up"] = (width, 6)
    assert round_trips(lazy(shapes), steps)


def test_drop_and_restore() -> None:
    tensors = lazy({"h.0.attn.bias": (2, 2), "h.0.attn.weight": (2, 2)})
    assert list(to_model(tensors, [Drop("attn.bias")], None)) == ["h.0.attn.weight"]
    assert len(to_checkpoint(tensors, [Drop("attn.other")], None)) == 2
    step = Drop("attn.bias", restore=lambda config: {"h.0.attn.bias": torch.ones(config.n)})
    loaded = to_model(tensors, [step], None)
    saved = to_checkpoint(loaded, [step], SimpleNamespace(n=2))
    assert saved["h.0.attn.bias"].get().tolist() == [1, 1]


def test_incomplete_families_pass_through() -> None:
    join = Concatenate(("a.q", "a.k"), "a.qk")
    assert list(to_model(lazy({"a.q": (2,)}), [join], None)) == ["a.q"]
    stack = Stack("e.#.w", "e.w")
    tensors = lazy({"e.0.w": (1,), "e.2.w": (1,)})
    assert list(to_model(tensors, [stack], None)) == ["e.0.w", "e.2.w"]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    class Unread(LazyTensor):
        def __init__(self) -> None:
            self.shape, self.dtype, self.origin = (4, 4), torch.float32, "file"

        def get(self) -> torch.Tensor:
            raise AssertionError("read too early")

    steps = (Rename("a", "b"), Transpose("b"), Split("b", ("c", "d")), Stack("x.#", "x"))
    loaded = to_model({"a": Unread(), "x.0": Unread()}, steps, None)
    assert {name: tensor.shape for name, tensor in loaded.items()} == {
        "c": (2, 4),
        "d": (2, 4),
        "x": (1, 4, 4),
    }


@pytest.mark.parametrize(
    ("step", "shapes", "message"),
    [
        (Rename("a", "b"), {"b": (1,), "a": (1,)}, "'a' is to be renamed to 'b', which exists"),
        (Concatenate(("q", "k"), "qk"), {"q": (2, 3), "k": (2, 4)}, "'k'.*cannot be joined"),
        (Split("qk", ("q", "k")), {"qk": (3, 2)}, "'qk'.*cannot be cut"),
        (Split("qk", ("q", "k"), dim=2), {"qk": (4,)}, "'qk'.*cannot be cut"),
        (Split("qk", ("q", "k"), sizes=(1, 2, 3)), {"qk": (6,)}, "'qk'.*cannot be cut"),
        (Stack("e.#", "e"), {"e.0": (1,), "e.1": (2,)}, "cannot be stacked"),
    ],
)
def test_tensors_that_do_not_fit(step: Any, shapes: Shapes, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        to_model(lazy(shapes), [step], None)


def test_match_anchors_at_the_end_and_at_components() -> None:
    assert match("layers.*.w", "model.layers.10.w") == ("model.", ("10",), None)
    assert match("layers.*.w", "xlayers.1.w") is None
    assert match("layers.*.w", "layers.1.2.w") is None
    assert match("e.#.w", "e.01.w") is None
    assert match("e.#.w", "e.7.w") == ("", (), 7)
