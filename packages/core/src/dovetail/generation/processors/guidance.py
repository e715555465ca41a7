"""Classifier-free guidance: away from what the model would write without the prompt, or with
another one (arXiv:2306.17806).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.processors.base import LogitsProcessor


class ClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Guides a batch that holds each prompt twice: first all prompts, then all their unconditional
    partners. Scores become ``other + scale * (own - other)``.
    """

    def __init__(self, guidance_scale: float) -> None:
        if not guidance_scale > 1:
            raise GenerationError(f"guidance_scale={guidance_scale}: it must be above 1")
        self.guidance_scale = guidance_scale

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) of the prompts, given tokens (B, T) and scores (2 * B, V)."""
        if len(scores) != 2 * len(input_ids):
            raise GenerationError(
                f"scores have {len(scores)} rows and input_ids {len(input_ids)}: guidance needs "
                "twice as many, the prompts' and then the unconditional ones"
            )
        own, other = scores.split(len(input_ids), dim=0)
        return other + (own - other) * self.guidance_scale


class UnbatchedClassifierFreeGuidanceLogitsProcessor(LogitsProcessor):
    """Guides with a second run of the model, which read `unconditional_ids` (B, S) in place of the
    prompt, or the prompt's last token when there are none.

    Log-probabilities become ``other + guidance_scale * (own - other)``.
    """

    def __init__(
        self,
        guidance_scale: float,
        model: Any,
        unconditional_ids: Tensor | None = None,
        unconditional_attention_mask: Tensor | None = None,
        use_cache: bool | None = True,
    ) -> None:
        self.guidance_scale = guidance_scale
        self.model = model
        self.use_cache = use_cache
        self.unconditional_ids = unconditional_ids
        self.unconditional_attention_mask = unconditional_attention_mask
        self._prompt_length: int | None = None
        self._read: Tensor | None = None  # what the cache holds
        self._cache: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return guided log-probabilities (B, V)."""
        own = scores.log_softmax(dim=-1)
        if self.guidance_scale == 1:
            return own
        other = self._other_logits(input_ids).log_softmax(dim=-1)
        return self.guidance_scale * (own - other) + other

    def _other_logits(self, input_ids: Tensor) -> Tensor:
        """Logits (B, V) of what follows when `input_ids` (B, T) have another prompt."""
        if self._prompt_length is None:
            self._prompt_length = input_ids.shape[1]
        prompt = self.unconditional_ids
        if prompt is None:
            prompt = input_ids[:, self._prompt_length - 1 : self._prompt_length]
        mask = self.unconditional_attention_mask
        if mask is None:
            mask = torch.ones_like(prompt)
        new = input_ids[:, self._prompt_length :]
        text = torch.cat((prompt, new), dim=1)
        mask = torch.cat((mask, torch.ones_like(new)), dim=1)
        known = self._known(text)
        output = self.model(
            text[:, known:],
            attention_mask=mask,
            use_cache=self.use_cache,
            past_key_values=self._cache,
            return_dict=True,
        )
        if self.use_cache:
            self._read, self._cache = text, output.get("past_key_values")
        return output.logits[:, -1].to(input_ids.device, torch.float32)

    def _known(self, text: Tensor) -> int:
        """How much of `text` the cache holds. Beams that changed places, and guesses that were
        taken back, are read anew.
        """
        read = self._read
        if read is not None and self._cache is not None:
            length = read.shape[1]
            if length < text.shape[1] and torch.equal(text[:, :length], read):
                return length
        self._cache = None
        return 0
