"""Where candidate tokens come from in assisted decoding: a draft model, or the text itself."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from dovetail.generation.decoding import Decoding
from dovetail.generation.stopping import StoppingCriteria

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


class ConfidenceCriteria(StoppingCriteria):
    """Stops a draft after a token of less probability than `threshold`."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Say whether the row (1,) is done."""
        probabilities = scores[-1].softmax(dim=-1)
        return probabilities.gather(1, input_ids[:, -1:]).squeeze(1) < self.threshold


class Draft(CandidateSource):
    """What a smaller model of the same vocabulary would write.

    How far it goes at a time is among the draft model's own settings: ``num_assistant_tokens``,
    changed after each proposal when ``num_assistant_tokens_schedule`` is ``"heuristic"`` (for later
    calls too) or ``"heuristic_transient"``, and ``assistant_confidence_threshold``.
    """

    def __init__(self, model: Any, decoding: Decoding) -> None:
        self.model = model
        self.settings = model.generation_config
        self.count = int(self.settings.num_assistant_tokens)
        self.inputs = self._inputs(decoding)
        self.cache: Any = None
        self.config = copy.copy(decoding.config)
        self.config.update(
            is_assistant=True,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=None,
            output_attentions=False,
            output_hidden_states=False,
            prompt_lookup_num_tokens=None,
            json_schema=None,  # what is wrong in a guess, the model itself refuses
            regex=None,
            grammar=None,
            cache_implementation=None,
            stop_strings=None,
            max_time=None,
        )
        threshold = self.settings.assistant_confidence_threshold
        self.criteria = [ConfidenceCriteria(threshold)] if threshold else []

    def _inputs(self, decoding: Decoding) -> dict[str, Any]:
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
        ids = decoding.ids
        length = ids.shape[1]
        if not (count := room(decoding, self.count)):
            return ids[:, :0], None
        self.config.max_new_tokens = count
        self.config.min_new_tokens = max(min(count, (decoding.config.min_length or 0) - length), 0)
        inputs = dict(self.inputs)
        if decoding.is_encoder_decoder:
            inputs["decoder_input_ids"] = ids
        else:
            mask = decoding.model_kwargs.get("attention_mask")
            inputs["input_ids"] = ids
            inputs["attention_mask"] = torch.ones_like(ids) if mask is None else mask
        if self.cache is not None:
            self.cache.crop(length - 1)
            inputs["past_key_values"] = self.cache
        draft = self.model.generate(
            **inputs, generation_config=copy.copy(self.config), stopping_criteria=[*self.criteria]
        )
        self.cache = draft.past_key_values
        return draft.sequences[:, length:], torch.stack(draft.scores, dim=1)

    def learn(self, proposed: int, accepted: int) -> None:
        """Go further next time if all was right, else less far."""
        schedule = self.settings.num_assistant_tokens_schedule
        if schedule not in ("heuristic", "heuristic_transient"):
            return
        self.count = self.count + 2 if accepted == self.count else max(self.count - 1, 1)
        if schedule == "heuristic":
            self.settings.num_assistant_tokens = self.count
