"""Where the weights of projections go in memory, for reading speed.

Projections that read the same input (query, key and value; gate and up) are quicker as one product,
which needs their weights one after the other: a module names such children in ``side_by_side``.
Float32 matrices with short rows are quicker input by input, and what is copied anyway is quicker in
large pages; all else stays mapped from the file. Names, shapes and values of the parameters stay as
they are; `dovetail.layers.projections` makes use of what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from dovetail.layers.projections import Linear
from dovetail.pages import LargePages
from dovetail.weights import FileTensor, LazyTensor

SHORT = 1024  # inputs; the sums over longer rows are quicker than what they are made of is read
LARGE = 1 << 18  # weights; smaller matrices stay in the processor's caches


@dataclass(frozen=True)
class _Kind:
    """What the members of a group have in common."""

    dtype: torch.dtype
    device: torch.device
    rest: torch.Size


def seated(
    model: nn.Module,
    sources: Mapping[str, LazyTensor],
    targets: Mapping[str, Tensor],
    device_of: Callable[[str], torch.device],
    hosts: Mapping[str, str],
) -> dict[str, Tensor]:
    """Those of `sources` that profit from a place of their own, read into it.

    `targets` say shapes and dtypes by the names of parameters; `hosts` names the tensor that
    stands for each tied one. Groups that are not complete, or spread over devices or dtypes, are
    left out.
    """
    places: dict[str, Tensor] = {}
    pages = LargePages()
    for group in _groups(model):
        names = [hosts.get(name, name) for name in group]
        if not all(name in sources and name not in places for name in names):
            continue
        kinds = {_Kind(targets[n].dtype, device_of(n), targets[n].shape[1:]) for n in names}
        if len(kinds) == 1 and all(targets[name].numel() for name in names):
            parts = [sources[name] for name in names]
            places |= zip(names, _placed(parts, kinds.pop(), pages), strict=False)
    return places


def _groups(model: nn.Module) -> Iterator[list[str]]:
    """Names of weights and biases that are read together, those of a single projection last."""
    singles = []
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        children = getattr(type(module), "side_by_side", ())
        if children and all(type(getattr(module, child, None)) is Linear for child in children):
            for leaf in ("weight", "bias"):
                yield [f"{prefix}{child}.{leaf}" for child in children]
        elif type(module) is Linear:
            singles.append([f"{prefix}weight"])
    yield from singles


def _placed(parts: list[LazyTensor], kind: _Kind, pages: LargePages) -> list[Tensor]:
    """The tensors in their places; none when they may lie anywhere."""
    rows = sum(part.shape[0] for part in parts)
    if kind.device.type == "meta":
        return []
    from_memory = _is_read_from_memory(rows, kind)
    turned = from_memory and _is_quicker_by_input(rows, *kind.rest)
    if not turned and _is_usable_as_stored(parts, kind):
        # A mapped file costs no time and no memory of its own: worth more than large pages.
        mapped = [] if len(parts) == 1 else _mapped(parts)
        if mapped is not None:
            return mapped
    elif len(parts) == 1 and not from_memory:
        return []
    shape = (*kind.rest, rows) if turned else (rows, *kind.rest)
    if from_memory:
        whole = pages.empty(shape, kind.dtype)
    else:
        whole = torch.empty(shape, dtype=kind.dtype, device=kind.device)
    whole = whole.t() if turned else whole
    places = whole.split([part.shape[0] for part in parts])
    return [part.fill(place) for part, place in zip(parts, places, strict=True)]


def _is_usable_as_stored(parts: list[LazyTensor], kind: _Kind) -> bool:
    return kind.device.type == "cpu" and all(part.dtype == kind.dtype for part in parts)


def _is_read_from_memory(rows: int, kind: _Kind) -> bool:
    """Whether products with one row take as long as reading the matrix: those in 16 bits take
    longer on most processors, and are left where they are."""
    return (
        kind.device.type == "cpu"
        and kind.dtype is torch.float32
        and len(kind.rest) == 1
        and rows * kind.rest[0] >= LARGE
    )


def _is_quicker_by_input(rows: int, inputs: int) -> bool:
    """Whether the product with one row reads the transposed matrix faster.

    oneDNN reads long rows at the memory's speed, and spreads them over all threads. With short ones
    it stays behind MKL's product with a transposed matrix, which is for one thread, or two that
    take a half each.
    """
    return torch.get_num_threads() <= 2 and inputs < SHORT and rows >= inputs


def _mapped(parts: list[LazyTensor]) -> list[Tensor] | None:
    """Tensors that follow each other in one file, as views of one mapping; else None."""
    files = [part for part in parts if isinstance(part, FileTensor)]
    if len(files) < len(parts) or not all(b.follows(a) for a, b in pairwise(files)):
        return None
    return files[0].file.mapped_together([part.entry for part in files])
