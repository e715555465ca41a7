"""Tokenizers: one class over the `tokenizers` library with the field's calling convention."""

from __future__ import annotations

from tokenizers import AddedToken

from dovetail.tokenizers.base import PreTrainedTokenizerBase
from dovetail.tokenizers.encoding import BatchEncoding, CharSpan, TokenSpan
from dovetail.tokenizers.fast import PreTrainedTokenizerFast
from dovetail.tokenizers.special_tokens import SpecialTokensMixin
from dovetail.tokenizers.strategies import PaddingStrategy, TensorType, TruncationStrategy
from dovetail.tokenizers.tool_schema import get_json_schema

PreTrainedTokenizer = PreTrainedTokenizerFast
"""The field's name for tokenizers in plain Python; all of Dovetail's are of the one kind."""
TokenizersBackend = PreTrainedTokenizerFast
"""What the 5.x releases write as `tokenizer_class` where no family's class is meant."""

__all__ = [
    "AddedToken",
    "BatchEncoding",
    "CharSpan",
    "PaddingStrategy",
    "PreTrainedTokenizer",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "SpecialTokensMixin",
    "TensorType",
    "TokenSpan",
    "TokenizersBackend",
    "TruncationStrategy",
    "get_json_schema",
]
