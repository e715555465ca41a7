"""Further reversible steps, for checkpoints that were written by other programs than a Hub model's.

They follow `dovetail.mapping`: `load` leads from the original to the Hub's layout, `save` back.
Unlike there a pattern of `Renames` is a whole name, because an original is known completely.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import ConfigError, MismatchError
from dovetail.mapping import Step, Tensors, match
from dovetail.weights import DerivedTensor, LazyTensor, MemoryTensor

Shape = Sequence[int]
WILDCARDS = re.compile(r"\*\*|\*")
DIGITS = re.compile(r"[0-9]+")
LISTED = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class Renames(Step):
    """Every name of the original and what it is called on the Hub.

    In a name ``*`` stands for a component or a part of one (``layer_*``), ``**`` for any number of
    components; both are the same on either side. `width` is how many digits numbers have in the
    original (``block_007``), `first` the number from which it counts. Names that the table lacks
    pass on load, where they are reported as unexpected, and are refused on save.
    """

    table: Mapping[str, str]
    width: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        for pair in self.table.items():
            if len({tuple(WILDCARDS.findall(name)) for name in pair}) > 1:
                raise ConfigError(f"Renames: {pair[0]!r} and {pair[1]!r} have other wildcards.")

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Give each tensor the Hub's name."""
        result: Tensors = {}
        for old, tensor in tensors.items():
            new = _translated(old, self._forward, self._hub_number) or old
            _refuse_double(new in result, old, new, tensor)
            result[new] = tensor
        return result

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Give each tensor the original's name."""
        result: Tensors = {}
        unknown = []
        for old, tensor in tensors.items():
            new = _translated(old, self._backward, self._own_number)
            if new is None:
                unknown.append(old)
                continue
            _refuse_double(new in result, old, new, tensor)
            result[new] = tensor
        if unknown:
            raise MismatchError(
                f"The original layout has no place for {len(unknown)} tensors of the checkpoint: "
                f"{', '.join(unknown[:LISTED])}. Choose another layout, or convert a checkpoint "
                "without them."
            )
        return result

    def _hub_number(self, part: str) -> str:
        return str(int(part) - self.first) if DIGITS.fullmatch(part) else part

    def _own_number(self, part: str) -> str:
        return str(int(part) + self.first).zfill(self.width) if DIGITS.fullmatch(part) else part

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(name_pattern(source), target) for source, target in self.table.items()]

    @cached_property
    def _backward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(name_pattern(target), source) for source, target in self.table.items()]


@cache
def name_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of whole names that ``*`` and ``**`` in `pattern` stand for."""
    literal = [re.escape(part) for part in WILDCARDS.split(pattern)]
    wild = [r"(.+)" if found == "**" else r"([^.]+)" for found in WILDCARDS.findall(pattern)]
    return re.compile("".join(map("".join, zip(literal, [*wild, ""], strict=True))))


def _translated(
    name: str, table: list[tuple[re.Pattern[str], str]], number: Callable[[str], str]
) -> str | None:
    for pattern, target in table:
        if found := pattern.fullmatch(name):
            parts = iter(found.groups())
            return WILDCARDS.sub(lambda _: number(next(parts)), target)  # noqa: B023 - used at once
    return None


def _refuse_double(taken: bool, old: str, new: str, tensor: LazyTensor) -> None:
    if taken:
        raise MismatchError(
            f"{tensor.origin}: {old!r} is to be renamed to {new!r}, which exists as well. "
            "The checkpoint is not one of this layout."
        )


@dataclass(frozen=True)
class Reversed(Step):
    """Another step with its directions exchanged."""

    step: Step

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """What `step` does on save."""
        return self.step.save(tensors, config)

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """What `step` does on load."""
        return self.step.load(tensors, config)


@dataclass(frozen=True)
class OneByOne(Step):
    """A step that changes each tensor whose name ends in `name` and keeps the name."""

    name: str

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Change what matches to the Hub's layout."""
        return self._each(tensors, lambda tensor, name: self.forward(tensor, name, config))

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Change what matches to the original's layout."""
        return self._each(tensors, lambda tensor, name: self.backward(tensor, name, config))

    def _each(self, tensors: Tensors, change: Callable[[LazyTensor, str], LazyTensor]) -> Tensors:
        return {
            name: change(tensor, name) if match(self.name, name) else tensor
            for name, tensor in tensors.items()
        }

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """One tensor in the Hub's layout."""
        raise TypeError(f"{type(self).__name__} defines no forward.")

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """One tensor in the original's layout."""
        raise TypeError(f"{type(self).__name__} defines no backward.")


@dataclass(frozen=True)
class Reshape(OneByOne):
    """The Hub's tensor has the shape `hub`, the original's the shape `original`.

    Each is a function of the config and the other's shape; the numbers stay in their order.
    """

    hub: Callable[[Any, Shape], Shape]
    original: Callable[[Any, Shape], Shape]

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The tensor in the shape `hub`."""
        return _reshaped(tensor, name, self.hub(config, tensor.shape))

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The tensor in the shape `original`."""
        return _reshaped(tensor, name, self.original(config, tensor.shape))


