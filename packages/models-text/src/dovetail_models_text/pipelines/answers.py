"""From start and end logits to the best spans of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Answer = dict[str, Any]

MASKED = -10000.0


def best_spans(
    start: np.ndarray,
    end: np.ndarray,
    allowed: np.ndarray,
    *,
    top_k: int,
    max_answer_len: int,
) -> tuple[list[tuple[int, int, float]], float]:
    """The `top_k` likeliest spans (first token, last token, probability) and the probability of no
    answer.

    `start` and `end` are logits (T,), `allowed` says where a span may start and end. No answer is
    the first token's span.
    """
    starts, ends = (_softmax(np.where(allowed, logits, MASKED)) for logits in (start, end))
    no_answer = float(starts[0] * ends[0])
    starts[0] = ends[0] = 0.0
    width = min(max_answer_len, len(ends))
    following = sliding_window_view(
        np.pad(ends, (0, width - 1)), width
    )  # (T, width): ends of each start
    scores = (starts[:, None] * following).ravel()
    spans = []
    for index in _largest(scores, top_k):
        first, length = divmod(int(index), width)
        last = first + length
        if last < len(allowed) and allowed[first] and allowed[last]:
            spans.append((first, last, float(scores[index])))
    return spans, no_answer


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _largest(scores: np.ndarray, count: int) -> np.ndarray:
    """The positions of the `count` largest scores, best first."""
    if count == 1:
        return np.argmax(scores, keepdims=True)
    if len(scores) > count:
        chosen = np.argpartition(-scores, count)[:count]
        return chosen[np.argsort(-scores[chosen], kind="stable")]
    return np.argsort(-scores, kind="stable")


def span_of_characters(
    encoding: Any, first: int, last: int, sequence: int, align_to_words: bool
) -> tuple[int, int]:
    """The characters of the context from token `first` to token `last`, whole words where
    `align_to_words`."""
    if align_to_words:
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        if None not in words:
            start, end = (encoding.word_to_chars(word, sequence) for word in words)
            if start is not None and end is not None:
                return start[0], end[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]
