"""One token after the other: the best one (greedy search) or one drawn from the distribution
(multinomial sampling).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.checks import token_tuple
from dovetail.generation.decoding import Decoding
from dovetail.generation.strategies import Strategy
from dovetail.generation.tokens import draw
from dovetail.outputs import ModelOutput


class Sampling(Strategy):
    """Greedy search, or sampling with ``do_sample=True``: each row of the batch on its own."""

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Choose tokens until every row is done; rows that end early are padded."""
        sampled = decoding.config.do_sample
        pad = padding_token(decoding)
        done = torch.zeros(decoding.rows, dtype=torch.bool, device=decoding.ids.device)
        finished = False
        while decoding.others_running(finished):
            scores = decoding.processed(decoding.next_logits())
            if finished:
                continue  # only to keep step with other processes
            tokens = draw(scores, 1).squeeze(1) if sampled else scores.argmax(dim=-1)
            if pad is not None:
                tokens = tokens.masked_fill(done, pad)
            decoding.append(tokens)
            done = done | decoding.stopped()
            finished = bool(done.all())
        return decoding.result(decoding.ids.clone())


def padding_token(decoding: Decoding) -> int | None:
    """What follows the end of a row; None when rows cannot end before the batch does.

    Rows end on their own where a stopping criterion has end tokens (as its attribute
    ``eos_token_id``).
    """
    ends = [
        token_tuple(entry.eos_token_id)
        for entry in decoding.stopping
        if hasattr(entry, "eos_token_id")
    ]
    if decoding.rows == 1 or not ends:
        return None
    if decoding.config.pad_token_id is None:
        raise GenerationError(
            f"rows that end with {ends[0]} before the others need padding: set pad_token_id"
        )
    return decoding.config.pad_token_id
