"""Tiktoken rank files (base64 of the bytes of a token, its rank) as `tokenizers` backends."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from dovetail.errors import TokenizerError
from dovetail.tokenizers.convert.files import read_lines

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the newer vocabularies (cl100k and its heirs) split text into words."""
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How GPT-2's and Whisper's vocabularies split text into words."""
BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")
"""What spells a token; Whisper's files hold an empty one, spelt as padding alone."""


def read_ranks(path: str | Path) -> dict[bytes, int]:
    """Bytes of each token and its rank, which is its id too."""
    ranks = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            if BASE64.fullmatch(token) is None:
                raise ValueError(f"{token!r:.40} is no base64")
            ranks[base64.b64decode(token)] = int(rank)
        except ValueError as failure:
            raise TokenizerError(
                f"{path}, line {number}: {line!r:.80} is no tiktoken entry (base64, a space, a "
                f"number): {failure}. Replace the file by an intact one."
            ) from failure
    if len(set(ranks.values())) != len(ranks):
        raise TokenizerError(
            f"{path} gives one rank to several tokens. Replace the file by an intact one."
        )
    return ranks


def build(
    ranks: Mapping[bytes, int],
    *,
    pattern: str = LLAMA3_PATTERN,
    add_prefix_space: bool = False,
    special_tokens: Sequence[str | AddedToken] = (),
) -> Tokenizer:
    """Byte-level BPE with the merges that the ranks imply; `special_tokens` get the ids after the
    last rank."""
    spelling = byte_alphabet()
    vocab = {spell(token, spelling): rank for token, rank in ranks.items()}
    merges = [(spell(left, spelling), spell(right, spelling)) for left, right in merges_of(ranks)]
    tokenizer = Tokenizer(BPE(vocab, merges, fuse_unk=False, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if special_tokens:
        tokenizer.add_special_tokens(list(special_tokens))
    return tokenizer


def merges_of(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Every split of a token into two tokens, by the token's rank, then by the halves' ranks."""
    for token, _ in sorted(ranks.items(), key=lambda item: item[1]):
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs = [pair for pair in halves if pair[0] in ranks and pair[1] in ranks]
        yield from sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


@cache
def byte_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in byte-level vocabularies (GPT-2's
    table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {byte: chr(byte) for byte in printable}
    return table | {byte: chr(256 + index) for index, byte in enumerate(others)}


def spell(token: bytes, alphabet: Mapping[int, str]) -> str:
    """A token's bytes as the characters that stand for them."""
    return "".join(alphabet[byte] for byte in token)
