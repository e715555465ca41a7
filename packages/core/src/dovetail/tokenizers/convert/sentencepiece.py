"""SentencePiece models as `tokenizers` backends, read without the sentencepiece or protobuf
packages.

The file is one protocol buffer message, ``ModelProto`` of sentencepiece_model.proto; the few fields
that decide how text becomes pieces are read here by number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Model, Unigram

from dovetail.errors import TokenizerError

SPACE = "▁"
MAX_BYTES = 256 * 2**20


class PieceType(IntEnum):
    """``ModelProto.SentencePiece.Type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class ModelType(IntEnum):
    """``TrainerSpec.ModelType``."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


@dataclass
class Piece:
    """One entry of the vocabulary; its id is its position."""

    text: str = ""
    score: float = 0.0
    type: PieceType = PieceType.NORMAL


@dataclass
class SentencePieceModel:
    """What a SentencePiece file says about turning text into pieces."""

    pieces: list[Piece] = field(default_factory=list)
    model_type: ModelType = ModelType.UNIGRAM
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    pad_id: int = -1
    unk_piece: str = "<unk>"
    byte_fallback: bool = False
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True

    @classmethod
    def from_file(cls, path: str | Path) -> SentencePieceModel:
        """Read a ``.model`` file.

        Raises:
            TokenizerError: when the file is no SentencePiece model, is damaged, or is of an unknown
            kind.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES} bytes")
            model = cls()
            _read(memoryview(data), model, _MODEL)
            if not model.pieces:
                raise ValueError("it holds no pieces")
            if not 0 <= model.unk_id < len(model.pieces):
                raise ValueError(
                    f"its unknown piece {model.unk_id} is not one of its {len(model.pieces)} pieces"
                )
        except (ValueError, struct.error, IndexError) as failure:
            raise TokenizerError(
                f"{path} is no intact SentencePiece model: {failure}. Download or copy the file "
                "again."
            ) from failure
        return model

    @property
    def scores(self) -> list[tuple[str, float]]:
        """Pieces and scores, by id."""
        return [(piece.text, piece.score) for piece in self.pieces]

    @property
    def special_pieces(self) -> list[tuple[int, AddedToken]]:
        """Control and user-defined pieces, which text is split at before anything else."""
        return [
            (
                index,
                AddedToken(piece.text, normalized=False, special=piece.type is PieceType.CONTROL),
            )
            for index, piece in enumerate(self.pieces)
            if piece.type in (PieceType.CONTROL, PieceType.USER_DEFINED)
        ]


def build(
    source: SentencePieceModel | str | Path,
    *,
    scores: Sequence[tuple[str, float]] | None = None,
    byte_fallback: bool | None = None,
    unk_id: int | None = None,
    add_prefix_space: bool | None = None,
    cut: bool = True,
) -> Tokenizer:
    """A backend that gives the pieces SentencePiece would.

    `scores` replaces the vocabulary (T5 appends its sentinels, fairseq models shift ids).
    `byte_fallback` and `add_prefix_space` default to what the model says. With `cut`, texts are
    split at control and user-defined pieces first, as fast tokenizers do: a word starts behind
    each.
    """
    model = (
        source if isinstance(source, SentencePieceModel) else SentencePieceModel.from_file(source)
    )
    prefix = model.add_dummy_prefix if add_prefix_space is None else add_prefix_space
    tokenizer = Tokenizer(
        build_model(model, scores=scores, byte_fallback=byte_fallback, unk_id=unk_id)
    )
    tokenizer.normalizer = normalizer(model)
    scheme = "always" if prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    tokenizer.decoder = decoder(model, scheme, byte_fallback)
    if cut:
        add_in_order(tokenizer, [token for _, token in model.special_pieces])
    return tokenizer


def normalizer(model: SentencePieceModel) -> normalizers.Normalizer:
    """The character map of the model, and runs of spaces made one."""
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.remove_extra_whitespaces:
        steps += [
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), SPACE),
        ]
    return normalizers.Sequence(steps)


