"""BART's tokenizer: GPT-2's byte pairs between ``<s>`` and ``</s>``."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, processors

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer


class BartTokenizer(GPT2Tokenizer):
    """Byte-level BPE tokenizer of BART and RoBERTa: ``<s> A </s>`` and ``<s> A </s></s> B </s>``.

    `trim_offsets` leaves the space before a word out of its offsets. The mask token swallows the
    space before it.
    """

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        errors: str = "replace",
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        sep_token: str | AddedToken = "</s>",
        cls_token: str | AddedToken = "<s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "<pad>",
        mask_token: str | AddedToken = "<mask>",
        add_prefix_space: bool = False,
        trim_offsets: bool = True,
        **kwargs: Any,
    ) -> None:
        if isinstance(mask_token, str):
            mask_token = AddedToken(mask_token, lstrip=True, normalized=True, special=True)
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Byte-level BPE, whose texts are framed by ``<s>`` and ``</s>``."""
        tokenizer = super().build_backend(settings)
        if tokenizer is not None:
            ends = [str(settings[name]) for name in ("sep_token", "cls_token")]
            sep, cls = ((token, tokenizer.token_to_id(token) or 0) for token in ends)
            tokenizer.post_processor = processors.RobertaProcessing(
                sep, cls, settings["trim_offsets"], settings["add_prefix_space"]
            )
        return tokenizer
