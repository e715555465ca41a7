"""Strategies: the ways to choose the next tokens, each an object behind the same interface.

Which one runs follows from the settings (`GenerationConfig.get_generation_mode`) or from
``generate(custom_generate="name")``; strategies are found by name in the registry, so that a
plugin's stand beside the built-in ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from dovetail import registry
from dovetail.errors import GenerationError, UnknownNameError, near_matches
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
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
    ``decoding.arguments``. `streams` says whether a streamer makes sense. A strategy has no state
    of its own: one call, one object.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    streams: ClassVar[bool] = True

    def check(self, config: GenerationConfig, arguments: Mapping[str, Any]) -> None:  # noqa: B027
        """Refuse settings that this strategy cannot follow with a `GenerationError`; called before
        any forward pass.
        """

    def rows_per_prompt(self, config: GenerationConfig) -> int:
        """How many rows of the batch each prompt becomes."""
        return config.num_return_sequences

    @abstractmethod
    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Generate, and return ``decoding.result(sequences)``."""


def choose(
    config: GenerationConfig, arguments: Mapping[str, Any], name: str | None = None
) -> Strategy:
    """The strategy called `name`, or the one that settings and arguments ask for.

    Raises `GenerationError` when nobody provides it, or when it does not take one of the
    `arguments` that are not None.
    """
    wanted = name or config.get_generation_mode(arguments.get("assistant_model")).value
    try:
        strategy: Strategy = registry.strategies().load(wanted)()
    except UnknownNameError as error:
        raise GenerationError(_unavailable(wanted, config, arguments)) from error
    stray = [
        key
        for key, value in arguments.items()
        if value is not None and key not in strategy.arguments
    ]
    if stray:
        raise GenerationError(
            f"{', '.join(stray)}: the strategy {wanted!r} has no use for it; leave it out"
        )
    strategy.check(config, arguments)
    return strategy


def _unavailable(wanted: str, config: GenerationConfig, arguments: Mapping[str, Any]) -> str:
    names = registry.strategies().names()
    values = {
        key: arguments.get(key, getattr(config, key, None)) for key in ASKED_BY.get(wanted, ())
    }
    asked = ", ".join(
        f"{key}={_brief(value)}" for key, value in values.items() if value is not None
    )
    return (
        f"the generation strategy {wanted!r}{f' (asked for by {asked})' if asked else ''} is not "
        "available. "
        f"Available: {', '.join(names)}.{near_matches(wanted, names)} Change the settings, or "
        "install a plugin that provides it"
    )


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else type(value).__name__
