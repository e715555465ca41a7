"""Reversible differences between a checkpoint's tensors and a model's, declared as data.

A model class whose modules are laid out otherwise than the Hub's checkpoint lists steps, in the
order in which they are applied on load; saving applies their inverses in the opposite order::

    class TinyPreTrainedModel(PreTrainedModel):
        weight_mapping = (
            Rename("layers.*.attn.gamma", "layers.*.norm.weight"),
            Concatenate(
                tuple(f"layers.*.attn.{part}_proj.weight" for part in "qkv"),
                "layers.*.attn.qkv_proj.weight",
                sizes=lambda config: (config.q_size, config.kv_size, config.kv_size),
            ),
            Stack("layers.*.experts.#.up.weight", "layers.*.experts.up"),
        )

In a pattern ``*`` stands for one dotted component and is the same on both sides, ``#`` for the
numbers 0, 1, 2 ... which `Stack` consumes. A pattern matches the end of a name, so that one
declaration serves the base model and the models that hold it under a prefix. Steps work on
unread tensors (`dovetail.weights.LazyTensor`): nothing is read before a result is.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dovetail.errors import MismatchError
from dovetail.weights import DerivedTensor, LazyTensor, MemoryTensor

Tensors = dict[str, LazyTensor]
Sizes = Sequence[int] | Callable[[Any], Sequence[int]] | None


class Match(NamedTuple):
    """How a name fits a pattern: what precedes it, what each ``*`` is, and the ``#``, if any."""

    head: str
    stars: tuple[str, ...]
    index: int | None  # type: ignore[assignment] # a field in place of the method of tuples


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    parts = {"*": r"([^.]+)", "#": r"(?P<index>0|[1-9][0-9]{0,5})"}
    body = r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split("."))
    return re.compile(rf"(?P<head>(?:[^.]+\.)*){body}")


def match(pattern: str, name: str) -> Match | None:
    """How `name` ends in `pattern`, or None.

    >>> match("layers.*.weight", "model.layers.3.weight")
    Match(head='model.', stars=('3',), index=None)
    """
    found = _regex(pattern).fullmatch(name)
    if found is None:
        return None
    named = found.re.groupindex
    stars = (
        value for number, value in enumerate(found.groups(), 1) if number not in named.values()
    )
    return Match(found["head"], tuple(stars), int(found["index"]) if "index" in named else None)


def fill(pattern: str, found: Match, index: int | None = None) -> str:
    """The name that `pattern` spells with the parts of `found` (and `index` for ``#``)."""
    stars = iter(found.stars)
    parts = (next(stars) if part == "*" else part for part in pattern.split("."))
    return found.head + ".".join(str(index) if part == "#" else part for part in parts)


class Step(ABC):
    """One reversible difference: `load` turns checkpoint names and layouts into the model's."""

    @abstractmethod
    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """`tensors` of a checkpoint as the model has them; what does not match passes through."""

    @abstractmethod
    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """The inverse of `load`."""


@dataclass(frozen=True)
class Rename(Step):
    """The checkpoint's `source` is the model's `target`."""

    source: str
    target: str

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Rename what matches `source`."""
        return _renamed(tensors, self.source, self.target)

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Rename what matches `target` back."""
        return _renamed(tensors, self.target, self.source)


@dataclass(frozen=True)
class Synonym(Rename):
    """What some releases call `source` is `target` in others, in the model, and when saved."""

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Leave the model's name."""
        return tensors


def _renamed(tensors: Tensors, source: str, target: str) -> Tensors:
    result: Tensors = {}
    for old, tensor in tensors.items():
        found = match(source, old)
        name = old if found is None else fill(target, found)
        if name in result:
            raise MismatchError(
                f"{tensor.origin}: {old!r} is to be renamed to {name!r}, which exists as well. "
                "The checkpoint is not one of this architecture."
            )
        result[name] = tensor
    return result


