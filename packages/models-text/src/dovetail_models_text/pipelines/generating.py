"""What the generating text pipelines share: calling ``generate`` and one stop token."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dovetail import logging
from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline

logger = logging.get_logger(__name__)


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def generated(pipe: Pipeline, batch: int, **kwargs: Any) -> Tensor:
    """What the model generates for `batch` prompts: ids (batch, sequences per prompt, T)."""
    kwargs.setdefault("tokenizer", pipe.tokenizer)  # stop strings, schemas and their like need it
    output = pipe.model.generate(**kwargs)
    sequences: Tensor = output if isinstance(output, Tensor) else output["sequences"]
    return sequences.unflatten(0, (batch, -1))


def stop_token(tokenizer: Any, sequence: str) -> int:
    """The id of the token at which generation is to stop: the first one of `sequence`."""
    ids = tokenizer.encode(sequence, add_special_tokens=False)
    if not ids:
        raise PipelineError(f"stop_sequence={sequence!r} has no token in this vocabulary.")
    if len(ids) > 1:
        logger.warning(
            "stop_sequence=%r has %d tokens: generation stops at the first of them, %r. "
            "stop_strings stops at the whole.",
            sequence,
            len(ids),
            tokenizer.convert_ids_to_tokens(ids[0]),
        )
    return ids[0]
