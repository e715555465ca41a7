"""What a load found: as data, as a table for people, as one line for logs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import MismatchError
from dovetail.logging import get_logger

logger = get_logger("dovetail.loading")

SHOWN = 8
"""How many names of a kind a message lists."""

Shape = tuple[int, ...]


@dataclass
class LoadingReport:
    """The differences between what a checkpoint held and what the model wanted.

    `mismatched` holds (name, shape in the checkpoint, shape in the model); `conflicting` pairs of
    names that the model ties and whose values differ in the checkpoint; `with_nan` names of loaded
    tensors that hold a NaN.
    """

    model: str
    source: str
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    conflicting: list[tuple[str, str]] = field(default_factory=list)
    with_nan: list[str] = field(default_factory=list)
    error_msgs: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """What ``output_loading_info=True`` returns."""
        return {
            "missing_keys": self.missing,
            "unexpected_keys": self.unexpected,
            "mismatched_keys": self.mismatched,
            "error_msgs": self.error_msgs,
            "conflicting_keys": self.conflicting,
            "nan_keys": self.with_nan,
        }

    @property
    def newly_initialised(self) -> list[str]:
        """Names whose values do not come from the checkpoint."""
        return sorted({*self.missing, *(name for name, _, _ in self.mismatched)})

    def raise_for_sizes(self) -> None:
        """Raise `MismatchError` if tensors have other shapes than the model's."""
        if self.mismatched:
            raise MismatchError(
                f"{self.source} does not fit {self.model}: size mismatch of "
                f"{len(self.mismatched)} tensors, {self._mismatches()}. Check the config and the "
                "checkpoint, or pass ignore_mismatched_sizes=True to initialise these anew."
            )

    def raise_for_differences(self) -> None:
        """Raise `MismatchError` if checkpoint and model do not fit exactly."""
        if self.missing or self.unexpected or self.mismatched:
            raise MismatchError(
                f"{self.source} does not fit {self.model} exactly, as strict=True demands. "
                f"Missing: {_names(self.missing)}; unexpected: {_names(self.unexpected)}; "
                f"of other sizes: {self._mismatches() or 'none'}."
            )

    def _mismatches(self) -> str:
        shown = [
            f"{name} ({list(held)} in the checkpoint, {list(wanted)} in the model)"
            for name, held, wanted in self.mismatched[:SHOWN]
        ]
        return ", ".join(shown) + _more(self.mismatched)

    def announce(self, *, unexpected_matter: bool) -> None:
        """Tell people at a terminal everything, and a log only what matters.

        `unexpected_matter` is false where left-over tensors are the point of the call: a class
        which is not the one that the checkpoint was saved from.
        """
        matters = self.newly_initialised or self.conflicting or self.with_nan
        if not (matters or (self.unexpected and unexpected_matter)):
            if self.unexpected:
                logger.info("%s", self.table())
            return
        if sys.stderr is not None and sys.stderr.isatty():
            logger.warning("%s", self.table())
        else:
            logger.warning("%s", " ".join(self._sentences()))

    def _sentences(self) -> list[str]:
        subject = f"{self.model} from {self.source}:"
        sentences = []
        if self.newly_initialised:
            names = _names(self.newly_initialised)
            sentences.append(
                f"{subject} newly initialised: {names}. "
                "Train the model before you rely on its output."
            )
        if self.with_nan:
            sentences.append(f"{subject} NaN weights in {_names(self.with_nan)}.")
        if self.conflicting:
            pairs = _names(f"{guest} (now that of {owner})" for owner, guest in self.conflicting)
            sentences.append(
                f"{subject} the config ties weights that differ in the checkpoint: {pairs}. "
                "Set tie_word_embeddings=False to keep both."
            )
        if self.unexpected:
            sentences.append(f"{subject} not used: {_names(self.unexpected)}.")
        return sentences

    def table(self) -> str:
        """A heading and one line per name, numbered layers folded together."""
        rows = [(name, "missing: newly initialised") for name in _folded(self.missing)]
        rows += [(name, "unexpected: not used") for name in _folded(self.unexpected)]
        rows += [
            (name, f"size {list(held)}, the model's is {list(wanted)}: newly initialised")
            for name, held, wanted in self.mismatched
        ]
        rows += [(guest, f"tied, but differs from {owner}") for owner, guest in self.conflicting]
        rows += [(name, "holds NaN") for name in _folded(self.with_nan)]
        width = max((len(name) for name, _ in rows), default=0)
        lines = [f"  {name:<{width}}  {state}" for name, state in rows]
        return "\n".join([f"{self.model} loaded from {self.source}", *lines])


def without(names: Iterable[str], patterns: Sequence[str] | None) -> list[str]:
    """`names` in which none of the regular expressions occurs."""
    return [
        name for name in names if not any(re.search(pattern, name) for pattern in patterns or ())
    ]


def _folded(names: Sequence[str]) -> list[str]:
    """Names that differ only in one number as one, with the range of the number.

    >>> _folded(["h.0.w", "h.1.w", "h.2.w", "ln.w"])
    ['h.{0..2}.w', 'ln.w']
    """
    families: dict[tuple[str, str], list[int]] = {}
    for name in names:
        head, number, tail = _around_number(name)
        families.setdefault((head, tail), []).append(number)
    folded = []
    for (head, tail), numbers in families.items():
        first, last = min(numbers), max(numbers)
        if len(numbers) > 2 and sorted(numbers) == list(range(first, last + 1)):
            folded.append(f"{head}{{{first}..{last}}}{tail}")
        else:
            folded += [f"{head}{number if number >= 0 else ''}{tail}" for number in numbers]
    return folded


def _around_number(name: str) -> tuple[str, int, str]:
    found = re.search(r"(?<=\.)\d{1,6}(?=\.)", name)
    if found is None:
        return name, -1, ""
    return name[: found.start()], int(found[0]), name[found.end() :]


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + _more(listed) if listed else "none"


def _more(items: Sequence[Any]) -> str:
    return f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
