"""How long a text may, and must, become: the limits of one call, in tokens with the prompt's."""

from __future__ import annotations

from dovetail.errors import GenerationError
from dovetail.generation.configuration import DEFAULTS, GenerationConfig
from dovetail.logging import get_logger

logger = get_logger(__name__)


def settle_lengths(
    config: GenerationConfig, prompt_length: int, embedded_length: int, max_length_given: bool
) -> None:
    """Turn numbers of new tokens into total lengths, and refuse what leaves no room.

    `embedded_length` is the length of a prompt given as embeddings in place of ids: it counts
    against the limits but is not part of the result. `max_length_given` says that the caller set
    `max_length` in this very call.
    """
    if config.max_new_tokens is not None:
        if max_length_given and config.max_length is not None:
            logger.warning_once(
                f"Both max_new_tokens (={config.max_new_tokens}) and max_length "
                f"(={config.max_length}) are set: max_new_tokens counts."
            )
        config.max_length = config.max_new_tokens + prompt_length
    elif config.max_length is not None:
        if not max_length_given and config.max_length == DEFAULTS["max_length"]:
            logger.warning_once(
                f"Generation stops at the default max_length={config.max_length}, the prompt "
                "included: "
                "set max_new_tokens to say how much text you want."
            )
        _refuse_long_prompt(config.max_length, prompt_length + embedded_length)
        config.max_length -= embedded_length
    _settle_minimum(config, prompt_length, embedded_length)


def _refuse_long_prompt(max_length: int, length: int) -> None:
    if length >= max_length:
        raise GenerationError(
            f"the prompt has {length} tokens and max_length={max_length} counts them too, so "
            "there is no room for new ones: "
            "raise max_length, or better set max_new_tokens"
        )


def _settle_minimum(config: GenerationConfig, prompt_length: int, embedded_length: int) -> None:
    if config.min_new_tokens is not None:
        most = config.max_new_tokens
        if most is not None and config.min_new_tokens > most:
            raise GenerationError(
                f"min_new_tokens={config.min_new_tokens} exceeds max_new_tokens={most}: "
                "lower the one or raise the other"
            )
        config.min_length = config.min_new_tokens + prompt_length
    else:
        config.min_length = max((config.min_length or 0) - embedded_length, 0)
    if config.max_length is not None and config.min_length > config.max_length:
        name = "min_length" if config.min_new_tokens is None else "min_new_tokens"
        logger.warning_once(
            f"{name}={getattr(config, name)} cannot be reached: the text may have "
            f"{config.max_length} tokens, the prompt included."
        )
