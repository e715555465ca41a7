"""From scored tokens to named entities: words out of pieces, groups out of words, and duplicates
of overlapping windows.

A *token* or *entity* is a dictionary, as the pipeline returns it. Labels follow the BIO scheme:
``B-PER`` begins, ``I-PER`` goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np

Entity = dict[str, Any]
JoinTokens = Callable[[list[str]], str]


class AggregationStrategy(StrEnum):
    """How pieces and words become entities.

    ``none``: one entity per token. ``simple``: adjacent tokens of one label are grouped. The
    others first make whole words, labelled by their ``first`` piece, by the ``average`` of their
    pieces' scores or by the piece of ``max`` score.
    """

    NONE = "none"
    SIMPLE = "simple"
    FIRST = "first"
    AVERAGE = "average"
    MAX = "max"

    @property
    def needs_words(self) -> bool:
        """Whether pieces are joined to words first."""
        return self in (self.FIRST, self.AVERAGE, self.MAX)


def label_tokens(tokens: Iterable[Entity], labels: dict[int, str]) -> list[Entity]:
    """Each token with its best label."""
    return [
        {
            "entity": labels[best := int(token["scores"].argmax())],
            "score": float(token["scores"][best]),
            "index": token["index"],
            "word": token["word"],
            "start": token["start"],
            "end": token["end"],
        }
        for token in tokens
    ]


def label_words(
    tokens: Sequence[Entity],
    labels: dict[int, str],
    strategy: AggregationStrategy,
    join: JoinTokens,
) -> list[Entity]:
    """Pieces joined to words, each with the label that `strategy` gives it."""
    words: list[list[Entity]] = []
    for token in tokens:
        if words and token["is_subword"]:
            words[-1].append(token)
        else:
            words.append([token])
    return [_label_word(pieces, labels, strategy, join) for pieces in words]


def _label_word(
    pieces: list[Entity], labels: dict[int, str], strategy: AggregationStrategy, join: JoinTokens
) -> Entity:
    if strategy is AggregationStrategy.FIRST:
        scores = pieces[0]["scores"]
    elif strategy is AggregationStrategy.MAX:
        scores = max(pieces, key=lambda piece: piece["scores"].max())["scores"]
    else:
        scores = np.nanmean(np.stack([piece["scores"] for piece in pieces]), axis=0)
    best = int(scores.argmax())
    return {
        "entity": labels[best],
        "score": float(scores[best]),
        "word": join([piece["word"] for piece in pieces]),
        "start": pieces[0]["start"],
        "end": pieces[-1]["end"],
    }


def split_label(label: str) -> tuple[str, str]:
    """("B", "PER") of ``B-PER``; a label outside the scheme continues itself."""
    prefix, dash, tag = label.partition("-")
    return (prefix, tag) if dash and prefix in ("B", "I") else ("I", label)


def group_adjacent(entities: Iterable[Entity], join: JoinTokens) -> list[Entity]:
    """Neighbours of one tag as one entity; a ``B-`` label always begins a new one."""
    groups: list[list[Entity]] = []
    last_tag = None
    for entity in entities:
        prefix, tag = split_label(entity["entity"])
        if groups and tag == last_tag and prefix != "B":
            groups[-1].append(entity)
        else:
            groups.append([entity])
        last_tag = tag
    return [_group(members, join) for members in groups]


def _group(members: list[Entity], join: JoinTokens) -> Entity:
    return {
        "entity_group": members[0]["entity"].split("-", 1)[-1],
        "score": float(np.nanmean([member["score"] for member in members])),
        "word": join([member["word"] for member in members]),
        "start": members[0]["start"],
        "end": members[-1]["end"],
    }


def drop_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """Of entities that overlap (found by two windows) the longer, and of equally long ones the
    more certain."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _weight(entity) > _weight(kept[-1]):
            kept[-1] = entity
    return kept


def _weight(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