def decoder(
    model: SentencePieceModel, scheme: str, byte_fallback: bool | None = None
) -> decoders.Decoder:
    """Pieces to text; byte pieces are put together first."""
    spaces = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    fallback = model.byte_fallback if byte_fallback is None else byte_fallback
    return decoders.Sequence([decoders.ByteFallback(), spaces]) if fallback else spaces


def build_model(
    model: SentencePieceModel,
    *,
    scores: Sequence[tuple[str, float]] | None = None,
    byte_fallback: bool | None = None,
    unk_id: int | None = None,
) -> Model:
    """The segmentation alone: the vocabulary with its scores or merges."""
    scores = model.scores if scores is None else list(scores)
    fallback = model.byte_fallback if byte_fallback is None else byte_fallback
    unk_id = model.unk_id if unk_id is None else unk_id
    if model.model_type is ModelType.UNIGRAM:
        return Unigram(list(scores), unk_id=unk_id, byte_fallback=fallback)
    ids = {text: index for index, (text, _) in enumerate(scores)}
    merges = merges_of(scores) if model.model_type is ModelType.BPE else []
    return BPE(ids, merges, unk_token=scores[unk_id][0], fuse_unk=True, byte_fallback=fallback)


def merges_of(scores: Sequence[tuple[str, float]]) -> list[tuple[str, str]]:
    """The merges of a BPE vocabulary: every split of a piece into two pieces, the best-scored piece
    first.

    Equal scores are settled by the length of the halves, then by the ids of the halves, as in the
    field's conversion.
    """
    ids = {text: index for index, (text, _) in enumerate(scores)}
    ranked = []
    for text, score in dict(scores).items():
        halves = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        pairs = [pair for pair in halves if pair[0] in ids and pair[1] in ids]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        ranked += [(score, len(left), len(right), left, right) for left, right in pairs]
    ranked.sort(key=lambda merge: merge[:3], reverse=True)
    return [(left, right) for *_, left, right in ranked]


def add_in_order(tokenizer: Tokenizer, tokens: Sequence[AddedToken]) -> None:
    """Add tokens in this order, special ones as special."""
    for token in tokens:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])


Read = Callable[[Any, Any], None]


def _set(name: str, convert: Callable[[Any], Any]) -> Read:
    return lambda target, value: setattr(target, name, convert(value))


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _float(value: memoryview) -> float:
    return struct.unpack("<f", value)[0]


def _piece(model: SentencePieceModel, value: memoryview) -> None:
    piece = Piece()
    _read(value, piece, _PIECE)
    model.pieces.append(piece)


def _submessage(fields: dict[int, Read]) -> Read:
    return lambda target, value: _read(value, target, fields)


_PIECE: dict[int, Read] = {
    1: _set("text", _text),
    2: _set("score", _float),
    3: _set("type", PieceType),
}
_TRAINER: dict[int, Read] = {
    3: _set("model_type", ModelType),
    35: _set("byte_fallback", bool),
    40: _set("unk_id", _signed),
    41: _set("bos_id", _signed),
    42: _set("eos_id", _signed),
    43: _set("pad_id", _signed),
    45: _set("unk_piece", _text),
}
_NORMALIZER: dict[int, Read] = {
    2: _set("charsmap", bytes),
    3: _set("add_dummy_prefix", bool),
    4: _set("remove_extra_whitespaces", bool),
}
_MODEL: dict[int, Read] = {1: _piece, 2: _submessage(_TRAINER), 3: _submessage(_NORMALIZER)}


def _read(data: memoryview, target: Any, fields: dict[int, Read]) -> None:
    for number, value in _fields(data):
        if number in fields:
            try:
                fields[number](target, value)
            except TypeError as failure:
                raise ValueError(f"field {number} has another type than it should") from failure


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Numbers and values of the fields of one message; the value of a sub-message is its bytes."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"byte {position} starts a field of unknown kind {kind}")
        if position + size > end:
            raise ValueError(f"it ends in the middle of field {number}")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if position >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError(f"byte {position} ends a number longer than 64 bits")