@dataclass(frozen=True)
class Transpose(Step):
    """The checkpoint stores `name` with the dimensions `dims` exchanged."""

    name: str
    dims: tuple[int, int] = (0, 1)

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Exchange the dimensions."""
        return {
            name: self._exchanged(tensor) if match(self.name, name) else tensor
            for name, tensor in tensors.items()
        }

    save = load

    def _exchanged(self, tensor: LazyTensor) -> LazyTensor:
        first, second = self.dims
        shape = list(tensor.shape)
        shape[first], shape[second] = shape[second], shape[first]
        return DerivedTensor([tensor], shape, lambda parts: parts[0].transpose(first, second))


@dataclass(frozen=True)
class Concatenate(Step):
    """The model's `target` is the checkpoint's `sources`, one after another along `dim`.

    `sizes` says how long each source is along `dim` when they are told apart again: numbers, or a
    function of the config; None means equal parts.
    """

    sources: tuple[str, ...]
    target: str
    dim: int = 0
    sizes: Sizes = None

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Concatenate wherever all sources are present."""
        return _joined(tensors, self.sources, self.target, self.dim)

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Cut the target into its sources."""
        return _cut(tensors, self.target, self.sources, self.dim, _resolved(self.sizes, config))


@dataclass(frozen=True)
class Split(Step):
    """The checkpoint's `source` is the model's `targets`, one after another along `dim`.

    The inverse of `Concatenate`, with the same `sizes`.
    """

    source: str
    targets: tuple[str, ...]
    dim: int = 0
    sizes: Sizes = None

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Cut the source into its targets."""
        return _cut(tensors, self.source, self.targets, self.dim, _resolved(self.sizes, config))

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Concatenate wherever all targets are present."""
        return _joined(tensors, self.targets, self.source, self.dim)


def _resolved(sizes: Sizes, config: Any) -> Sequence[int] | None:
    return sizes(config) if callable(sizes) else sizes


def _joined(tensors: Tensors, sources: tuple[str, ...], target: str, dim: int) -> Tensors:
    result: Tensors = {}
    for name, tensor in tensors.items():
        found = next((found for source in sources if (found := match(source, name))), None)
        names = [] if found is None else [fill(source, found) for source in sources]
        if found is None or not all(part in tensors for part in names):
            result[name] = tensor
        elif name == names[0]:
            parts = [tensors[part] for part in names]
            result[fill(target, found)] = _concatenation(parts, names, dim)
    return result


def _concatenation(parts: list[LazyTensor], names: list[str], dim: int) -> LazyTensor:
    shape = list(parts[0].shape)
    for part, name in zip(parts, names, strict=True):
        rest = [size for axis, size in enumerate(part.shape) if axis != dim % len(shape)]
        if rest != [size for axis, size in enumerate(shape) if axis != dim % len(shape)]:
            raise MismatchError(
                f"{part.origin}: tensor {name!r} of shape {list(part.shape)} cannot be joined to "
                f"{names[0]!r} of shape {shape} along dimension {dim}. The checkpoint is not one "
                "of this architecture."
            )
    shape[dim] = sum(part.shape[dim] for part in parts)
    return DerivedTensor(parts, shape, lambda tensors: torch.cat(tensors, dim))


def _cut(
    tensors: Tensors, source: str, targets: tuple[str, ...], dim: int, sizes: Sequence[int] | None
) -> Tensors:
    result: Tensors = {}
    for name, tensor in tensors.items():
        found = match(source, name)
        if found is None:
            result[name] = tensor
            continue
        pieces = _pieces(tensor, name, len(targets), dim, sizes)
        result |= {
            fill(target, found): piece for target, piece in zip(targets, pieces, strict=True)
        }
    return result


def _pieces(
    tensor: LazyTensor, name: str, count: int, dim: int, sizes: Sequence[int] | None
) -> list[LazyTensor]:
    length = tensor.shape[dim] if -len(tensor.shape) <= dim < len(tensor.shape) else -1
    lengths = [length // count] * count if sizes is None else list(sizes)
    if sum(lengths) != length or len(lengths) != count:
        raise MismatchError(
            f"{tensor.origin}: tensor {name!r} of shape {list(tensor.shape)} cannot be cut along "
            f"dimension {dim} into {count} parts of {lengths}. "
            "The checkpoint does not fit the config."
        )
    starts = [sum(lengths[:number]) for number in range(count)]
    return [_piece(tensor, dim, *span) for span in zip(starts, lengths, strict=True)]


def _piece(tensor: LazyTensor, dim: int, start: int, length: int) -> LazyTensor:
    shape = list(tensor.shape)
    shape[dim] = length
    return DerivedTensor([tensor], shape, lambda parts: parts[0].narrow(dim, start, length))


@dataclass(frozen=True)
class Stack(Step):
    """The model's `target` is the checkpoint's numbered `source` tensors, stacked along `dim`.

    `source` holds one ``#``, which counts from zero without gap.
    """

    source: str
    target: str
    dim: int = 0

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Stack each complete family of numbered tensors."""
        families: dict[str, dict[int, str]] = {}
        for name in tensors:
            if (found := match(self.source, name)) and found.index is not None:
                families.setdefault(fill(self.target, found), {})[found.index] = name
        complete = {
            target: [numbered[number] for number in range(len(numbered))]
            for target, numbered in families.items()
            if set(numbered) == set(range(len(numbered)))
        }
        first = {names[0]: target for target, names in complete.items()}
        used = {name for names in complete.values() for name in names}
        result: Tensors = {}
        for name, tensor in tensors.items():
            if name in first:
                names = complete[first[name]]
                result[first[name]] = self._stacked([tensors[part] for part in names], names)
            elif name not in used:
                result[name] = tensor
        return result

    def _stacked(self, parts: list[LazyTensor], names: list[str]) -> LazyTensor:
        shape = list(parts[0].shape)
        odd = next(
            (name for part, name in zip(parts, names, strict=True) if list(part.shape) != shape),
            None,
        )
        if odd is not None:
            raise MismatchError(
                f"{parts[0].origin}: {odd!r} and {names[0]!r} have different shapes and cannot be "
                "stacked. The checkpoint is not one of this architecture."
            )
        at = self.dim % (len(shape) + 1)
        return DerivedTensor(
            parts, [*shape[:at], len(parts), *shape[at:]], lambda tensors: torch.stack(tensors, at)
        )

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Take the target apart into numbered tensors."""
        result: Tensors = {}
        for name, tensor in tensors.items():
            found = match(self.target, name)
            if found is None:
                result[name] = tensor
                continue
            for number in range(tensor.shape[self.dim]):
                result[fill(self.source, found, number)] = self._taken(tensor, number)
        return result

    def _taken(self, tensor: LazyTensor, number: int) -> LazyTensor:
        at = self.dim % len(tensor.shape)
        shape = [*tensor.shape[:at], *tensor.shape[at + 1 :]]
        return DerivedTensor([tensor], shape, lambda parts: parts[0].select(at, number))


@dataclass(frozen=True)
class Drop(Step):
    """The checkpoint's `name` can be computed and is not loaded; `restore` makes it for saving.

    `restore` gets the config and returns the tensors by full name; without it nothing is written.
    """

    name: str
    restore: Callable[[Any], Mapping[str, Tensor]] | None = None

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Leave out what matches."""
        return {name: tensor for name, tensor in tensors.items() if not match(self.name, name)}

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Put back what `restore` makes."""
        if self.restore is None:
            return tensors
        made = {name: MemoryTensor(tensor) for name, tensor in self.restore(config).items()}
        return tensors | made


def to_model(tensors: Mapping[str, LazyTensor], steps: Sequence[Step], config: Any) -> Tensors:
    """The tensors of a checkpoint under the names and in the layout of the model."""
    result = dict(tensors)
    for step in steps:
        result = step.load(result, config)
    return result


def to_checkpoint(tensors: Mapping[str, LazyTensor], steps: Sequence[Step], config: Any) -> Tensors:
    """The tensors of a model under the names and in the layout of the checkpoint."""
    result = dict(tensors)
    for step in reversed(steps):
        result = step.save(result, config)
    return result
