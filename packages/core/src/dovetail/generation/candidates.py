"""Where candidate tokens come from in assisted decoding: a draft model, or the text itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.inputs import forward_parameters, padded_positions
from dovetail.generation.processors.base import LogitsProcessorList
from dovetail.generation.tokens import draw

DEFAULT_NGRAM = 2  # tokens that prompt lookup compares at most, when the settings do not say


class CandidateSource(ABC):
    """Guesses how one text goes on."""

    @abstractmethod
    def propose(self, decoding: Decoding) -> tuple[Tensor, Tensor | None]:
        """Candidate tokens (1, L), L may be 0, and the scores (1, L, V) that they were drawn from,
        None when they were not drawn.
        """

    def learn(self, proposed: int, accepted: int) -> None:  # noqa: B027 - most have nothing to learn
        """Take note of how many tokens of the last proposal were right."""


def room(decoding: Decoding, wanted: int) -> int:
    """How many candidates, `wanted` at most, leave place for the token that follows them."""
    limit = decoding.config.max_length
    return wanted if limit is None else max(min(wanted, limit - len(decoding.tokens) - 1), 0)


class PromptLookup(CandidateSource):
    """What followed the last tokens where they occurred before: ``prompt_lookup_num_tokens`` at
    most, found by the longest match of up to ``max_matching_ngram_size`` tokens.
    """

    def __init__(self, decoding: Decoding) -> None:
        self.count = decoding.config.prompt_lookup_num_tokens or 0
        self.largest = decoding.config.max_matching_ngram_size or DEFAULT_NGRAM
        self.ends = decoding.ends

    def propose(self, decoding: Decoding) -> tuple[Tensor, None]:
        """Candidate tokens (1, L), cut before an end token."""
        text = decoding.ids[0]
        found = text[:0]
        if count := self._readable(decoding):
            for size in range(min(self.largest, len(text) - 1), 0, -1):
                places = (text[:-1].unfold(0, size, 1) == text[-size:]).all(dim=-1).nonzero()
                if len(places):
                    start = int(places[0]) + size
                    found = text[start : start + count]
                    break
        for index, token in enumerate(found.tolist()):
            if token in self.ends:
                found = found[:index]
                break
        return found[None], None

    def _readable(self, decoding: Decoding) -> int:
        """How many candidates model and cache have positions for. They may go beyond the text's own
        limit, which its criteria keep: so the reference draws the same random numbers.
        """
        cache: Any = decoding.model_kwargs.get("past_key_values")
        limits = (
            getattr(decoding.model.config, "max_position_embeddings", None),
            cache.get_max_cache_shape() if hasattr(cache, "get_max_cache_shape") else None,
        )
        places = min((limit for limit in limits if limit), default=None)
        free = self.count if places is None else places - len(decoding.tokens)
        return max(min(self.count, free), 0)


class Draft(CandidateSource):
    """What a smaller model of the same vocabulary would write.

    How far it goes at a time is among the draft model's own settings: ``num_assistant_tokens``,
    changed after each proposal when ``num_assistant_tokens_schedule`` is ``"heuristic"`` (for later
    calls too) or ``"heuristic_transient"``, and ``assistant_confidence_threshold``: a draft stops
    after a token of less probability.
    """

    def __init__(self, model: Any, decoding: Decoding) -> None:
        self.model = model
        self.settings = model.generation_config
        self.count = int(self.settings.num_assistant_tokens)
        self.threshold = self.settings.assistant_confidence_threshold or 0.0
        self.reading = Reading(model, self._encoded(decoding))

    def _encoded(self, decoding: Decoding) -> dict[str, Any]:
        """What the draft model reads besides the text: the encoder's part."""
        if not decoding.is_encoder_decoder or decoding.prompt is None:
            return {}
        mask = decoding.model_kwargs.get("attention_mask")
        encoded = decoding.arguments.get("assistant_encoder_outputs")
        if encoded is None:
            encoder = self.model.get_encoder()
            source = {decoding.prompt.name: decoding.prompt.source}
            encoded = encoder(**source, attention_mask=mask, return_dict=True)
        return {"encoder_outputs": encoded, "attention_mask": mask}

    def propose(self, decoding: Decoding) -> tuple[Tensor, Tensor | None]:
        """Candidate tokens (1, L) and the draft model's scores (1, L, V)."""
        ids, count = decoding.ids, room(decoding, self.count)
        if not count or not ids.shape[1]:
            return ids[:, :0], None
        mask = None if decoding.is_encoder_decoder else decoding.model_kwargs.get("attention_mask")
        kwargs = self.reading.resume(ids, mask)
        rule = DraftRule.of(decoding, count, self.threshold)
        candidates, scores = write(self.model, ids, kwargs, rule)
        self.reading.ids = torch.cat((ids, candidates), dim=-1)
        return candidates, scores

    def learn(self, proposed: int, accepted: int) -> None:
        """Go further next time if all was right, else less far."""
        schedule = self.settings.num_assistant_tokens_schedule
        if schedule not in ("heuristic", "heuristic_transient"):
            return
        self.count = self.count + 2 if accepted == self.count else max(self.count - 1, 1)
        if schedule == "heuristic":
            self.settings.num_assistant_tokens = self.count


