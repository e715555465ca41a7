"""How a call pads and truncates: the names of the strategies and the reading of a caller's
arguments."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import StrEnum
from numbers import Integral
from typing import TYPE_CHECKING, Any

from dovetail.errors import TokenizerError
from dovetail.logging import get_logger

if TYPE_CHECKING:
    from dovetail.tokenizers.base import PreTrainedTokenizerBase

logger = get_logger(__name__)

VERY_LARGE_INTEGER = int(1e30)
"""Stands for "no limit" where a tokenizer names no `model_max_length`."""
LARGE_INTEGER = int(1e20)
"""Limits above this are taken as no limit."""


class ExplicitEnum(StrEnum):
    """An enumeration of strings whose error lists what is allowed."""

    @classmethod
    def _missing_(cls, value: object) -> ExplicitEnum:
        known = ", ".join(repr(member.value) for member in cls)
        raise TokenizerError(f"{value!r} is not a valid {cls.__name__}: choose one of {known}.")


class PaddingStrategy(ExplicitEnum):
    """To which length sequences are padded."""

    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"


class TruncationStrategy(ExplicitEnum):
    """Which sequence of a pair loses tokens when the pair is too long."""

    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    LONGEST_FIRST = "longest_first"
    DO_NOT_TRUNCATE = "do_not_truncate"


class TensorType(ExplicitEnum):
    """The kind of array that `return_tensors` asks for; Dovetail makes PyTorch and NumPy ones."""

    PYTORCH = "pt"
    TENSORFLOW = "tf"
    NUMPY = "np"
    JAX = "jax"
    MLX = "mlx"


@dataclass(frozen=True)
class LengthPlan:
    """A caller's padding and truncation arguments, read: everything that decides lengths."""

    padding: PaddingStrategy
    truncation: TruncationStrategy
    max_length: int | None
    pad_to_multiple_of: int | None = None


def read_lengths(
    tokenizer: PreTrainedTokenizerBase,
    padding: bool | str | PaddingStrategy | None,
    truncation: bool | str | TruncationStrategy | None,
    max_length: int | None,
    pad_to_multiple_of: int | None,
    verbose: bool,
    legacy: dict[str, Any],
) -> LengthPlan:
    """Decide what the arguments of a call mean together.

    `legacy` holds the call's remaining keywords; the retired ``truncation_strategy`` and
    ``pad_to_max_length`` are taken out.

    Raises:
        TokenizerError: for lengths that cannot be, padding without a padding token, or a multiple
        that `max_length` misses.
    """
    old_truncation = legacy.pop("truncation_strategy", "do_not_truncate")
    old_padding = legacy.pop("pad_to_max_length", False)
    _check_lengths(max_length, pad_to_multiple_of)
    implied = padding is False and truncation is None and old_truncation == "do_not_truncate"
    if max_length is not None and implied:
        if verbose:
            tokenizer.warn_once(
                "Truncation-not-explicitly-activated",
                f"max_length={max_length} was given without truncation=True: sequences are cut to "
                "it, longest first. Pass truncation=True, or another strategy, to say so.",
            )
        truncation = "longest_first"
    padding_plan = _read_padding(padding, old_padding, truncation, max_length, verbose)
    truncation_plan = _read_truncation(truncation, old_truncation)
    if max_length is None:
        max_length, padding_plan, truncation_plan = _limit_of_model(
            tokenizer, padding_plan, truncation_plan, verbose
        )
    plan = LengthPlan(padding_plan, truncation_plan, max_length, pad_to_multiple_of)
    _check_plan(tokenizer, plan)
    return plan


def _check_lengths(max_length: Any, multiple: Any) -> None:
    if max_length is not None and (not isinstance(max_length, Integral) or max_length < 0):
        raise TokenizerError(
            f"max_length={max_length!r} cannot be: pass a whole number of at least 0, or None."
        )
    if multiple is not None and (not isinstance(multiple, Integral) or multiple < 1):
        raise TokenizerError(
            f"pad_to_multiple_of={multiple!r} cannot be: pass a whole number of at least 1, or "
            "None."
        )


