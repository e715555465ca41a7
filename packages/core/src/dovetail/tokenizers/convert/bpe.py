"""Byte-level BPE vocabularies (``vocab.json`` and ``merges.txt``) as `tokenizers` backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from dovetail.errors import TokenizerError
from dovetail.tokenizers.convert.files import read_lines


def read_merges(path: str | Path) -> list[tuple[str, str]]:
    """The pairs of a ``merges.txt``, best first; the version line and empty lines are no merges."""
    merges = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not all(parts):
            raise TokenizerError(
                f"{path}, line {number}: {line!r:.80} is no merge, which is two tokens and a space "
                "between."
            )
        merges.append((parts[0], parts[1]))
    return merges


def build(
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    *,
    add_prefix_space: bool = False,
    trim_offsets: bool = False,
    where: str = "the vocabulary",
) -> Tokenizer:
    """GPT-2's tokenization: words by its expression, as bytes, merged; `where` says whose
    vocabulary it is. Raises as `check`."""
    check(vocab, merges, where)
    model = BPE(
        dict(vocab),
        list(merges),
        continuing_subword_prefix="",
        end_of_word_suffix="",
        fuse_unk=False,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    return tokenizer


def check(vocab: Mapping[str, int], merges: Sequence[tuple[str, str]], where: str) -> None:
    """Refuse merges that do not belong to the vocabulary of `where`.

    Raises:
        TokenizerError: a merge names or makes a token that the vocabulary lacks.
    """
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocab:
                raise TokenizerError(
                    f"{where} has no token {token!r}, which the merge {left!r} + {right!r} needs: "
                    "vocab.json and merges.txt do not belong together."
                )
