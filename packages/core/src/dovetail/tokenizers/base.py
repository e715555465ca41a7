"""Calling a tokenizer: text in, padded and truncated ids out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from tokenizers import Encoding

from dovetail.errors import TokenizerError, TokenizerTypeError, near_matches
from dovetail.logging import get_logger
from dovetail.tokenizers.assembly import AssemblyMixin
from dovetail.tokenizers.backend import (
    Backend,
    Padding,
    Settings,
    Truncation,
    is_library_fault,
)
from dovetail.tokenizers.chat import ChatMixin, named_templates
from dovetail.tokenizers.encoding import BatchEncoding
from dovetail.tokenizers.files import FilesMixin
from dovetail.tokenizers.inputs import bad_text, check_text, unencodable
from dovetail.tokenizers.padding import PaddingMixin
from dovetail.tokenizers.strategies import (
    VERY_LARGE_INTEGER,
    LengthPlan,
    PaddingStrategy,
    TensorType,
    TruncationStrategy,
    read_lengths,
)
from dovetail.tokenizers.training import TrainingMixin
from dovetail.tokenizers.vocabulary import VocabularyMixin

logger = get_logger(__name__)

Text = str | Sequence[str] | Sequence[Sequence[str]]
RETURNS = (
    "return_token_type_ids",
    "return_attention_mask",
    "return_special_tokens_mask",
    "return_offsets_mapping",
    "return_length",
)
"""Keywords that name features to return."""


class PreTrainedTokenizerBase(
    AssemblyMixin, PaddingMixin, ChatMixin, FilesMixin, TrainingMixin, VocabularyMixin
):
    """Everything that all tokenizers share; see `PreTrainedTokenizerFast` for how one is made.

    Arguments of the constructor become attributes and are written by `save_pretrained`.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {}
    pretrained_vocab_files_map: ClassVar[dict[str, dict[str, str]]] = {}
    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    padding_side: str = "right"
    truncation_side: str = "right"
    slow_tokenizer_class: ClassVar[type | None] = None
    is_fast: ClassVar[bool] = True
    can_save_slow_tokenizer: ClassVar[bool] = False
    _auto_class: ClassVar[str | None] = None

    def __init__(self, backend: Backend, **kwargs: Any) -> None:
        self._backend = backend
        self.init_inputs: tuple[Any, ...] = ()
        self.deprecation_warnings: dict[str, bool] = {}
        listed = kwargs.pop("added_tokens_decoder", None) or {}
        self.init_kwargs: dict[str, Any] = copy.copy(kwargs)
        self.name_or_path: str = kwargs.pop("name_or_path", "")
        self._processor_class: str | None = kwargs.pop("processor_class", None)
        self.model_max_length = _limit(kwargs.pop("model_max_length", kwargs.pop("max_len", None)))
        self.padding_side = _side("padding_side", kwargs.pop("padding_side", self.padding_side))
        self.truncation_side = _side(
            "truncation_side", kwargs.pop("truncation_side", self.truncation_side)
        )
        self.model_input_names = list(kwargs.pop("model_input_names", self.model_input_names))
        self.clean_up_tokenization_spaces = bool(kwargs.pop("clean_up_tokenization_spaces", False))
        self.split_special_tokens = bool(kwargs.pop("split_special_tokens", False))
        self.chat_template = named_templates(kwargs.pop("chat_template", None))
        self._in_target_context_manager = False
        self.verbose = False
        super().__init__(**kwargs)
        self.verbose = bool(kwargs.get("verbose", True))
        self._pad_token_type_id = kwargs.get("pad_token_type_id") or 0
        self._add_listed(listed)

    def __repr__(self) -> str:
        added = "".join(
            f"\n\t{index}: {token!r}," for index, token in self.added_tokens_decoder.items()
        )
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, "
            f"vocab_size={self.vocab_size}, model_max_length={self.model_max_length}, "
            f"is_fast={self.is_fast}, padding_side={self.padding_side!r}, "
            f"truncation_side={self.truncation_side!r}, special_tokens={self.special_tokens_map}, "
            f"added_tokens_decoder={{{added}\n}})"
        )

    def warn_once(self, topic: str, message: str) -> None:
        """Log `message` the first time this tokenizer meets `topic`."""
        if not self.deprecation_warnings.get(topic):
            self.deprecation_warnings[topic] = True
            logger.warning(message)

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of one sequence fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of a pair fit the model."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    def __call__(
        self,
        text: Text | None = None,
        text_pair: Text | None = None,
        text_target: Text | None = None,
        text_pair_target: Text | None = None,
        add_special_tokens: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
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
        **kwargs: Any,
    ) -> BatchEncoding:
        """Encode one text or a batch, or pairs; with `is_split_into_words` texts are lists of
        words.

        `text_target` is encoded as the model's target: alone it is the result, beside `text` it
        becomes ``labels``. With `return_overflowing_tokens` a text longer than `max_length` gives
        several rows, which overlap by `stride` tokens.

        Raises:
            TokenizerError: for inputs that are no texts, and arguments that cannot be or contradict
            each other.
        """
        options = {
            name: value
            for name, value in locals().items()
            if name
            not in ("self", "text", "text_pair", "text_target", "text_pair_target", "kwargs")
        } | kwargs
        if text is None and text_target is None:
            raise TokenizerError("There is nothing to encode: pass `text`, `text_target` or both.")
        encodings = None
        if text is not None:
            if not self._in_target_context_manager:
                self._switch_to_input_mode()
            encodings = self._call_one(text, text_pair, **options)
        if text_target is None:
            return encodings  # type: ignore[return-value] # one of the two is given
        self._switch_to_target_mode()
        try:
            target = self._call_one(text_target, text_pair_target, **options)
        finally:
            self._switch_to_input_mode()
        if encodings is None:
            return target
        encodings["labels"] = target["input_ids"]
        return encodings

    def _call_one(
        self, text: Any, text_pair: Any, *, is_split_into_words: bool = False, **options: Any
    ) -> BatchEncoding:
        check_text("text", text)
        if text_pair is not None:
            check_text("text_pair", text_pair)
        batched = isinstance(text, list | tuple)
        if is_split_into_words:
            batched = batched and bool(text) and isinstance(text[0], list | tuple)
        if not batched:
            return self.encode_plus(
                text, text_pair, is_split_into_words=is_split_into_words, **options
            )
        if text_pair is None:
            return self.batch_encode_plus(text, is_split_into_words=is_split_into_words, **options)
        if isinstance(text_pair, str):
            raise TokenizerTypeError(
                "text is a batch, so text_pair must be a batch of the same length, not one str."
            )
        if len(text) != len(text_pair):
            raise TokenizerError(
                f"text holds {len(text)} texts and text_pair {len(text_pair)}: they must be as "
                "many."
            )
        pairs = list(zip(text, text_pair, strict=True))
        return self.batch_encode_plus(pairs, is_split_into_words=is_split_into_words, **options)

    def encode_plus(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy | None = None,
        max_length: int | None = None,
        return_tensors: str | TensorType | None = None,
        return_overflowing_tokens: bool = False,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Encode one text or one pair; further keywords as in calling the tokenizer."""
        data, encodings = self._features(
            [text if text_pair is None else (text, text_pair)],
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            return_overflowing_tokens=return_overflowing_tokens,
            **kwargs,
        )
        if return_tensors is None and not return_overflowing_tokens:
            data = {
                name: value[0] if isinstance(value[0], list) else value
                for name, value in data.items()
            }
        return BatchEncoding(data, encodings, tensor_type=return_tensors)

    def batch_encode_plus(
        self,
        batch_text_or_text_pairs: Sequence[Any],
        add_special_tokens: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy | None = None,
        max_length: int | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Encode a batch of texts or of ``(text, text_pair)`` tuples; further keywords as in
        calling the tokenizer."""
        if not isinstance(batch_text_or_text_pairs, list | tuple):
            raise TokenizerTypeError(
                f"A batch is a list or a tuple, not {type(batch_text_or_text_pairs).__name__}."
            )
        data, encodings = self._features(
            batch_text_or_text_pairs,
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            **kwargs,
        )
        return BatchEncoding(data, encodings, tensor_type=return_tensors)

    def _features(
        self,
        batch: Sequence[Any],
        *,
        add_special_tokens: bool,
        padding: bool | str | PaddingStrategy,
        truncation: bool | str | TruncationStrategy | None,
        max_length: int | None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_overflowing_tokens: bool = False,
        split_special_tokens: bool | None = None,
        verbose: bool = True,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], list[Encoding]]:
        """The features of a batch as lists of rows, and the encodings they come from."""
        plan = read_lengths(
            self, padding, truncation, max_length, pad_to_multiple_of, verbose, kwargs
        )
        _refuse_unknown(kwargs)
        settings = self._settings(plan, stride, padding_side, split_special_tokens)
        encodings = self._encode(batch, settings, add_special_tokens, is_split_into_words)
        samples: Sequence[int] = range(len(encodings))
        if return_overflowing_tokens:
            parts = [[encoding, *encoding.overflowing] for encoding in encodings]
            samples = [sample for sample, rows in enumerate(parts) for _ in rows]
            encodings = [row for rows in parts for row in rows]
        data = self._columns(encodings, kwargs)
        if return_overflowing_tokens:
            data["overflow_to_sample_mapping"] = samples
        if verbose and plan.max_length is None:
            self._warn_about_length(data["input_ids"])
        return data, encodings

    def _columns(self, encodings: list[Encoding], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Every feature that `wanted` (the ``return_...`` keywords) or the model asks for."""
        data: dict[str, Any] = {"input_ids": [encoding.ids for encoding in encodings]}
        if self._wants("token_type_ids", wanted):
            data["token_type_ids"] = [encoding.type_ids for encoding in encodings]
        if self._wants("attention_mask", wanted):
            data["attention_mask"] = [encoding.attention_mask for encoding in encodings]
        if wanted.get("return_special_tokens_mask"):
            data["special_tokens_mask"] = [encoding.special_tokens_mask for encoding in encodings]
        if wanted.get("return_offsets_mapping"):
            data["offset_mapping"] = [encoding.offsets for encoding in encodings]
        if wanted.get("return_length"):
            data["length"] = [len(ids) for ids in data["input_ids"]]
        return data

    def _wants(self, name: str, wanted: Mapping[str, Any]) -> bool:
        asked = wanted.get(f"return_{name}")
        return name in self.model_input_names if asked is None else asked

    def _encode(
        self,
        batch: Sequence[Any],
        settings: Settings,
        add_special_tokens: bool,
        is_split_into_words: bool,
    ) -> list[Encoding]:
        try:
            with self._backend.using(settings) as backend:
                return backend.encode_batch(
                    batch,
                    add_special_tokens=add_special_tokens,
                    is_pretokenized=is_split_into_words,
                )
        except TypeError as failure:
            raise bad_text(batch, is_split_into_words) from failure
        except TokenizerError:
            raise
        except BaseException as failure:
            if not is_library_fault(failure):
                raise
            raise unencodable(failure, settings) from failure

    def _settings(
        self,
        plan: LengthPlan,
        stride: int,
        padding_side: str | None,
        split_special_tokens: bool | None,
    ) -> Settings:
        truncation = padding = None
        if (
            plan.truncation is not TruncationStrategy.DO_NOT_TRUNCATE
            and plan.max_length is not None
        ):
            truncation = Truncation(
                plan.max_length, stride, plan.truncation.value, self.truncation_side
            )
        if plan.padding is not PaddingStrategy.DO_NOT_PAD:
            padding = Padding(
                length=plan.max_length if plan.padding is PaddingStrategy.MAX_LENGTH else None,
                direction=_side("padding_side", padding_side or self.padding_side),
                pad_id=self.pad_token_id,  # read_lengths refused None
                pad_token=self.pad_token,
                pad_type_id=self.pad_token_type_id,
                pad_to_multiple_of=plan.pad_to_multiple_of,
            )
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        return Settings(truncation, padding, split)

    def _warn_about_length(self, rows: list[list[int]]) -> None:
        longest = max(map(len, rows), default=0)
        if longest > self.model_max_length:
            self.warn_once(
                "sequence-length-is-longer-than-the-specified-maximum",
                f"A sequence has {longest} tokens, more than the {self.model_max_length} that the "
                "model takes; running it through the model will fail or give nonsense. Pass "
                "truncation=True.",
            )

    def encode(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str | PaddingStrategy = False,
        truncation: bool | str | TruncationStrategy | None = None,
        max_length: int | None = None,
        stride: int = 0,
        padding_side: str | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> Any:
        """The ids of one text or pair: a list, or a tensor of one row with `return_tensors`."""
        encoded = self.encode_plus(
            text,
            text_pair,
            add_special_tokens,
            padding,
            truncation,
            max_length,
            stride=stride,
            padding_side=padding_side,
            return_tensors=return_tensors,
            **kwargs,
        )
        return encoded["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """The tokens of a text; several where `return_overflowing_tokens` asks, only the first
        row's."""
        return self.encode_plus(
            text, pair, add_special_tokens=add_special_tokens, **kwargs
        ).tokens()

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens encoding a text or a pair adds."""
        return self._backend.tokenizer.num_special_tokens_to_add(pair)

    def _switch_to_input_mode(self) -> None:
        """Prepare for source texts; tokenizers that mark languages override this."""

    def _switch_to_target_mode(self) -> None:
        """Prepare for target texts; tokenizers that mark languages override this."""

    def prepare_seq2seq_batch(
        self,
        src_texts: Sequence[str],
        tgt_texts: Sequence[str] | None = None,
        max_length: int | None = None,
        max_target_length: int | None = None,
        padding: bool | str | PaddingStrategy = "longest",
        return_tensors: str | TensorType | None = None,
        truncation: bool | str | TruncationStrategy = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Retired: encode sources and, as ``labels``, targets; pass `text_target` instead."""
        warnings.warn(
            "prepare_seq2seq_batch is retired: call the tokenizer with text_target=.",
            FutureWarning,
            stacklevel=2,
        )
        options: dict[str, Any] = kwargs | {"padding": padding, "truncation": truncation}
        options["return_tensors"] = return_tensors
        encoded = self(src_texts, max_length=max_length, **options)
        if tgt_texts is not None:
            target = self(
                text_target=tgt_texts, max_length=max_target_length or max_length, **options
            )
            encoded["labels"] = target["input_ids"]
        return encoded

    @contextmanager
    def as_target_tokenizer(self) -> Iterator[None]:
        """Encode target texts within the block; passing `text_target` does the same."""
        self._switch_to_target_mode()
        self._in_target_context_manager = True
        try:
            yield
        finally:
            self._in_target_context_manager = False
            self._switch_to_input_mode()


def _limit(value: Any) -> int:
    if value is None:
        return VERY_LARGE_INTEGER
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise TokenizerError(f"model_max_length={value!r} cannot be: it is a number above 0.")
    return int(min(value, VERY_LARGE_INTEGER))


def _side(name: str, value: Any) -> str:
    if value not in ("left", "right"):
        raise TokenizerError(f"{name}={value!r} cannot be: choose 'left' or 'right'.")
    return value


def _refuse_unknown(kwargs: Mapping[str, Any]) -> None:
    for name in kwargs:
        if name not in RETURNS:
            known = PreTrainedTokenizerBase.__call__.__annotations__
            raise TokenizerTypeError(
                f"A tokenizer takes no argument {name!r}.{near_matches(name, known)}"
            )
