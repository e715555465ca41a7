"""GPT-NeoX's tokenizer: GPT-2's, with switches for a first and a last token (arXiv 2204.06745)."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.boundaries import BoundaryTokens
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer


class GPTNeoXTokenizerFast(BoundaryTokens, GPT2Tokenizer):
    """Byte-level BPE tokenizer of GPT-NeoX, Pythia and StableLM."""

    joins_words: ClassVar[bool] = True

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        unk_token: str | AddedToken = "<|endoftext|>",
        bos_token: str | AddedToken = "<|endoftext|>",
        eos_token: str | AddedToken = "<|endoftext|>",
        pad_token: str | AddedToken | None = None,
        add_bos_token: bool = False,
        add_eos_token: bool = False,
        add_prefix_space: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.set_boundaries(add_bos_token, add_eos_token)