class Reading:
    """How far a draft model has read one text: its cache, kept from one draft to the next.

    `inputs` are arguments of every pass besides the text; `ids` (1, T) is what was read, and what
    was written after it.
    """

    def __init__(self, model: Any, inputs: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.inputs = dict(inputs or {})
        self.cache: Any = None
        self.ids: Tensor | None = None

    def resume(self, ids: Tensor, mask: Tensor | None = None) -> dict[str, Any]:
        """The arguments of a pass over what is new in `ids` (1, T), of which `mask` (1, T) hides
        some. What the cache holds of another text is forgotten.
        """
        cached = 0
        if self.cache is None:
            config = GenerationConfig()
            self.cache = self.model._prepare_cache(config, 1, ids.shape[1])
        elif self.ids is not None:
            cached = min(shared(self.ids, ids[:, :-1]), self.cache.get_seq_length())
            self.cache.crop(cached)
        self.ids = ids
        kwargs = {**self.inputs, "past_key_values": self.cache, "use_cache": True}
        if mask is not None:
            kwargs["attention_mask"] = mask
            if "position_ids" in forward_parameters(self.model):
                kwargs["position_ids"] = padded_positions(mask)
        kwargs["cache_position"] = torch.arange(cached, ids.shape[1], device=ids.device)
        return kwargs


def shared(first: Tensor, second: Tensor) -> int:
    """How many tokens both texts (1, T) begin with."""
    length = min(first.shape[1], second.shape[1])
    return int((first[0, :length] == second[0, :length]).long().cumprod(dim=0).sum())


@dataclass(frozen=True)
class DraftRule:
    """How a draft is written: `count` tokens at most, up to one of `ends` or one of less
    probability than `threshold`; by scores that went through `processors`, drawn or the best.
    """

    count: int
    threshold: float
    ends: tuple[int, ...]
    processors: LogitsProcessorList = field(default_factory=LogitsProcessorList)
    sampled: bool = False

    @classmethod
    def of(cls, decoding: Decoding, count: int, threshold: float) -> DraftRule:
        """As `decoding` itself chooses its tokens."""
        return cls(count, threshold, decoding.ends, decoding.processors, decoding.config.do_sample)


def write(
    model: Any, ids: Tensor, kwargs: dict[str, Any], rule: DraftRule
) -> tuple[Tensor, Tensor]:
    """The tokens (1, L) that `model` adds to `ids` (1, T), and the scores (1, L, V) they were
    chosen by. `kwargs` are the arguments of its next pass.
    """
    length, kept = ids.shape[1], []
    if "num_logits_to_keep" in forward_parameters(model):
        kwargs["num_logits_to_keep"] = 1
    while True:
        output = model(**model.prepare_inputs_for_generation(ids, **kwargs), return_dict=True)
        scores = output.logits[:, -1].to(ids.device, torch.float32)
        scores = rule.processors(ids, scores) if rule.processors else scores
        token = draw(scores, 1).squeeze(1) if rule.sampled else scores.argmax(dim=-1)
        ids = torch.cat((ids, token[:, None]), dim=-1)
        kept.append(scores)
        unsure = rule.threshold and float(scores.softmax(dim=-1)[0, token]) < rule.threshold
        if len(kept) == rule.count or unsure or int(token) in rule.ends:
            return ids[:, length:], torch.stack(kept, dim=1)
        kwargs = model._update_model_kwargs_for_generation(
            output, kwargs, is_encoder_decoder=model.config.is_encoder_decoder
        )
