"""Cohere's tokenizer: byte-level BPE with a first token before every text."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.boundaries import BoundaryTokens
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import WordsNeedSpace


class CohereTokenizerFast(BoundaryTokens, WordsNeedSpace):
    """Byte-level BPE tokenizer of Command R, which is published as a ``tokenizer.json`` only."""

    vocab_files_names: ClassVar[dict[str, str]] = {"tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    padding_side = "left"

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        clean_up_tokenization_spaces: bool = False,
        unk_token: str | AddedToken = "<UNK>",
        bos_token: str | AddedToken = "<BOS_TOKEN>",
        eos_token: str | AddedToken = "<|END_OF_TURN_TOKEN|>",
        add_bos_token: bool = True,
        add_eos_token: bool = False,
        use_default_system_prompt: bool = False,
        add_prefix_space: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.add_prefix_space = add_prefix_space
        self.use_default_system_prompt = use_default_system_prompt
        self.set_boundaries(add_bos_token, add_eos_token)
