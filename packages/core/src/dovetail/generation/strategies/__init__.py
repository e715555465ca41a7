"""Strategies: the ways to choose the next tokens, each an object behind the same interface.

Which one runs follows from the settings (`GenerationConfig.get_generation_mode`) or from
``generate(custom_generate="name")``; strategies are found by name in the registry, so that a
plugin's stand beside the built-in ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor

from dovetail import registry
from dovetail.errors import GenerationError, UnknownNameError, near_matches
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.inputs import Prompt
from dovetail.outputs import ModelOutput

ASKED_BY: Mapping[str, tuple[str, ...]] = {
    "contrastive_search": ("penalty_alpha", "top_k"),
    "assisted_generation": ("assistant_model", "prompt_lookup_num_tokens"),
    "dola_generation": ("dola_layers",),
    "constrained_beam_search": ("constraints", "force_words_ids"),
    "group_beam_search": ("num_beam_groups",),
}


class Strategy(ABC):
    """One way to generate.

    `arguments` names further arguments of ``generate`` that the strategy takes; it finds them in
    ``decoding.arguments``. `streams` says whether a streamer makes sense, `needs_growing_cache`
    that a cache of another kind is out of the question, though the model has one by default. A
    strategy has no state of its own: one call, one object.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    streams: ClassVar[bool] = True
    needs_growing_cache: ClassVar[bool] = False

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """Raise `GenerationError`, before any forward pass, for what this strategy cannot do.

        `arguments` are those arguments of the call that belong to particular strategies.
        """
        stray = [
            name
            for name, value in arguments.items()
            if value is not None and name not in self.arguments
        ]
        if stray:
            raise GenerationError(
                f"{', '.join(stray)}: the strategy {type(self).__name__} has no use for it; "
                "leave it out"
            )
        if streamer is not None and not self.streams:
            raise GenerationError(
                f"a streamer follows one text as it grows, and {type(self).__name__} changes it: "
                "set num_beams=1, or pass no streamer"
            )

    def check_prompt(  # noqa: B027 - most take any
        self, model: Any, prompt: Prompt, arguments: Mapping[str, Any]
    ) -> None:
        """Raise `GenerationError` for a model or prompt that this strategy cannot work with."""

    def rows_per_prompt(self, config: GenerationConfig) -> int:
        """How many rows of the batch each prompt becomes."""
        return config.num_return_sequences

    @abstractmethod
    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Generate, and return ``decoding.result(sequences)``."""


def choose(
    config: GenerationConfig,
    arguments: Mapping[str, Any],
    name: str | Callable[..., Any] | None = None,
) -> Strategy:
    """The strategy called `name`, a function as one, or what settings and `arguments` ask for.

    Raises `GenerationError` when nobody provides it.
    """
    if callable(name):
        from dovetail.generation.strategies.custom import CustomLoop

        return CustomLoop(name)
    if not isinstance(name, str | None):
        raise GenerationError(
            f"custom_generate is a {type(name).__name__}: give the name of a strategy, a function, "
            "or a folder or repository of code"
        )
    wanted = name or config.get_generation_mode(arguments.get("assistant_model")).value
    try:
        return registry.strategies().load(wanted)()
    except UnknownNameError as error:
        raise GenerationError(_unavailable(wanted, config, arguments)) from error


def _unavailable(wanted: str, config: GenerationConfig, arguments: Mapping[str, Any]) -> str:
    names = registry.strategies().names()
    values = {
        key: arguments.get(key, getattr(config, key, None)) for key in ASKED_BY.get(wanted, ())
    }
    asked = ", ".join(
        f"{key}={_brief(value)}" for key, value in values.items() if value is not None
    )
    reason = f" (asked for by {asked})" if asked else ""
    return (
        f"the generation strategy {wanted!r}{reason} is not available. "
        f"Available: {', '.join(names)}.{near_matches(wanted, names)} "
        "Change the settings, or install a plugin that provides it"
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__
