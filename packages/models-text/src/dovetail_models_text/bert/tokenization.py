"""BERT's tokenizer: cleaned and lower-cased words, split into WordPieces (Devlin et al., 2018)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer, normalizers

from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_normalizer_options, set_template
from dovetail.tokenizers.convert import wordpiece
from dovetail.tokenizers.fast import arguments


class BertTokenizer(PreTrainedTokenizerFast):
    """WordPiece tokenizer of BERT and its many relatives.

    `never_split` names tokens of the vocabulary that stay whole wherever they stand as a word.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.txt",
        "tokenizer_file": "tokenizer.json",
    }
    can_save_slow_tokenizer = True

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        do_lower_case: bool = True,
        unk_token: str | AddedToken = "[UNK]",
        sep_token: str | AddedToken = "[SEP]",
        pad_token: str | AddedToken = "[PAD]",
        cls_token: str | AddedToken = "[CLS]",
        mask_token: str | AddedToken = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        never_split: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = arguments(locals())
        kwargs.setdefault("clean_up_tokenization_spaces", True)
        super().__init__(**settings, **kwargs)
        self.do_lower_case = do_lower_case
        self._backend.change(
            lambda backend: set_normalizer_options(
                backend,
                lowercase=do_lower_case,
                strip_accents=strip_accents,
                handle_chinese_chars=tokenize_chinese_chars,
            )
        )
        whole = [token for token in never_split or () if token in self]
        self.add_tokens([AddedToken(token, single_word=True, normalized=False) for token in whole])

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """WordPiece over a ``vocab.txt``, with ``[CLS]`` and ``[SEP]`` around sequences."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        tokenizer = wordpiece.build(
            wordpiece.read_vocab(vocab_file), unk_token=str(settings["unk_token"])
        )
        first, last = settings["cls_token"], settings["sep_token"]
        single = f"{first}:0 $A:0 {last}:0"
        set_template(tokenizer, single, f"{single} $B:1 {last}:1")
        return tokenizer

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write ``vocab.txt``."""
        return tuple(self.backend_tokenizer.model.save(save_directory, filename_prefix))


class BasicTokenizer:
    """The first half of BERT's tokenization alone: words and punctuation, cleaned."""

    def __init__(
        self,
        do_lower_case: bool = True,
        never_split: Sequence[str] | None = None,
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        do_split_on_punc: bool = True,
    ) -> None:
        self.do_lower_case = do_lower_case
        self.never_split = set(never_split or ())
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.strip_accents = strip_accents
        self.do_split_on_punc = do_split_on_punc
        self._clean = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=tokenize_chinese_chars,
            strip_accents=False,
            lowercase=False,
        )

    def tokenize(self, text: str, never_split: Sequence[str] | None = None) -> list[str]:
        """The words of `text`."""
        whole = self.never_split.union(never_split or ())
        words: list[str] = []
        for word in unicodedata.normalize("NFC", self._clean.normalize_str(text)).split():
            words += [word] if word in whole else self._split(word)
        return words

    def _split(self, word: str) -> list[str]:
        if self.do_lower_case:
            word = word.lower()
        if self.strip_accents or (self.strip_accents is None and self.do_lower_case):
            decomposed = unicodedata.normalize("NFD", word)
            word = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
        if not self.do_split_on_punc:
            return word.split()
        spaced = "".join(f" {c} " if _is_punctuation(c) else c for c in word)
        return spaced.split()


class WordpieceTokenizer:
    """The second half of BERT's tokenization alone: words into the longest pieces, from the
    left."""

    def __init__(
        self, vocab: Mapping[str, int], unk_token: str, max_input_chars_per_word: int = 100
    ) -> None:
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    def tokenize(self, text: str) -> list[str]:
        """The pieces of the words of `text`; a word that cannot be pieced together is unknown."""
        pieces: list[str] = []
        for word in text.split():
            pieces += self._pieces(word) or [self.unk_token]
        return pieces

    def _pieces(self, word: str) -> list[str]:
        if len(word) > self.max_input_chars_per_word:
            return []
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.vocab), None)
            if end is None:
                return []
            pieces.append(prefix + word[start:end])
            start = end
        return pieces


def load_vocab(vocab_file: str | Path) -> dict[str, int]:
    """Token to id of a ``vocab.txt``."""
    return wordpiece.read_vocab(vocab_file)


def _is_punctuation(character: str) -> bool:
    """Unicode's punctuation, and what else is no letter, digit or space in ASCII."""
    ascii_symbol = character.isascii() and character.isprintable() and not character.isalnum()
    return (ascii_symbol and character != " ") or unicodedata.category(character).startswith("P")