def _read_padding(
    padding: bool | str | PaddingStrategy | None,
    old: bool,
    truncation: object,
    max_length: int | None,
    verbose: bool,
) -> PaddingStrategy:
    if padding in (False, None) and old:
        warnings.warn(
            "pad_to_max_length is retired: use padding=True for the longest sequence of the "
            "batch, padding='max_length' for a fixed length.",
            FutureWarning,
            stacklevel=5,
        )
        return PaddingStrategy.LONGEST if max_length is None else PaddingStrategy.MAX_LENGTH
    if padding in (False, None):
        return PaddingStrategy.DO_NOT_PAD
    if isinstance(padding, str):
        return PaddingStrategy(padding)
    if verbose and max_length is not None and truncation in (None, False, "do_not_truncate"):
        warnings.warn(
            "max_length is ignored when padding=True and nothing is truncated: use "
            "padding='max_length' to pad to it.",
            stacklevel=5,
        )
    return PaddingStrategy.LONGEST


def _read_truncation(
    truncation: bool | str | TruncationStrategy | None, old: str | TruncationStrategy
) -> TruncationStrategy:
    if truncation is None and old != "do_not_truncate":
        warnings.warn(
            f"truncation_strategy is retired: use truncation={str(old)!r}.",
            FutureWarning,
            stacklevel=5,
        )
        return TruncationStrategy(old)
    if truncation is None or truncation is False:
        return TruncationStrategy.DO_NOT_TRUNCATE
    return (
        TruncationStrategy.LONGEST_FIRST if truncation is True else TruncationStrategy(truncation)
    )


def _limit_of_model(
    tokenizer: PreTrainedTokenizerBase,
    padding: PaddingStrategy,
    truncation: TruncationStrategy,
    verbose: bool,
) -> tuple[int | None, PaddingStrategy, TruncationStrategy]:
    """Without `max_length` the model's own limit serves; without that, nothing can be cut or filled
    to it."""
    limit = tokenizer.model_max_length if tokenizer.model_max_length <= LARGE_INTEGER else None
    pads, cuts = (
        padding is PaddingStrategy.MAX_LENGTH,
        truncation is not TruncationStrategy.DO_NOT_TRUNCATE,
    )
    if limit is None:
        for wanted, what in ((pads, "pad"), (cuts, "truncate")):
            if wanted and verbose:
                tokenizer.warn_once(
                    f"Asking-to-{what}-to-max_length",
                    f"Asked to {what} to the maximum length, but max_length is not given and this "
                    "tokenizer knows no limit of its model: nothing is done. Pass max_length.",
                )
        padding = PaddingStrategy.DO_NOT_PAD if pads else padding
        truncation = TruncationStrategy.DO_NOT_TRUNCATE
    return (limit if pads or cuts else None), padding, truncation


def _check_plan(tokenizer: PreTrainedTokenizerBase, plan: LengthPlan) -> None:
    if plan.padding is PaddingStrategy.DO_NOT_PAD:
        return
    if tokenizer.pad_token is None or tokenizer.pad_token_id is None or tokenizer.pad_token_id < 0:
        raise TokenizerError(
            f"Asked to pad, but {type(tokenizer).__name__} has no padding token "
            f"(pad_token={tokenizer.pad_token!r}). "
            "Set one, for instance tokenizer.pad_token = tokenizer.eos_token, or add one: "
            "tokenizer.add_special_tokens({'pad_token': '[PAD]'})."
        )
    cut = plan.truncation is not TruncationStrategy.DO_NOT_TRUNCATE and plan.max_length is not None
    if (
        cut
        and plan.pad_to_multiple_of
        and plan.max_length
        and plan.max_length % plan.pad_to_multiple_of
    ):
        raise TokenizerError(
            f"Truncating to max_length={plan.max_length} and padding to a multiple of "
            f"{plan.pad_to_multiple_of} contradict each other: make max_length a multiple."
        )
