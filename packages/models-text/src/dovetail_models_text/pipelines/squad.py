"""One question about one text, as in the SQuAD data set."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any

WHITESPACE = frozenset(string.whitespace) | {"\u202f", "\u00a0"}


@dataclass
class SquadExample:
    """A question with its context and, in training data, its answer.

    Besides the fields it knows the context's words (`doc_tokens`), the word of each character
    (`char_to_word_offset`), and the words at which the answer starts and ends (`start_position`,
    `end_position`; 0 where there is none).
    """

    qas_id: str | None
    question_text: str
    context_text: str
    answer_text: str | None
    start_position_character: int | None
    title: str | None
    answers: list[dict[str, Any]] = field(default_factory=list)
    is_impossible: bool = False

    def __post_init__(self) -> None:
        self.doc_tokens, self.char_to_word_offset = _words(self.context_text)
        self.start_position = self.end_position = 0
        start = self.start_position_character
        if start is not None and not self.is_impossible:
            end = min(start + len(self.answer_text or "") - 1, len(self.char_to_word_offset) - 1)
            self.start_position = self.char_to_word_offset[start]
            self.end_position = self.char_to_word_offset[end]


def _words(text: str) -> tuple[list[str], list[int]]:
    """The words of `text`, and for each character the index of its word (of the word before it,
    for a space)."""
    words: list[str] = []
    word_of: list[int] = []
    after_space = True
    for character in text:
        if character in WHITESPACE:
            after_space = True
        elif after_space:
            words.append(character)
            after_space = False
        else:
            words[-1] += character
        word_of.append(len(words) - 1)
    return words, word_of
