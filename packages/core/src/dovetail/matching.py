"""Which tensor of a checkpoint goes where in a model, decided from names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

from dovetail.weights import DerivedTensor, LazyTensor

Shape = tuple[int, ...]

LEGACY_ENDINGS: tuple[tuple[str, str], ...] = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
    (".parametrizations.weight.original0", ".weight_g"),
    (".parametrizations.weight.original1", ".weight_v"),
)
"""Older and newer spellings of the same tensor; each is tried only where the model expects it."""

COMPUTED_ENDINGS = (".rotary_emb.inv_freq", ".position_ids")
"""Buffers that old checkpoints carry although every model computes them."""


@dataclass
class Matching:
    """The outcome: `found` maps a model's name to its source, `names` to the checkpoint's name.

    `absent` are the model's names that nothing provides, `unexpected` the checkpoint's that fit
    nowhere, `mismatched` are (name, shape in the checkpoint, shape in the model). `rivals` are
    pairs of sources for one parameter of the model which the checkpoint holds twice, by name.
    """

    found: dict[str, LazyTensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    rivals: dict[tuple[str, str], tuple[LazyTensor, LazyTensor]] = field(default_factory=dict)

    def conflicts(self) -> list[tuple[str, str]]:
        """The names of those rivals whose values differ; both are read."""
        return [names for names, pair in self.rivals.items() if not _equal(*pair)]


def expected_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every persistent parameter and buffer by name; tied ones occur several times."""
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def tied_groups(expected: Mapping[str, Tensor], tied_names: Sequence[str] = ()) -> list[list[str]]:
    """Names that share one tensor, the one that owns it first.

    `tied_names` are the model's declared patterns (``_tied_weights_keys``): a name that matches one
    is a guest of the others.
    """
    groups: dict[int, list[str]] = {}
    for name, tensor in expected.items():
        groups.setdefault(id(tensor), []).append(name)

    def is_guest(name: str) -> bool:
        return any(re.search(pattern, name) for pattern in tied_names)

    return [sorted(names, key=is_guest) for names in groups.values()]


def renamed(
    tensors: Mapping[str, LazyTensor], key_mapping: Mapping[str, str] | None
) -> dict[str, LazyTensor]:
    """`tensors` after the first regular expression of `key_mapping` that occurs in each name."""

    def new_name(name: str) -> str:
        for pattern, replacement in (key_mapping or {}).items():
            changed, count = re.subn(pattern, replacement, name)
            if count:
                return changed
        return name

    return {new_name(name): tensor for name, tensor in tensors.items()}


def match_tensors(
    expected: Mapping[str, Tensor],
    tensors: Mapping[str, LazyTensor],
    groups: Sequence[Sequence[str]] = (),
    prefixes: Sequence[str] = (),
) -> Matching:
    """Decide where each of `tensors` goes among the `expected`, of which `groups` are one tensor.

    An exact name wins; otherwise an older spelling, or the name with the base model's prefix
    added (a model with a head reads a base checkpoint), removed (the reverse) or exchanged.
    `prefixes` are the model's own and those that other classes of its architecture use.
    """
    result = Matching()
    _assign_names(result, expected, tensors, prefixes)
    for names in groups:
        _settle_group(result, names)
    _check_shapes(result, expected)
    result.unexpected = [
        name for name in result.unexpected if not f".{name}".endswith(COMPUTED_ENDINGS)
    ]
    return result


def _assign_names(
    result: Matching,
    expected: Mapping[str, Tensor],
    tensors: Mapping[str, LazyTensor],
    prefixes: Sequence[str],
) -> None:
    later = [name for name in tensors if name not in expected]
    for name, tensor in tensors.items():
        if name in expected:
            result.found[name], result.names[name] = tensor, name
    for name in later:
        target = next((form for form in _spellings(name, prefixes) if form in expected), None)
        if target is None or target in result.found:
            result.unexpected.append(name)
        else:
            result.found[target], result.names[target] = tensors[name], name


def _spellings(name: str, prefixes: Sequence[str]) -> Iterator[str]:
    forms = [name]
    for old, new in LEGACY_ENDINGS:
        if name.endswith(old):
            forms.append(name.removesuffix(old) + new)
    for form in forms:
        yield form
        bare = {form: None} | {form.removeprefix(f"{prefix}."): None for prefix in prefixes}
        yield from (f"{prefixes[0]}.{rest}" for rest in bare if prefixes)
        yield from bare


def _settle_group(result: Matching, names: Sequence[str]) -> None:
    """One source for all names of a tensor: its owner's, else that of the first guest."""
    given = [name for name in names if name in result.found]
    if not given:
        result.absent.extend(names)
        return
    source, name = result.found[given[0]], result.names[given[0]]
    result.rivals |= {(given[0], guest): (source, result.found[guest]) for guest in given[1:]}
    for guest in given:
        del result.found[guest], result.names[guest]
    result.found[names[0]], result.names[names[0]] = source, name


def _check_shapes(result: Matching, expected: Mapping[str, Tensor]) -> None:
    for name, source in list(result.found.items()):
        held, wanted = tuple(source.shape), tuple(expected[name].shape)
        if held == wanted:
            continue
        # Old files hold single numbers as vectors of length one, and the reverse.
        if prod(held) == prod(wanted) == 1:
            result.found[name] = _reshaped(source, wanted)
        else:
            result.mismatched.append((name, held, wanted))


def _reshaped(source: LazyTensor, shape: Shape) -> LazyTensor:
    return DerivedTensor([source], shape, lambda parts: parts[0].reshape(shape))


def _equal(first: LazyTensor, second: LazyTensor) -> bool:
    return first.shape == second.shape and torch.equal(first.get(), second.get())
