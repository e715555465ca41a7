"""SigLIP's tokenizer: SentencePiece over canonical text: lower case, no punctuation, single spaces
(Zhai et al., 2023)."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

from tokenizers import Encoding, Regex, Tokenizer, decoders, normalizers, pre_tokenizers

from dovetail.tokenizers import AddedToken, PreTrainedTokenizerFast
from dovetail.tokenizers.components import set_template
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SPACE, SentencePieceModel
from dovetail.tokenizers.fast import arguments

MARKS = "".join(f"\\{mark}" for mark in string.punctuation)
WORD_AHEAD = rf"(?=[^{MARKS}\s])"


class SiglipTokenizer(PreTrainedTokenizerFast):
    """SentencePiece tokenizer of SigLIP: ``A </s>``.

    ASCII punctuation is dropped and white space made single; `do_lower_case` says whether case is
    dropped, too. A text that ends in ``</s>`` gets no second one.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "spiece.model",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        eos_token: str | AddedToken = "</s>",
        unk_token: str | AddedToken = "<unk>",
        pad_token: str | AddedToken = "</s>",
        additional_special_tokens: Sequence[str | AddedToken] | None = None,
        model_max_length: int = 64,
        do_lower_case: bool = True,
        **kwargs: Any,
    ) -> None:
        eos_token, unk_token, pad_token = map(_trimmed, (eos_token, unk_token, pad_token))
        super().__init__(**arguments(locals()), **kwargs)
        self.do_lower_case = do_lower_case

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """SigLIP's reading of a ``spiece.model``."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model = SentencePieceModel.from_file(vocab_file)
        tokenizer = sentencepiece.build(model, cut=False)
        tokenizer.normalizer = _canonical(model, settings["do_lower_case"])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, "first")
        tokenizer.decoder = decoders.Metaspace(SPACE, "first")
        last = str(settings["eos_token"])
        set_template(tokenizer, f"$A:0 {last}:0", f"$A:0 {last}:0 $B:0 {last}:0")
        return tokenizer

    def _encode(
        self, batch: Sequence[Any], settings: Any, add_special_tokens: bool, words: bool
    ) -> list[Encoding]:
        if not words:
            batch = [self._prepared(text, add_special_tokens) for text in batch]
        return super()._encode(batch, settings, add_special_tokens, words)

    def _prepared(self, text: Any, ends: bool) -> Any:
        """`text`, or each of a pair, with special tokens in the case they are known by, nothing but
        words behind them and, where it `ends` in one anyway, no end token."""
        if isinstance(text, tuple):
            return tuple(self._prepared(one, ends) for one in text)
        if not isinstance(text, str):
            return text
        special = re.compile(f"({'|'.join(map(re.escape, self.all_special_tokens))})")
        parts = special.split(text)
        if self.do_lower_case:
            parts[::2] = [part.lower() for part in parts[::2]]
            parts = special.split("".join(parts))
        if len(parts) == 1:
            return text
        parts[2::2] = [part.lstrip(string.punctuation + string.whitespace) for part in parts[2::2]]
        if ends and parts[-2] == self.eos_token and not parts[-1]:
            parts[-2:] = []
        return "".join(parts)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens spell; words behind a special token get a space before them."""
        special = set(self.all_special_tokens)
        text = ""
        for is_special, run in groupby(tokens, special.__contains__):
            if is_special:
                text += "".join(run)
            else:
                spelled = "".join(run).replace(SPACE, " ").lstrip(" ")
                text += f" {spelled}" if text else spelled
        return text.strip()

    def _decode_rows(self, rows: list[list[int]], skip_special_tokens: bool) -> list[str]:
        tokens = (self.convert_ids_to_tokens(row, skip_special_tokens) for row in rows)
        return [self.convert_tokens_to_string(list(filter(None, row))) for row in tokens]

    @property
    def can_save_slow_tokenizer(self) -> bool:  # type: ignore[override]
        """Whether the ``spiece.model`` that this one was made of is there to be copied."""
        return self.vocab_file_exists

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy ``spiece.model``, where this tokenizer was made of one."""
        return self._copy_vocab_file(save_directory, filename_prefix)


def _canonical(model: SentencePieceModel, lower: bool) -> normalizers.Normalizer:
    """Lower case, no punctuation, single spaces, and the model's own character map.

    The mark in front of the first word comes before the space that may be there, and stays; it has
    to be put where punctuation at the start goes, since nothing is put before what is not there.
    """
    steps = [normalizers.Lowercase()] if lower else []
    return normalizers.Sequence(
        [
            *steps,
            normalizers.Replace(SPACE, " "),
            normalizers.Replace(
                Regex(rf"\A[{MARKS}]*\s[{MARKS}\s]*{WORD_AHEAD}"),
                SPACE * 2,
            ),
            normalizers.Replace(Regex(rf"\A[{MARKS}]+{WORD_AHEAD}"), SPACE),
            normalizers.Replace(Regex(f"[{MARKS}]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            sentencepiece.normalizer(model),
        ]
    )


def _trimmed(token: str | AddedToken) -> str | AddedToken:
    """A special token that takes the white space around it along."""
    if isinstance(token, str):
        return AddedToken(token, lstrip=True, rstrip=True, normalized=False, special=True)
    return token
