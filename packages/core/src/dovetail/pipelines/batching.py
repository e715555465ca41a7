"""Items to batches and back: tensors of unequal length padded together, a model's output split per
item.

Without workers everything is lazy and in this process; with ``num_workers`` a
`torch.utils.data.DataLoader` prepares items ahead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dovetail.errors import PipelineError
from dovetail.outputs import ModelOutput

Item = Mapping[str, Any]
Collate = Callable[[list[Item]], Item]


class Indexable(Protocol):
    """What can be read by position and has a length: a list, a map-style dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class KeyDataset(Dataset[Any]):
    """One column of a dataset of mappings: ``pipe(KeyDataset(dataset, "text"))``."""

    def __init__(self, dataset: Indexable, key: str) -> None:
        self.dataset = dataset
        self.key = key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][self.key]


class KeyPairDataset(Dataset[dict[str, Any]]):
    """Two columns of a dataset of mappings, as the text and text pair of each item."""

    def __init__(self, dataset: Indexable, key1: str, key2: str) -> None:
        self.dataset = dataset
        self.key1 = key1
        self.key2 = key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.dataset[index]
        return {"text": item[self.key1], "text_pair": item[self.key2]}


class ResultIterator(Iterator[Any]):
    """The results of a pipeline over many inputs, in their order, computed as they are asked for.

    ``len()`` works when the inputs have a length, so that a progress bar knows the end.
    """

    def __init__(self, results: Iterator[Any], length: int | None = None) -> None:
        self._results = results
        self._length = length

    def __next__(self) -> Any:
        return next(self._results)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("The inputs of this pipeline call have no length (a generator?).")
        return self._length


def length_of(inputs: Any) -> int | None:
    """``len(inputs)`` or None for generators and unsized datasets."""
    try:
        return len(inputs)
    except TypeError:
        return None


def items_of(inputs: Any) -> Iterator[Any]:
    """All inputs in order; a map-style dataset is read by index, for not all of them end an
    iteration properly."""
    length = length_of(inputs)
    if isinstance(inputs, Dataset) and length is not None:
        return (inputs[index] for index in range(length))
    return iter(inputs)


class _Prepared(Dataset[Any]):
    """A map-style dataset of prepared items, for workers."""

    def __init__(self, inputs: Indexable, prepare: Callable[[Any], Any]) -> None:
        self.inputs = inputs
        self.prepare = prepare

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        return self.prepare(self.inputs[index])


class _PreparedStream(IterableDataset[Any]):
    """An unsized stream of prepared items, for one worker (several would each yield everything)."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def one_by_one(inputs: Any, prepare: Callable[[Any], Item]) -> Iterator[Item]:
    """Each input prepared, lazily."""
    return map(prepare, items_of(inputs))


def chunk_by_chunk(inputs: Any, prepare: Callable[[Any], Iterable[Item]]) -> Iterator[Item]:
    """All chunks of each input in turn, lazily."""
    return (chunk for item in items_of(inputs) for chunk in prepare(item))


def groups(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items, the last one shorter."""
    while group := list(islice(items, size)):
        yield group


def _sized_collate(collate: Collate, group: list[Item]) -> tuple[int, Item]:
    return len(group), collate(group)


def worker_batches(
    inputs: Any,
    prepare: Callable[[Any], Any],
    *,
    chunked: bool,
    num_workers: int,
    batch_size: int,
    collate: Collate,
) -> Iterable[tuple[int, Item]]:
    """(number of items, batch), the items prepared in `num_workers` processes.

    Chunks and streams have one worker.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
    dataset: Dataset[Any]
    if chunked:
        dataset, num_workers = _PreparedStream(chunk_by_chunk(inputs, prepare)), 1
    elif length_of(inputs) is None or not hasattr(inputs, "__getitem__"):
        dataset, num_workers = _PreparedStream(one_by_one(inputs, prepare)), 1
    else:
        dataset = _Prepared(inputs, prepare)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=partial(_sized_collate, collate),
    )


def first_item(group: list[Item]) -> Item:
    """The collation for a batch size of 1."""
    return group[0]


class PadCollate:
    """Collates prepared items: tensors (1, L, ...) are padded to one length, everything else
    becomes a list.

    `padding_values` gives the value per key; keys not listed are padded with 0.
    """

    def __init__(self, padding_values: Mapping[str, float], padding_side: str = "right") -> None:
        self.padding_values = padding_values
        self.padding_side = padding_side

    def __call__(self, group: list[Item]) -> Item:
        """One batch of the items of `group`; `PipelineError` when they cannot be stacked."""
        keys = set(group[0])
        for item in group:
            if set(item) != keys:
                raise PipelineError(
                    f"A batch cannot hold items with different keys: {sorted(keys)} and "
                    f"{sorted(item)}. Make `preprocess` return the same keys for every input, or "
                    "call the pipeline with batch_size=1."
                )
        return {key: self._column(key, [item[key] for item in group]) for key in group[0]}

    def _column(self, key: str, values: list[Any]) -> Any:
        if not isinstance(values[0], Tensor):
            return values
        odd = next((value for value in values if value.dim() == 0 or len(value) != 1), None)
        if odd is not None:
            raise PipelineError(
                f"The tensor {key!r} of one input has the shape {tuple(odd.shape)}; to go into a "
                "batch it needs a leading dimension of 1. Make `preprocess` add it, or call the "
                "pipeline with batch_size=1."
            )
        if len({value.shape[1:] for value in values}) == 1:
            return torch.cat(values)
        if len({value.shape[2:] for value in values}) > 1:
            shapes = ", ".join(str(tuple(value.shape)) for value in values)
            raise PipelineError(
                f"The tensors {key!r} of one batch have shapes {shapes}: only their second "
                "dimension may differ. Call the pipeline with batch_size=1, or resize the inputs "
                "to one size."
            )
        return pad_sequence(
            [value[0] for value in values],
            batch_first=True,
            padding_value=self.padding_values.get(key, 0),
            padding_side=self.padding_side,
        )


def _split(value: Any, size: int) -> Iterable[Any]:
    """`value` of a batch as `size` values of batches of one."""
    if value is None:
        return repeat(None, size)
    if isinstance(value, Tensor):
        return value.split(1) if value.dim() and len(value) == size else repeat(value, size)
    if isinstance(value, list):
        return value
    if isinstance(value, tuple):
        return (
            zip(*(_split(part, size) for part in value), strict=False)
            if value
            else repeat((), size)
        )
    if hasattr(value, "to_legacy_cache"):
        return _split(value.to_legacy_cache(), size)
    if hasattr(value, "shape"):  # numpy
        return [value[index : index + 1] for index in range(size)]
    return repeat(value, size)


def unbatch(output: Any, size: int) -> Iterator[Any]:
    """The outputs of `size` items from that of their batch, each like the output for a batch of
    one.

    Nested tuples (hidden states, caches) are split too; the class of a `ModelOutput` is kept.
    """
    if isinstance(output, ModelOutput):
        kind: Callable[..., Any] = type(output)
    elif isinstance(output, Mapping):
        kind = dict
    else:
        yield from _split(output, size)
        return
    names: Sequence[str] = list(output)
    for values in zip(*(_split(output[name], size) for name in names), strict=False):
        yield kind(**dict(zip(names, values, strict=True)))
