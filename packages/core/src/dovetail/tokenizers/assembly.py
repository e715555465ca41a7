"""Putting sequences of ids together: special tokens around them, token types, cutting to a
length."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordLevel

from dovetail.errors import TokenizerError
from dovetail.logging import get_logger
from dovetail.tokenizers.backend import Backend, Settings
from dovetail.tokenizers.encoding import BatchEncoding
from dovetail.tokenizers.padding import PaddingMixin, no_truncation
from dovetail.tokenizers.strategies import (
    PaddingStrategy,
    TensorType,
    TruncationStrategy,
    read_lengths,
)

logger = get_logger(__name__)


class Slot(NamedTuple):
    """A part of what the post-processor makes: sequence 0 or 1, or special tokens (None)."""

    sequence: int | None
    ids: list[int]
    type_ids: list[int]


class AssemblyMixin(PaddingMixin):
    """Working with ids instead of texts."""

    _backend: Backend
    truncation_side: str

    def _slots(self, pair: bool) -> list[Slot]:
        """What the post-processor puts around sequences, read off a sequence of one token."""
        probe = _probe()
        with self._backend.using(Settings()) as backend:
            encoding = backend.post_process(probe, probe if pair else None, add_special_tokens=True)
        rows = zip(encoding.sequence_ids, encoding.ids, encoding.type_ids, strict=True)
        slots = []
        for sequence, run in groupby(rows, key=lambda row: row[0]):
            _, ids, type_ids = zip(*run, strict=True)
            slots.append(Slot(sequence, list(ids), list(type_ids)))
        return slots

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """One or two sequences of ids with the special tokens that the model expects around
        them."""
        sequences = (token_ids_0, token_ids_1 or [])
        slots = self._slots(pair=token_ids_1 is not None)
        return [
            index
            for slot in slots
            for index in (slot.ids if slot.sequence is None else sequences[slot.sequence])
        ]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The token types of what `build_inputs_with_special_tokens` gives."""
        sequences = (token_ids_0, token_ids_1 or [])
        types: list[int] = []
        for slot in self._slots(pair=token_ids_1 is not None):
            types += (
                slot.type_ids
                if slot.sequence is None
                else slot.type_ids[:1] * len(sequences[slot.sequence])
            )
        return types

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for special tokens and 0 for others, of ids that have their special tokens already or
        are to get them."""
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise TokenizerError(
                    "Ids that already have their special tokens are one sequence: leave "
                    "token_ids_1 out."
                )
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        sequences = (token_ids_0, token_ids_1 or [])
        mask: list[int] = []
        for slot in self._slots(pair=token_ids_1 is not None):
            mask += (
                [1] * len(slot.ids)
                if slot.sequence is None
                else [0] * len(sequences[slot.sequence])
            )
        return mask

    def truncate_sequences(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str | TruncationStrategy = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Cut `num_tokens_to_remove` ids off a sequence or a pair.

        Returns:
            both sequences, and what was cut off preceded by `stride` kept ids (empty where both
            lost ids).
        """
        strategy = TruncationStrategy(truncation_strategy)
        if num_tokens_to_remove <= 0 or strategy is TruncationStrategy.DO_NOT_TRUNCATE:
            return ids, pair_ids, []
        if strategy is TruncationStrategy.LONGEST_FIRST and pair_ids is not None:
            first, second = _shares(len(ids), len(pair_ids), num_tokens_to_remove)
            logger.warning(
                "Overflowing tokens are not returned where both sequences of a pair are cut "
                "(longest_first)."
            )
            return self._cut(ids, first, 0)[0], self._cut(pair_ids, second, 0)[0], []
        cuts_second = strategy is TruncationStrategy.ONLY_SECOND and pair_ids is not None
        target = pair_ids if cuts_second and pair_ids is not None else ids
        if len(target) <= num_tokens_to_remove:
            logger.error(
                "Cannot cut %d tokens off a sequence of %d with truncation=%r: nothing is cut. "
                "Choose another strategy, for instance 'longest_first'.",
                num_tokens_to_remove,
                len(target),
                strategy.value,
            )
            return ids, pair_ids, []
        kept, overflowing = self._cut(target, num_tokens_to_remove, stride)
        return (ids, kept, overflowing) if cuts_second else (kept, pair_ids, overflowing)

    def _cut(self, ids: list[int], count: int, stride: int) -> tuple[list[int], list[int]]:
        window = min(len(ids), stride + count)
        if count == 0:
            return ids, []
        if self.truncation_side == "left":
            return ids[count:], ids[:window]
        return ids[:-count], ids[-window:]

    def prepare_for_model(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | TensorType | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Make a model's input of ids without special tokens: cut, add special tokens, pad.

        Raises:
            TokenizerError: for offsets (ids have none) and for overflow of a pair where both
            sequences are cut.
        """
        if return_offsets_mapping:
            raise TokenizerError(
                "Ids have no offsets: encode the text to get return_offsets_mapping."
            )
        tokenizer: Any = self
        plan = read_lengths(
            tokenizer, padding, truncation, max_length, pad_to_multiple_of, verbose, kwargs
        )
        if (
            return_overflowing_tokens
            and pair_ids is not None
            and plan.truncation is TruncationStrategy.LONGEST_FIRST
        ):
            raise TokenizerError(
                "return_overflowing_tokens does not go with cutting both sequences of a pair: use "
                "truncation='only_first' or 'only_second'."
            )
        special = self._slots(pair_ids is not None) if add_special_tokens else []
        added = sum(len(slot.ids) for slot in special if slot.sequence is None)
        excess = (
            0
            if no_truncation(plan)
            else len(ids) + len(pair_ids or []) + added - (plan.max_length or 0)
        )
        ids, pair_ids, overflowing = self.truncate_sequences(
            ids, pair_ids, excess, plan.truncation, stride
        )
        data: dict[str, Any] = {}
        if return_overflowing_tokens:
            data.update(overflowing_tokens=overflowing, num_truncated_tokens=excess)
        data |= self._assembled(
            ids, pair_ids, add_special_tokens, return_token_type_ids, return_special_tokens_mask
        )
        wants_mask = (
            "attention_mask" in self.model_input_names
            if return_attention_mask is None
            else return_attention_mask
        )
        rows = self._pad_rows(
            {name: [value] for name, value in data.items()}, plan, padding_side, wants_mask
        )
        data = {name: value[0] for name, value in rows.items()}
        if return_length:
            data["length"] = len(data["input_ids"])
        return BatchEncoding(
            data, tensor_type=return_tensors, prepend_batch_axis=prepend_batch_axis
        )

    def _assembled(
        self,
        ids: list[int],
        pair_ids: list[int] | None,
        add_special_tokens: bool,
        return_token_type_ids: bool | None,
        return_special_tokens_mask: bool,
    ) -> dict[str, list[int]]:
        if return_token_type_ids is None:
            return_token_type_ids = "token_type_ids" in self.model_input_names
        if add_special_tokens:
            data = {self.model_input_names[0]: self.build_inputs_with_special_tokens(ids, pair_ids)}
            types = self.create_token_type_ids_from_sequences(ids, pair_ids)
            mask = self.get_special_tokens_mask(ids, pair_ids)
        else:
            data = {self.model_input_names[0]: ids + (pair_ids or [])}
            types = mask = [0] * len(data[self.model_input_names[0]])
        if return_token_type_ids:
            data["token_type_ids"] = types
        if return_special_tokens_mask:
            data["special_tokens_mask"] = mask
        return data


@cache
def _probe() -> Encoding:
    return Tokenizer(WordLevel({"a": 0})).encode("a")


def _shares(first: int, second: int, count: int) -> tuple[int, int]:
    """How many of `count` ids each sequence loses when the longer one always loses the next."""
    to_equal = min(abs(first - second), count)
    rest = count - to_equal
    if first > second:
        return to_equal + rest // 2, rest - rest // 2
    return rest // 2, to_equal + rest - rest // 2
