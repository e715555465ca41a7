"""Running texts through a model block by block, for methods that look at activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError
from dovetail.layers.projections import Conv1D

Call = tuple[tuple[Any, ...], dict[str, Any]]
SEQUENCE = 2048
"""Tokens of a calibration text, unless config or model say less."""


class _Stop(Exception):
    pass


def examples(dataset: Any, tokenizer: Any, method: str, length: int | None) -> list[Tensor]:
    """Token ids (1, T) of each text or list of ids in `dataset`.

    Raises:
        ConfigError: there are none, or texts without a tokenizer.
    """
    if dataset is None or isinstance(dataset, str) or not len(dataset):
        raise ConfigError(
            f"{method} quantizes with calibration data, and dataset={dataset!r}. Give "
            "dataset=[...], some texts like those that the model will see (or lists of token ids), "
            "or load a checkpoint that is quantized already."
        )
    if isinstance(tokenizer, str):
        from dovetail.auto import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    return [_ids(one, tokenizer, method)[:, :length] for one in dataset]


def _ids(example: Any, tokenizer: Any, method: str) -> Tensor:
    if isinstance(example, str):
        if tokenizer is None:
            raise ConfigError(f"{method}: dataset holds texts: give tokenizer= as well.")
        return tokenizer(example, return_tensors="pt")["input_ids"]
    ids = example["input_ids"] if isinstance(example, dict) else example
    return torch.as_tensor(ids, dtype=torch.int64).view(1, -1)


def blocks_of(model: nn.Module, name: str | None = None) -> dict[str, nn.Module]:
    """The repeated blocks of a model by path: those under `name`, else its longest list.

    Raises:
        ConfigError: there are none.
    """
    lists = {
        path: m for path, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m)
    }
    if name is None and lists:
        name = max(lists, key=lambda path: len(lists[path]))
    if name not in lists:
        raise ConfigError(
            f"block_name_to_quantize={name!r} is no list of blocks of {type(model).__name__}. "
            f"It has: {', '.join(lists) or 'none'}."
        )
    return {f"{name}.{index}": block for index, block in enumerate(lists[name])}


def projections_of(block: nn.Module) -> dict[str, nn.Module]:
    """The projections within a block, by path."""
    return {n: m for n, m in block.named_modules() if isinstance(m, nn.Linear | Conv1D)}


def calls_of(model: nn.Module, block: nn.Module, texts: Sequence[Tensor]) -> list[Call]:
    """With what `block` is called for each text."""
    calls: list[Call] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((args, kwargs))
        raise _Stop

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        for ids in texts:
            try:
                model(input_ids=ids, use_cache=False)
            except _Stop:
                continue
    finally:
        handle.remove()
    return calls


def run(block: nn.Module, calls: Sequence[Call]) -> list[Tensor]:
    """What the block makes of each call."""
    outputs = (block(*args, **kwargs) for args, kwargs in calls)
    return [output[0] if isinstance(output, tuple) else output for output in outputs]


def following(calls: Sequence[Call], outputs: Sequence[Tensor]) -> list[Call]:
    """The calls of the next block, which reads `outputs`."""
    return [
        ((output, *args[1:]), kwargs) for (args, kwargs), output in zip(calls, outputs, strict=True)
    ]


@contextmanager
def watching(modules: dict[str, nn.Module], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Within: `see` gets the name and the input (N, in) of every module that is called."""

    def hook(name: str) -> Any:
        def note(_: nn.Module, args: tuple[Any, ...]) -> None:
            see(name, args[0].reshape(-1, args[0].shape[-1]))

        return note

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shared_inputs(block: nn.Module, names: Sequence[str], call: Call) -> list[list[str]]:
    """Names of projections in the order in which they are called, those of one input together."""
    seen: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    modules = projections_of(block)

    def note(name: str, x: Tensor) -> None:
        seen.setdefault((x.data_ptr(), tuple(x.shape)), []).append(name)
        kept.append(x)  # so that no other tensor takes its place in memory

    kept: list[Tensor] = []
    with watching({name: modules[name] for name in names}, note):
        run(block, [call])
    return list(seen.values())
