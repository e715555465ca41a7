"""From settings to stopping criteria."""

from __future__ import annotations

from typing import Any

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig, end_tokens
from dovetail.generation.processors.table import refuse_doubles
from dovetail.generation.stopping import (
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)


def make_criteria(
    config: GenerationConfig,
    model_config: Any,
    tokenizer: Any = None,
    custom: StoppingCriteriaList | list[StoppingCriteria] | None = None,
) -> StoppingCriteriaList:
    """The criteria that settings ask for, and the caller's own after them.

    Raises `GenerationError` when stop strings come without a tokenizer, and when nothing would ever
    stop.
    """
    made = StoppingCriteriaList()
    if config.max_length is not None:
        made.append(
            MaxLengthCriteria(
                config.max_length, getattr(model_config, "max_position_embeddings", None)
            )
        )
    if config.max_time is not None:
        made.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise GenerationError(
                f"stop_strings={config.stop_strings!r} needs the model's tokenizer: pass "
                "generate(..., tokenizer=tokenizer)"
            )
        made.append(StopStringCriteria(tokenizer, config.stop_strings))
        if not hasattr(tokenizer, "decode"):
            raise GenerationError(
                f"tokenizer is a {type(tokenizer).__name__}, which decodes nothing: give the "
                "model's tokenizer"
            )
    if ends := end_tokens(config):
        made.append(EosTokenCriteria(list(ends)))
    refuse_doubles("stopping_criteria", made, custom or ())
    made.extend(custom or ())
    if not made:
        raise GenerationError(
            "nothing would stop the generation: set max_new_tokens, max_length, max_time or "
            "eos_token_id"
        )
    return made
