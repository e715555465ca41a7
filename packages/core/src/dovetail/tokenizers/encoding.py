"""What a tokenizer returns: token ids and masks, as lists or tensors, with the way back to words
and characters."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from dovetail.errors import TokenizerError
from dovetail.tokenizers.strategies import TensorType

if TYPE_CHECKING:
    import torch

ADVICE = (
    "Sequences of one batch differ in length, or a feature is nested or no number: activate "
    "padding=True and truncation=True, or leave return_tensors out."
)


class CharSpan(NamedTuple):
    """Characters `start` up to (not including) `end` of the original text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens `start` up to (not including) `end` of an encoded sequence."""

    start: int
    end: int


class BatchEncoding(UserDict[str, Any]):
    """The features of one sequence or of a batch, by name; features are attributes too.

    Where the encodings of the tokenizer are kept (`is_fast`), tokens, words and characters map to
    each other: the `batch_or_...` methods take either an index into the only sequence, or a batch
    index and an index.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | TensorType | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data)
        self._encodings = [encoding] if isinstance(encoding, Encoding) else encoding
        if n_sequences is None and self._encodings:
            n_sequences = self._encodings[0].n_sequences
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type=tensor_type, prepend_batch_axis=prepend_batch_axis)

    @property
    def n_sequences(self) -> int | None:
        """1 for single sequences, 2 for pairs, None when unknown."""
        return self._n_sequences

    @property
    def is_fast(self) -> bool:
        """Whether tokens, words and characters can be mapped to each other."""
        return self._encodings is not None

    @property
    def encodings(self) -> Sequence[Encoding] | None:
        """The encodings of the `tokenizers` library, one for each row."""
        return self._encodings

    def __getitem__(self, item: Any) -> Any:
        """A feature by name; by position or slice the rows' encodings, or all features cut to the
        slice."""
        if isinstance(item, str):
            return self.data[item]
        if isinstance(item, slice):
            return {key: value[item] for key, value in self.data.items()}
        return self._need_encodings()[item]

    def __getattr__(self, item: str) -> Any:
        try:
            return self.__dict__["data"][item]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no feature {item!r}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self._encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._n_sequences = state["n_sequences"]

    def keys(self) -> Any:
        """The names of the features."""
        return self.data.keys()

    def values(self) -> Any:
        """The features."""
        return self.data.values()

    def items(self) -> Any:
        """Names and features."""
        return self.data.items()

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of one row."""
        return self._row(batch_index).tokens

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 or 1, the sequence of the pair it comes from; None for special
        tokens."""
        return self._row(batch_index).sequence_ids

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the index of its word; None for special tokens."""
        return self._row(batch_index).word_ids

    def words(self, batch_index: int = 0) -> list[int | None]:
        """Another name of `word_ids`."""
        return self.word_ids(batch_index)

    def token_to_sequence(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> int | None:
        """The sequence (0 or 1) of a token; None for a special one."""
        row, index = self._locate(batch_or_token_index, token_index, from_end=True)
        return row.token_to_sequence(index)

    def token_to_word(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> int | None:
        """The word of a token; None for a special one."""
        row, index = self._locate(batch_or_token_index, token_index, from_end=True)
        return row.token_to_word(index)

    def token_to_chars(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> CharSpan | None:
        """The characters of a token; None for a special one."""
        row, index = self._locate(batch_or_token_index, token_index)
        return _span(CharSpan, row.token_to_chars(index))

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word of sequence `sequence_index`; None when it has none."""
        row, index = self._locate(batch_or_word_index, word_index)
        return _span(TokenSpan, row.word_to_tokens(index, sequence_index))

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word of sequence `sequence_index`."""
        row, index = self._locate(batch_or_word_index, word_index)
        return _span(CharSpan, row.word_to_chars(index, sequence_index))

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token of a character of sequence `sequence_index`; None where no token covers it
        (white space)."""
        row, index = self._locate(batch_or_char_index, char_index)
        return row.char_to_token(index, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word of a character of sequence `sequence_index`."""
        row, index = self._locate(batch_or_char_index, char_index)
        return row.char_to_word(index, sequence_index)

    def convert_to_tensors(
        self, tensor_type: str | TensorType | None = None, prepend_batch_axis: bool = False
    ) -> BatchEncoding:
        """Turn every feature into an array of `tensor_type` (``"pt"`` or ``"np"``), in place.

        Raises:
            TokenizerError: when the rows of a feature differ in length, or the kind of array is not
            one Dovetail makes.
        """
        if tensor_type is None:
            return self
        make = _maker(TensorType(tensor_type))
        for name, value in self.items():
            if name == "overflowing_tokens" and not prepend_batch_axis:
                raise TokenizerError(
                    "overflowing_tokens have a different length in each row and make no tensor: "
                    "leave return_tensors or return_overflowing_tokens out."
                )
            try:
                self.data[name] = make([value] if prepend_batch_axis else value)
            except (ValueError, TypeError, RuntimeError) as failure:
                raise TokenizerError(
                    f"The feature {name!r} cannot become a tensor: {failure}. {ADVICE}"
                ) from failure
        return self

    def to(self, device: str | int | torch.device, *, non_blocking: bool = False) -> BatchEncoding:
        """Move every tensor to `device`, in place; other features stay."""
        self.data = {
            name: value.to(device=device, non_blocking=non_blocking)
            if hasattr(value, "to")
            else value
            for name, value in self.data.items()
        }
        return self

    def _need_encodings(self) -> Sequence[Encoding]:
        if self._encodings is None:
            raise TokenizerError(
                "This BatchEncoding keeps no encodings (it was padded, copied or built by hand), "
                "so tokens, words and characters cannot be mapped. Use the one that the tokenizer "
                "returned."
            )
        return self._encodings

    def _row(self, index: int) -> Encoding:
        return self._need_encodings()[index]

    def _locate(
        self, first: int, second: int | None, *, from_end: bool = False
    ) -> tuple[Encoding, int]:
        batch, index = (0, first) if second is None else (first, second)
        row = self._row(batch)
        return row, index + len(row) if from_end and index < 0 else index


def _span(kind: Callable[[int, int], Any], pair: tuple[int, int] | None) -> Any:
    return None if pair is None else kind(*pair)


def _maker(kind: TensorType) -> Callable[[Any], Any]:
    if kind is TensorType.NUMPY:
        return _numpy
    if kind is TensorType.PYTORCH:
        return _torch
    raise TokenizerError(
        f"return_tensors={kind.value!r} is not supported: Dovetail makes PyTorch ('pt') and NumPy "
        "('np') arrays."
    )


def _numpy(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if _ragged(value):
        rows = np.empty(len(value), dtype=object)
        rows[:] = [np.asarray(row) for row in value]
        return rows
    return np.asarray(value)


def _ragged(value: Any) -> bool:
    nested = (
        isinstance(value, list | tuple)
        and value
        and isinstance(value[0], list | tuple | np.ndarray)
    )
    return bool(nested) and len({len(row) for row in value}) > 1


def _torch(value: Any) -> torch.Tensor:
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
        return torch.stack(list(value))
    array = np.asarray(value)  # NumPy reads nested lists faster than torch does
    if array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype(np.float32)
    return torch.from_numpy(array) if array.size else torch.tensor(value)
