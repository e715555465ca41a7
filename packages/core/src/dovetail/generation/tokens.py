"""The token ids of a running generation, in a buffer that grows by doubling so that a step writes
just one column.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.errors import GenerationError

SPARE = 64  # columns reserved beyond the prompt at first


class TokenBuffer:
    """Token ids (B, T) to which columns are appended in place. `ids` is a view: it stays valid, and
    right, as the text grows.
    """

    def __init__(self, ids: Tensor) -> None:
        self._columns = self._grown(ids, ids.shape[1] + SPARE)
        self._length = ids.shape[1]
        self.ids = self._columns[:, : self._length]

    @staticmethod
    def _grown(ids: Tensor, capacity: int) -> Tensor:
        columns = ids.new_empty(ids.shape[0], capacity)
        columns[:, : ids.shape[1]] = ids
        return columns

    def append(self, tokens: Tensor) -> None:
        """Add one column of tokens (B,)."""
        if self._length == self._columns.shape[1]:
            self._columns = self._grown(self._columns, 2 * self._length)
        self._columns[:, self._length] = tokens
        self._length += 1
        self.ids = self._columns[:, : self._length]

    def reorder(self, rows: Tensor) -> None:
        """Let row ``i`` become the old row ``rows[i]``. Earlier views keep the old rows."""
        self._columns = self._columns.index_select(0, rows)
        self.ids = self._columns[:, : self._length]

    def __len__(self) -> int:
        return self._length


def draw(scores: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Indices (B, `count`), all different, drawn as the log-probabilities `scores` (B, N) say.

    `generator` is where randomness comes from, torch's own by default.
    Raises `GenerationError` for scores that describe no distribution.
    """
    probabilities = scores.softmax(dim=-1)
    try:
        return torch.multinomial(probabilities, count, generator=generator)
    except RuntimeError as error:
        if bool(probabilities.isfinite().all()):
            raise
        raise GenerationError(
            "the scores are not finite, so no token can be drawn: either the model computes NaN "
            "(damaged weights, or float16 overflowing), or processors forbid every token"
        ) from error
