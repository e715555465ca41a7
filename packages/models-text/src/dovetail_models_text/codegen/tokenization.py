"""CodeGen's tokenizer: GPT-2's, which can end a decoded text where a program ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer

UNWANTED_REPEATS = ("^print", "^def")
"""Statements that start a line; a text is cut before the second of a kind."""


class CodeGenTokenizer(GPT2Tokenizer):
    """Byte-level BPE tokenizer of CodeGen."""

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        unk_token: str | AddedToken = "<|endoftext|>",
        bos_token: str | AddedToken = "<|endoftext|>",
        eos_token: str | AddedToken = "<|endoftext|>",
        pad_token: str | AddedToken | None = None,
        add_prefix_space: bool = False,
        add_bos_token: bool = False,
        return_token_type_ids: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.return_token_type_ids = return_token_type_ids
        if return_token_type_ids:
            self.model_input_names = ["input_ids", "attention_mask", "token_type_ids"]

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        truncate_before_pattern: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As every tokenizer; with `truncate_before_pattern` only what `truncate` leaves."""
        text = super().decode(
            token_ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs
        )
        if not truncate_before_pattern:
            return text
        if isinstance(text, str):
            return self.truncate(text, truncate_before_pattern)
        return [self.truncate(one, truncate_before_pattern) for one in text]

    def truncate(self, completion: str, truncate_before_pattern: Sequence[str]) -> str:
        """`completion` up to its second top-level ``print`` or ``def`` and to the first match of
        any pattern, in which ``^`` is the start of a line."""
        for pattern in UNWANTED_REPEATS:
            second = starts(pattern, completion)[1:2]
            completion = completion[: second[0] if second else None]
        ends = [start for each in truncate_before_pattern for start in starts(each, completion)]
        return completion[: min(ends, default=None)]


def starts(pattern: str, text: str) -> list[int]:
    """Where in `text` the matches of `pattern` start."""
    return [match.start() for match in re.finditer(pattern, text, re.MULTILINE)]
