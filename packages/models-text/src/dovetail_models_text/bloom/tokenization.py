"""BLOOM's tokenizer: byte pairs over 46 languages, in a ``tokenizer.json`` only."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.fast import arguments
from dovetail_models_text.gpt2.tokenization import WordsNeedSpace


class BloomTokenizerFast(WordsNeedSpace):
    """Byte-level BPE tokenizer of BLOOM; nothing is put around texts."""

    vocab_files_names: ClassVar[dict[str, str]] = {"tokenizer_file": "tokenizer.json"}
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too

    def __init__(
        self,
        vocab_file: str | None = None,
        merges_file: str | None = None,
        tokenizer_file: str | None = None,
        unk_token: str | AddedToken = "<unk>",
        bos_token: str | AddedToken = "<s>",
        eos_token: str | AddedToken = "</s>",
        pad_token: str | AddedToken = "<pad>",
        add_prefix_space: bool = False,
        clean_up_tokenization_spaces: bool = False,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.add_prefix_space = add_prefix_space
