"""A request: one prompt, its settings, and what has become of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError, near_matches
from dovetail.generation.call_checks import check_tokens
from dovetail.generation.checks import is_integer
from dovetail.generation.configuration import DEFAULTS, GenerationConfig
from dovetail.generation.criteria import make_criteria
from dovetail.generation.inputs import check_prompt, vocabulary_sizes
from dovetail.generation.lengths import settle_lengths
from dovetail.generation.processors.table import ProcessorRequest, make_processors
from dovetail.generation.rules import EXTRA_OUTPUTS, refuse_unavailable
from dovetail.generation.tokens import TokenBuffer

CALL_ARGUMENTS = ("logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "tokenizer")
"""What a request takes besides settings, as ``generate`` does."""
ALONE: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "constraints": (None,),
    "force_words_ids": (None,),
    "penalty_alpha": (None, 0, 0.0),
    "dola_layers": (None,),
    "prompt_lookup_num_tokens": (None,),
    "assistant_early_exit": (None,),
    "token_healing": (False, None),
    "guidance_scale": (None, 1, 1.0),
    **dict.fromkeys(EXTRA_OUTPUTS, (False, None)),
}
"""Settings that need whole passes of their own: the values that ask for nothing."""


LARGEST = 2**63 - 1  # what a tensor of ids can hold


class RequestStatus(Enum):
    """Where a request stands."""

    PENDING = 0
    PREFILLING = 1
    DECODING = 2
    FINISHED = 3
    FAILED = 4


@dataclass
class GenerationOutput:
    """What has been generated for a request: all of it, or with streaming the part so far.

    `logprobs` and `timestamps` belong to the `generated_tokens`, if asked for; `lifespan` is from
    admission to the end, in seconds of `time.perf_counter`. A failed request says why in `error`.
    """

    request_id: str
    prompt_ids: list[int] = field(default_factory=list)
    generated_tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    error: str | None = None
    status: RequestStatus = RequestStatus.PENDING
    created_time: float = field(default_factory=time.perf_counter)
    lifespan: tuple[float, float] = (-1, -1)
    timestamps: list[float] | None = None

    def is_finished(self) -> bool:
        """Whether the text is complete; a failed request is not."""
        return self.status is RequestStatus.FINISHED


class Request:
    """One text in the making: `tokens`, of which the first `cached` are in the cache.

    `limit` is how long it may become, None when unknown. Nothing tells a prompt that is read from
    a text that is continued: whatever is not cached is read next.
    """

    def __init__(self, request_id: str, prompt: list[int], streaming: bool, timed: bool) -> None:
        self.id, self.prompt, self.streaming = request_id, prompt, streaming
        self.tokens, self.cached = list(prompt), 0
        self.status, self.error = RequestStatus.PENDING, None
        self.logprobs: list[float] = []
        self.timestamps: list[float] | None = [] if timed else None
        self.created, self.admitted, self.ended = time.perf_counter(), -1.0, -1.0
        self.limit: int | None = None
        self.sampled = False
        self.generator: torch.Generator | None = None

    status: RequestStatus
    error: str | None

    def read(self, model: Any, config: GenerationConfig, max_length_given: bool) -> None:
        """Check the prompt and settle the lengths, in `config` too; raises `GenerationError` for a
        prompt that cannot be continued."""
        source = torch.tensor([self.prompt], dtype=torch.long, device=model.device)
        source = check_prompt(source, "input_ids", vocabulary_sizes(model)[1])
        settle_lengths(config, len(self.prompt), 0, max_length_given)
        self.limit, self.sampled = config.max_length, bool(config.do_sample)
        self._text = TokenBuffer(source)

    def follow(self, model: Any, config: GenerationConfig, call: Mapping[str, Any]) -> None:
        """Take on the settings `config` and the further arguments `call` (`CALL_ARGUMENTS`).

        Raises `GenerationError` for settings that cannot be.
        """
        check_tokens(config, vocabulary_sizes(model)[1], model.generation_config)
        tokenizer = call.get("tokenizer")
        request = ProcessorRequest(
            config,
            len(self.prompt),
            self.ids,
            prefix_allowed_tokens_fn=call.get("prefix_allowed_tokens_fn"),
            model=model,
            tokenizer=tokenizer,
        )
        self.processors = make_processors(request, call.get("logits_processor"))
        self.criteria = make_criteria(
            config, model.config, tokenizer, call.get("stopping_criteria")
        )

    @property
    def remaining(self) -> int:
        """Tokens that are not cached: one when the text is being continued."""
        return len(self.tokens) - self.cached

    @property
    def ids(self) -> Tensor:
        """The tokens so far (1, T)."""
        return self._text.ids

    def append(self, token: int, logprob: float | None = None) -> bool:
        """Add a generated token; returns whether the text is complete now."""
        self.tokens.append(token)
        self._text.append(torch.tensor([token], device=self.ids.device))
        if logprob is not None:
            self.logprobs.append(logprob)
        if self.timestamps is not None:
            self.timestamps.append(time.perf_counter())
        self.status = RequestStatus.DECODING
        return bool(self.criteria(self.ids, None))

    def output(self) -> GenerationOutput:
        """What there is of it now."""
        return GenerationOutput(
            self.id,
            list(self.prompt),
            self.tokens[len(self.prompt) :],
            list(self.logprobs),
            self.error,
            self.status,
            self.created,
            (self.admitted, self.ended),
            None if self.timestamps is None else list(self.timestamps),
        )


class RequestMaker:
    """Makes requests for `model` under common settings, each with its own on top.

    `longest` bounds texts whose positions, beyond it, would depend on one another's lengths.
    """

    def __init__(
        self, model: Any, config: GenerationConfig, seed: int | None, longest: int | None
    ) -> None:
        refuse_settings(config)
        self.model, self.config, self.seed, self.longest = model, config, seed, longest
        self._named, self._made = 0, 0

    def make(
        self,
        input_ids: Any,
        request_id: str | None = None,
        streaming: bool = False,
        record_timestamps: bool = False,
        taken: Container[str] = (),
        **settings: Any,
    ) -> list[Request]:
        """The request for a prompt and, for ``num_return_sequences``, its further ones; without a
        `request_id` it gets the next name that is not `taken`.

        A prompt that cannot be read makes a failed request. Raises `GenerationError` for settings
        that cannot be, or an `input_ids` that is no list of token ids.
        """
        prompt = token_list(input_ids)
        config, call = self._settings(settings)
        name = self._next_name(taken) if request_id is None else request_id
        children = [f"{name}__child#{n}" for n in range(config.num_return_sequences - 1)]
        return [
            self._request(Request(one, prompt, streaming, record_timestamps), config, call)
            for one in (name, *children)
        ]

    def _next_name(self, taken: Container[str]) -> str:
        while (name := f"req_{self._named}") in taken:
            self._named += 1
        self._named += 1
        return name

    def _request(
        self, request: Request, config: GenerationConfig, call: Mapping[str, Any]
    ) -> Request:
        if self.seed is not None:
            request.generator = torch.Generator(self.model.device)
            request.generator.manual_seed(self.seed + self._made)
        self._made += 1
        config = copy.copy(config)
        try:
            request.read(self.model, config, "max_length" in call)
            self._refuse_length(request)
        except GenerationError as error:
            request.error = str(error)
        else:
            request.follow(self.model, config, call)
        return request

    def _settings(self, settings: dict[str, Any]) -> tuple[GenerationConfig, dict[str, Any]]:
        call = {name: settings.pop(name) for name in CALL_ARGUMENTS if name in settings}
        if settings.get("max_length") is not None:
            call["max_length"] = settings["max_length"]
        given = {name: value for name, value in settings.items() if value is not None}
        config = copy.copy(self.config)
        if unknown := config.update(**given):
            hints = "".join(near_matches(name, DEFAULTS) for name in unknown)
            raise GenerationError(
                f"unknown settings of a request: {', '.join(unknown)}.{hints} "
                "Each must be one of GenerationConfig"
            )
        refuse_settings(config)
        return config, call

    def _refuse_length(self, request: Request) -> None:
        if self.longest is not None and (request.limit or self.longest + 1) > self.longest:
            raise GenerationError(
                f"the text may have {request.limit} tokens, and from {self.longest} on this "
                "model's rotary frequencies (rope_scaling) change with the length, which texts in "
                "one pass cannot share: lower max_new_tokens, or use generate()"
            )


def refuse_settings(config: GenerationConfig) -> None:
    """Raise `GenerationError` for settings that one token at a time for each text cannot follow."""
    refuse_unavailable(config)
    for name, idle in ALONE.items():
        if (value := getattr(config, name)) not in idle:
            raise GenerationError(
                f"{name}={value!r} cannot be used in continuous batching, which continues each "
                "text by one token at a time, greedily or by sampling: leave it out, or use "
                "generate()"
            )


def token_list(input_ids: Any) -> list[int]:
    """A prompt as a list of token ids."""
    ids = input_ids.tolist() if hasattr(input_ids, "tolist") else input_ids
    if not isinstance(ids, Sequence) or not all(map(is_integer, ids)):
        raise GenerationError(
            f"a prompt is {type(input_ids).__name__} {_brief(input_ids)}: "
            "give a list of token ids for each text"
        )
    if beyond := [token for token in ids if not -LARGEST <= token <= LARGEST]:
        raise GenerationError(f"a prompt holds {_brief(beyond[0])}, which is no token id")
    return [int(token) for token in ids]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