def squeeze(name: str) -> Reshape:
    """The original has a leading dimension of one more."""
    return Reshape(name, lambda _, shape: shape[1:], lambda _, shape: (1, *shape))


def unsqueeze(name: str) -> Reshape:
    """The original lacks a leading dimension of one."""
    return Reshape(name, lambda _, shape: (1, *shape), lambda _, shape: shape[1:])


def _reshaped(tensor: LazyTensor, name: str, shape: Shape) -> LazyTensor:
    new = tuple(shape)
    if torch.Size(new).numel() != torch.Size(tensor.shape).numel():
        raise MismatchError(
            f"{tensor.origin}: tensor {name!r} of shape {list(tensor.shape)} cannot take the shape "
            f"{list(new)} that the config asks for. The checkpoint does not fit the config."
        )
    return DerivedTensor([tensor], new, lambda parts: parts[0].reshape(new))


@dataclass(frozen=True)
class RotaryHalves(OneByOne):
    """Rows of a projection to queries or keys, whose rotary pairs are neighbours in the original.

    On the Hub the two of a pair are half a head apart: channels 0, 2, 4 ... of each of `heads` come
    first, then 1, 3, 5 ...
    """

    heads: Callable[[Any], int]

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """Pairs half a head apart."""
        return self._exchanged(tensor, name, config, (-1, 2))

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """Pairs side by side."""
        return self._exchanged(tensor, name, config, (2, -1))

    def _exchanged(
        self, tensor: LazyTensor, name: str, config: Any, pairs: tuple[int, int]
    ) -> LazyTensor:
        heads, shape = self.heads(config), tensor.shape
        if not shape or shape[0] % (2 * heads):
            raise MismatchError(
                f"{tensor.origin}: tensor {name!r} of shape {list(shape)} cannot be shared out "
                f"over {heads} heads of an even width. The checkpoint does not fit the config."
            )

        def exchange(parts: list[Tensor]) -> Tensor:
            split = parts[0].reshape(heads, *pairs, *shape[1:])
            return split.transpose(1, 2).reshape(shape)

        return DerivedTensor([tensor], shape, exchange)


@dataclass(frozen=True)
class Pad(OneByOne):
    """The Hub's tensor has `count` more entries of `value` at the end of dimension `dim`."""

    count: int = 1
    dim: int = 0
    value: float = 0.0

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The tensor with the entries."""
        missing = self._with_length(tensor.shape, self.count)

        def pad(parts: list[Tensor]) -> Tensor:
            return torch.cat([parts[0], parts[0].new_full(missing, self.value)], self.dim)

        shape = self._with_length(tensor.shape, tensor.shape[self.dim] + self.count)
        return DerivedTensor([tensor], shape, pad)

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The tensor without them.

        Raises:
            MismatchError: they have other values, which would be lost.
        """
        length = tensor.shape[self.dim] - self.count
        if tensor.get().narrow(self.dim, length, self.count).ne(self.value).any():
            raise MismatchError(
                f"{tensor.origin}: the last {self.count} of {name!r} along dimension {self.dim} "
                f"are not {self.value}, and the original layout has no place for them."
            )
        shape = self._with_length(tensor.shape, length)
        return DerivedTensor([tensor], shape, lambda parts: parts[0].narrow(self.dim, 0, length))

    def _with_length(self, shape: Shape, length: int) -> list[int]:
        result = list(shape)
        result[self.dim] = length
        return result


@dataclass(frozen=True)
class Crop(OneByOne):
    """The Hub's tensor has `length` rows; the original may have more, of no meaning, which do not
    come back."""

    length: Callable[[Any], int]

    def forward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The rows of meaning."""
        rows, *rest = tensor.shape
        length = min(rows, self.length(config))
        return DerivedTensor([tensor], (length, *rest), lambda parts: parts[0][:length])

    def backward(self, tensor: LazyTensor, name: str, config: Any) -> LazyTensor:
        """The tensor as it is."""
        return tensor


@dataclass(frozen=True)
class Zeros(Step):
    """The original lacks tensors that are zero; `shapes` says which the config asks for.

    With `optional` it may have them, and gets them.
    """

    shapes: Callable[[Any], Mapping[str, Shape]]
    optional: bool = False

    def load(self, tensors: Tensors, config: Any) -> Tensors:
        """Add the zeros."""
        dtype = next(iter(tensors.values())).dtype if tensors else torch.float32
        made = {
            name: MemoryTensor(torch.zeros(tuple(shape), dtype=dtype))
            for name, shape in self.shapes(config).items()
        }
        return {**made, **tensors}

    def save(self, tensors: Tensors, config: Any) -> Tensors:
        """Leave them out, if they are zero."""
        if self.optional:
            return tensors
        absent = self.shapes(config)
        for name in absent:
            if name in tensors and tensors[name].get().count_nonzero():
                raise MismatchError(
                    f"{tensors[name].origin}: {name!r} is not zero, and the original layout has no "
                    "place for it."
                )
        return {name: tensor for name, tensor in tensors.items() if name not in absent}
