"""Drafts by the first layers of the model itself (LayerSkip, arXiv:2404.16710)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.candidates import CandidateSource, DraftRule, room, write
from dovetail.generation.decoding import Decoding
from dovetail.modeling import PreTrainedModel


class EarlyExit(CandidateSource):
    """What the model would write if its first ``assistant_early_exit`` layers were all: their
    output goes through the model's last norm and head.

    The draft reads the model's own cache, which is as good as its own would be, and leaves it as it
    was. How far it goes are ``num_assistant_tokens`` and ``assistant_confidence_threshold``.
    """

    def __init__(self, decoding: Decoding) -> None:
        self.layers = int(decoding.config.assistant_early_exit or 0)
        text = decoding.model.config.get_text_config(decoder=True)
        count = getattr(text, "decoder_layers", None) or getattr(text, "num_decoder_layers", None)
        count = count or text.num_hidden_layers
        if self.layers >= count:
            raise GenerationError(
                f"assistant_early_exit={self.layers}: {type(decoding.model).__name__} has {count} "
                f"layers, so a draft may use 1 to {count - 1} of them"
            )
        self.count = decoding.config.num_assistant_tokens
        self.threshold = decoding.config.assistant_confidence_threshold or 0.0

    def propose(self, decoding: Decoding) -> tuple[Tensor, Tensor | None]:
        """Candidate tokens (1, L) and the scores (1, L, V) of the first layers."""
        count, kwargs = room(decoding, self.count), dict(decoding.model_kwargs)
        cache: Any = kwargs["past_key_values"]
        read = cache.get_seq_length()
        if not count or not read:  # the whole model reads the prompt
            return decoding.ids[:, :0], None
        with first_layers(decoding.model, self.layers):
            rule = DraftRule.of(decoding, count, self.threshold)
            found = write(decoding.model, decoding.ids, kwargs, rule)
        if cache.get_seq_length(self.layers) > read:
            raise GenerationError(
                f"assistant_early_exit={self.layers}: {type(decoding.model).__name__} runs its "
                "layers by a rule of its own, so it cannot stop early: leave it out"
            )
        cache.crop(read)
        return found


@contextmanager
def first_layers(model: Any, count: int) -> Iterator[None]:
    """Let every stack of layers within `model` end after `count` of them."""
    stacks = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    for stack in stacks:
        stack._exit_layer = count
    try:
        yield
    finally:
        for stack in stacks:
            stack._exit_layer = None
