"""When to stop: criteria look at the tokens so far (B, T) and say for each row whether it is done
(B,).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.processors.base import token_list
from dovetail.logging import get_logger

logger = get_logger(__name__)


class StoppingCriteria:
    """Says for each row of the batch whether it is complete. A subclass defines `__call__`."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return booleans (B,), given the tokens so far (B, T) and the scores kept so far (None
        when they are not kept).
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(input_ids, scores)")


def _all_rows(input_ids: Tensor, done: bool) -> Tensor:
    return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


class BatchCriteria(StoppingCriteria):
    """A criterion that is the same for all rows. A subclass defines `done`."""

    def done(self, input_ids: Tensor) -> bool:
        """Whether all rows stop now."""
        raise NotImplementedError(f"{type(self).__name__} must define done(input_ids)")

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Say which rows (B,) are done: all or none."""
        return _all_rows(input_ids, self.done(input_ids))


class MaxLengthCriteria(BatchCriteria):
    """Stops all rows at `max_length` tokens, the prompt's included."""

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = max_length
        self.max_position_embeddings = max_position_embeddings

    def done(self, input_ids: Tensor) -> bool:
        """Whether the limit is reached; logs a warning once the model's positions are used up."""
        length, positions = input_ids.shape[-1], self.max_position_embeddings
        if positions is not None and positions <= length < self.max_length:
            logger.warning_once(
                f"The text grows beyond the {positions} positions that the model was made for: "
                "expect nonsense, or an error from models with learned positions."
            )
        return length >= self.max_length


class MaxTimeCriteria(BatchCriteria):
    """Stops all rows `max_time` seconds after `initial_timestamp` (default: now)."""

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = max_time
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def done(self, input_ids: Tensor) -> bool:
        """Whether the time is over."""
        return time.time() - self.initial_timestamp > self.max_time


class EosTokenCriteria(StoppingCriteria):
    """Stops a row whose last token is one of the end tokens."""

    def __init__(self, eos_token_id: int | list[int] | Tensor) -> None:
        self.eos_token_id = torch.tensor(token_list("eos_token_id", eos_token_id))

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Say which rows (B,) are done."""
        if self.eos_token_id.device != input_ids.device:
            self.eos_token_id = self.eos_token_id.to(input_ids.device)
        last = input_ids[:, -1]
        if len(self.eos_token_id) == 1:  # the usual case, several times faster than isin
            return last == self.eos_token_id
        return torch.isin(last, self.eos_token_id)


class StopStringCriteria(StoppingCriteria):
    """Stops a row when a stop string ends within its last token, wherever the string's tokens begin
    and end.

    Just the tail of each row that can hold the longest stop string is decoded, with and without its
    last token: a match counts when it needs that token. So a stop string within the prompt stops
    nothing.
    """

    # Tokens without text of their own: bytes of one character, a leading space that decoders strip.
    SPARE_TOKENS = 8

    def __init__(self, tokenizer: Any, stop_strings: str | Iterable[str]) -> None:
        self.tokenizer = tokenizer
        one = isinstance(stop_strings, str) or not isinstance(stop_strings, Iterable)
        self.stop_strings: tuple[str, ...] = (stop_strings,) if one else tuple(stop_strings)  # type: ignore[assignment]
        if not self.stop_strings or not all(
            isinstance(text, str) and text for text in self.stop_strings
        ):
            raise GenerationError(
                f"stop_strings={stop_strings!r}: give a string or a list of strings, none empty"
            )
        self.maximum_token_len = (
            max(len(text.encode()) for text in self.stop_strings) + self.SPARE_TOKENS
        )

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Say which rows (B,) are done."""
        rows = input_ids[:, -self.maximum_token_len :].tolist()
        done = [self._ends_within_last_token(row) for row in rows]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _ends_within_last_token(self, tokens: list[int]) -> bool:
        text = self._decode(tokens)
        before: str | None = None
        for stop in self.stop_strings:
            if stop not in text:
                continue
            if before is None:
                before = self._decode(tokens[:-1])
            # A match may begin anywhere as long as it ends after the text that was there before the
            # last token.
            if stop in text[max(_shared_prefix(before, text) - len(stop) + 1, 0) :]:
                return True
        return False

    def _decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(
            tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def _shared_prefix(one: str, other: str) -> int:
    """Length of the common beginning; an unfinished character at the end of `one` does not "
    "count."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))


class StoppingCriteriaList(list[StoppingCriteria]):
    """Criteria of which any may stop a row."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return booleans (B,): the rows that at least one criterion calls done."""
        done = None
        for criterion in self:
            if isinstance(criterion, BatchCriteria):  # the usual "not yet" needs no tensor
                if criterion.done(input_ids):
                    done = _all_rows(input_ids, True)
                continue
            verdict = criterion(input_ids, scores, **kwargs)
            done = verdict if done is None else done | verdict
        return _all_rows(input_ids, False) if done is None else done

    @property
    def max_length(self) -> int | None:
        """The length limit among the criteria, None when there is none."""
        return next(
            (entry.max_length for entry in self if isinstance(entry, MaxLengthCriteria)), None
        )


def validate_stopping_criteria(
    stopping_criteria: StoppingCriteriaList, max_length: int
) -> StoppingCriteriaList:
    """A copy of the criteria which surely limits the length: by their own limit, or by
    `max_length`.
    """
    checked = StoppingCriteriaList(stopping_criteria)
    limit = checked.max_length
    if limit is None:
        checked.append(MaxLengthCriteria(max_length))
    elif limit != max_length:
        warnings.warn(
            f"max_length={max_length} differs from the criteria's limit of {limit}, which counts",
            UserWarning,
            stacklevel=2,
        )
    return checked
