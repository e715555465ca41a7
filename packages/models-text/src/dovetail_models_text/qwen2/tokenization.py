"""Qwen 2's tokenizer: byte-level BPE that reads digits one by one."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer

WORDS = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class Qwen2Tokenizer(GPT2Tokenizer):
    """Byte-level BPE tokenizer of Qwen 2: composed characters, single digits, no first token."""

    joins_words: ClassVar[bool] = True

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        unk_token: str | AddedToken = "<|endoftext|>",
        bos_token: str | AddedToken | None = None,
        eos_token: str | AddedToken = "<|endoftext|>",
        pad_token: str | AddedToken = "<|endoftext|>",
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """GPT-2's backend, with another reading of words."""
        tokenizer = super().build_backend(settings)
        if tokenizer is not None:
            tokenizer.normalizer = normalizers.NFC()
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(WORDS), "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            )
        return tokenizer
