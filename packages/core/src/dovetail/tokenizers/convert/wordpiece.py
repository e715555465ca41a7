"""WordPiece vocabularies (``vocab.txt``) as `tokenizers` backends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from dovetail.tokenizers.convert.files import read_lines


def read_vocab(path: str | Path) -> dict[str, int]:
    """Token to id of a ``vocab.txt``: one token for each line, the line's number is the id."""
    return {token: index for index, token in enumerate(read_lines(path))}


def build(
    vocab: Mapping[str, int],
    *,
    unk_token: str = "[UNK]",
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
) -> Tokenizer:
    """BERT's tokenization: cleaned text, split at white space and punctuation, longest pieces
    first."""
    tokenizer = Tokenizer(WordPiece(dict(vocab), unk_token=unk_token))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
        lowercase=do_lower_case,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer
