"""What each token of a vocabulary writes: its bytes, as constraints on text need them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dovetail.errors import GenerationError
from dovetail.tokenizers.convert.tiktoken import byte_alphabet

METASPACE = "\u2581"
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@dataclass(frozen=True)
class Spelling:
    """`tokens[id]` are the bytes of a token within a text, empty where it writes nothing; `special`
    are ids that belong to no text.
    """

    tokens: tuple[bytes, ...]
    special: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Any, size: int | None = None) -> Spelling:
        """That of a tokenizer, for a model that writes `size` tokens.

        Raises `GenerationError` for an object that is no tokenizer of this library.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise GenerationError(
                f"tokenizer is a {type(tokenizer).__name__}, whose vocabulary cannot be read: "
                "give the model's tokenizer, as AutoTokenizer loads it"
            )
        vocabulary = backend.get_vocab(with_added_tokens=True)
        added = backend.get_added_tokens_decoder()
        spell = _speller(json.loads(backend.to_str())["decoder"])
        count = max(vocabulary.values(), default=-1) + 1 if size is None else size
        tokens = [b""] * count
        for token, index in vocabulary.items():
            if index < count:
                tokens[index] = token.encode() if index in added else spell(token)
        special = {index for index, token in added.items() if token.special}
        special |= set(tokenizer.all_special_ids)
        return cls(tuple(tokens), tuple(sorted(index for index in special if index < count)))


def _speller(decoder: Mapping[str, Any] | None) -> Callable[[str], bytes]:
    """How tokens are written, as the tokenizer's decoder puts them together again."""
    if decoder is None:
        return lambda token: f" {token}".encode()
    parts = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
    kinds = {part["type"]: part for part in parts}
    if "ByteLevel" in kinds:
        alphabet = {letter: byte for byte, letter in byte_alphabet().items()}
        return partial(_byte_level, alphabet)
    if "WordPiece" in kinds:
        return partial(_word_piece, kinds["WordPiece"]["prefix"])
    space = kinds.get("Metaspace", {}).get("replacement", METASPACE)
    end = kinds.get("BPEDecoder", {}).get("suffix")
    return partial(_pieces, space, end, "ByteFallback" in kinds)


def _byte_level(alphabet: Mapping[str, int], token: str) -> bytes:
    if all(letter in alphabet for letter in token):
        return bytes(alphabet[letter] for letter in token)
    return token.encode()


def _word_piece(prefix: str, token: str) -> bytes:
    return (token.removeprefix(prefix) if token.startswith(prefix) else f" {token}").encode()


def _pieces(space: str, end: str | None, bytes_fall_back: bool, token: str) -> bytes:
    if bytes_fall_back and (byte := BYTE.fullmatch(token)):
        return bytes([int(byte[1], 16)])
    if end and token.endswith(end):
        token = f"{token.removesuffix(end)} "
    return token.replace(space, " ").encode()
