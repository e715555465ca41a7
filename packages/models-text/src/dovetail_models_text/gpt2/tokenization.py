"""GPT-2's tokenizer: byte pairs merged within words (Radford et al., 2019)."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import Tokenizer

from dovetail.errors import TokenizerError
from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import bpe
from dovetail.tokenizers.convert.files import read_vocab_json
from dovetail.tokenizers.fast import arguments


class WordsNeedSpace(PreTrainedTokenizerFast):
    """A tokenizer for which a word differs from the same word after a space, so that words given
    with `is_split_into_words` need `add_prefix_space`, unless the family `joins_words`."""

    joins_words: ClassVar[bool] = False
    add_prefix_space = False

    def _encode(
        self, batch: Any, settings: Any, add_special_tokens: bool, is_split_into_words: bool
    ) -> Any:
        if is_split_into_words and not (self.add_prefix_space or self.joins_words):
            raise TokenizerError(
                f"{type(self).__name__} with add_prefix_space=False would read words given with "
                "is_split_into_words=True as one: make it with add_prefix_space=True."
            )
        return super()._encode(batch, settings, add_special_tokens, is_split_into_words)


class GPT2Tokenizer(WordsNeedSpace):
    """Byte-level BPE tokenizer of GPT-2 and its many relatives.

    A word at the start of a text differs from the same word after a space; `add_prefix_space` makes
    them one.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    can_save_slow_tokenizer = True

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
        errors: str = "replace",
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        super().__init__(**settings, **kwargs)
        self.add_prefix_space = add_prefix_space
        self.add_bos_token = add_bos_token

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Byte-level BPE over ``vocab.json`` and ``merges.txt``."""
        vocab_file, merges_file = settings.get("vocab_file"), settings.get("merges_file")
        if vocab_file is None or merges_file is None:
            return None
        tokenizer = bpe.build(
            read_vocab_json(vocab_file),
            bpe.read_merges(merges_file),
            add_prefix_space=settings["add_prefix_space"],
            where=str(vocab_file),
        )
        if settings["add_bos_token"]:
            first = str(settings["bos_token"])
            tokenizer.add_special_tokens([first])
            set_template(tokenizer, f"{first}:0 $A:0", f"{first}:0 $A:0 $B:1")
        return tokenizer

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.json`` and ``merges.txt``."""
        return tuple(self.backend_tokenizer.model.save(save_directory, filename_prefix))
