"""The prompt of one call: found among the arguments, checked before the model runs, completed where
something is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError, near_matches
from dovetail.generation.configuration import DEFAULTS, GenerationConfig, end_tokens
from dovetail.logging import get_logger
from dovetail.outputs import ModelOutput

logger = get_logger(__name__)

Arguments = dict[str, Any]


@lru_cache(maxsize=512)
def parameters(function: Any) -> frozenset[str]:
    """Names of a function's parameters, ``*args`` and ``**kwargs`` left out."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters.values()
    return frozenset(entry.name for entry in found if entry.kind in named) - {"self", "recorder"}


@lru_cache(maxsize=512)
def _takes_anything(function: Any) -> bool:
    found = inspect.signature(function).parameters.values()
    return any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in found)


def forward_parameters(module: Any) -> frozenset[str]:
    """Names of the arguments of a module's forward pass, also of those that it just passes on.

    A head passes what it does not know to its body, or to `run` of an encoder-decoder.
    """
    kind: Any = type(module)
    body: Any = type(getattr(module, "base_model", module))
    return _forward_parameters(kind, body)


@lru_cache(maxsize=512)
def _forward_parameters(kind: Any, body: Any) -> frozenset[str]:
    names = parameters(kind.forward)
    if _takes_anything(kind.forward):
        names |= parameters(body.forward)
        names |= parameters(kind.run) if hasattr(kind, "run") else frozenset()
    return names


def check_model_kwargs(model: Any, model_kwargs: Arguments) -> None:
    """Raise `GenerationError` for arguments that neither the settings nor the model know; near
    matches are named.
    """
    known = set(forward_parameters(model)) | parameters(type(model).prepare_inputs_for_generation)
    if model.config.is_encoder_decoder:
        known |= forward_parameters(model.get_encoder())
        if hasattr(model, "get_decoder"):
            known |= {f"decoder_{name}" for name in forward_parameters(model.get_decoder())}
    known |= {model.main_input_name, "input_ids"}
    unknown = [
        name for name, value in model_kwargs.items() if name not in known and value is not None
    ]
    if unknown:
        hints = "".join(near_matches(name, known | DEFAULTS.keys()) for name in unknown)
        raise GenerationError(
            f"generate() got unknown arguments {', '.join(unknown)}: "
            f"neither a generation setting nor an argument of {type(model).__name__}.{hints}"
        )


def vocabulary_sizes(model: Any) -> tuple[int | None, int | None]:
    """How many tokens `model` can read and write; None where its embeddings do not say."""
    if not model.config.is_encoder_decoder:
        size = _embedded_tokens(model) or getattr(model.config, "vocab_size", None)
        return size, size
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    return _embedded_tokens(model.get_encoder()), _embedded_tokens(decoder)


def _embedded_tokens(module: Any) -> int | None:
    try:
        return module.get_input_embeddings().weight.shape[0]
    except (AttributeError, NotImplementedError):
        return None


def check_prompt(inputs: Any, name: str, vocabulary: int | None) -> Tensor:
    """Raise `GenerationError` unless `inputs` is a tensor that can be a prompt: not empty, token
    ids (B, T) within the vocabulary.
    """
    if not isinstance(inputs, Tensor):
        raise GenerationError(
            f"{name} is a {type(inputs).__name__}: "
            "give a tensor, with return_tensors='pt' from a tokenizer"
        )
    shape = tuple(inputs.shape)
    if not inputs.numel():
        raise GenerationError(
            f"{name} of shape {shape} is empty: "
            "give at least one token (the begin token, for instance)"
        )
    if name not in ("input_ids", "decoder_input_ids"):
        return inputs
    if inputs.dim() != 2:
        raise GenerationError(
            f"{name} has shape {shape}: it must be (batch, length), so add or drop a dimension"
        )
    if inputs.is_floating_point() or inputs.dtype == torch.bool:
        raise GenerationError(f"{name} holds {inputs.dtype} numbers: token ids are integers")
    inputs = inputs.long()
    lowest, highest = (int(bound) for bound in inputs.aminmax())
    if lowest < 0 or (vocabulary is not None and highest >= vocabulary):
        wrong = lowest if lowest < 0 else highest
        allowed = "must not be negative" if vocabulary is None else f"go from 0 to {vocabulary - 1}"
        raise GenerationError(
            f"{name} holds token id {wrong}: ids {allowed}. "
            "Is the tokenizer the model's own? If it grew, call resize_token_embeddings"
        )
    return inputs


def check_mask(mask: Any, inputs: Tensor, name: str) -> None:
    """Raise `GenerationError` unless `mask` (B, T) fits `inputs`, token ids (B, T) or embeddings
    (B, T, D).
    """
    if not isinstance(mask, Tensor):
        raise GenerationError(
            f"attention_mask is a {type(mask).__name__}: give a tensor of the shape of {name}"
        )
    if name not in ("input_ids", "inputs_embeds"):
        return
    if mask.shape != inputs.shape[:2]:
        raise GenerationError(
            f"attention_mask has shape {tuple(mask.shape)} and {name} {tuple(inputs.shape)}: "
            f"the mask must be {tuple(inputs.shape[:2])}, 1 for each token to read, 0 for padding"
        )
    if not bool((seen := mask.any(-1)).all()):
        raise GenerationError(
            f"attention_mask hides every token of row {int(seen.long().argmin())}: "
            "a text needs one to read at least (the begin token, for instance)"
        )


def infer_mask(input_ids: Tensor, config: GenerationConfig) -> Tensor | None:
    """The mask (B, T) that hides padding; None when there is none, or when padding cannot be told
    from ends.
    """
    pad = config.pad_token_id
    if pad is None or input_ids.dim() != 2 or input_ids.is_floating_point():
        return None
    mask = input_ids != pad
    if bool(mask.all()):
        return None
    if pad in end_tokens(config):
        logger.warning_once(
            "pad_token_id equals eos_token_id and the prompt holds it, so padding cannot be told "
            "from text: pass attention_mask."
        )
        return None
    return mask.long()


def warn_of_right_padding(input_ids: Tensor, config: GenerationConfig) -> None:
    """Log a warning when prompts of a decoder end in padding."""
    if config.pad_token_id is None or len(input_ids) == 1 or not input_ids.numel():
        return
    if bool((input_ids[:, -1] == config.pad_token_id).any()):
        logger.warning_once(
            "Prompts end in padding, so what is generated does not continue them: pad on the "
            "left (padding_side='left')."
        )


def padded_positions(mask: Tensor) -> Tensor:
    """Positions (B, T) that count visible tokens only; padding gets 1."""
    return (mask.long().cumsum(-1) - 1).masked_fill_(mask == 0, 1)


def expand(
    model_kwargs: Mapping[str, Any], times: int, skip: tuple[str, ...] = ("cache_position",)
) -> Arguments:
    """Repeat the rows of every tensor, also in encoder outputs and caches, `times` times."""
    return {
        name: value if name in skip else _expanded(value, times)
        for name, value in model_kwargs.items()
    }


def _expanded(value: Any, times: int) -> Any:
    if isinstance(value, Tensor):
        return value.repeat_interleave(times, dim=0) if value.dim() else value
    if isinstance(value, ModelOutput):  # records of its layers are for the caller, as they were
        tensors = {name: entry for name, entry in value.items() if isinstance(entry, Tensor)}
        return type(value)(**{**value, **expand(tensors, times)})
    if isinstance(value, tuple):
        return tuple(_expanded(entry, times) for entry in value)
    if hasattr(value, "batch_repeat_interleave") and value.get_seq_length():
        value.batch_repeat_interleave(times)
    return value


@dataclass(frozen=True)
class Prompt:
    """`source` is the main input, called `name`; `input_ids` (B, T) are the tokens that the text
    begins with.

    `reads_embeddings` says that a decoder reads `source`, embeddings (B, S, D), at first; T may
    then be 0.
    """

    source: Tensor
    name: str
    input_ids: Tensor
    reads_embeddings: bool

    @property
    def length(self) -> int:
        """Tokens before the first new one."""
        return self.input_ids.shape[1]

    @property
    def positions(self) -> int:
        """Positions that the decoder reads first."""
        return self.source.shape[1] if self.reads_embeddings else self.length

    @property
    def embedded(self) -> int:
        """Positions read first that are no tokens of the text."""
        return 0 if self.positions == self.length else self.positions


def following(positions: Tensor, count: int) -> Tensor:
    """The `count` positions after the last of `positions` (..., T)."""
    last = positions[..., -1:] + 1
    return last if count == 1 else last + torch.arange(count, device=positions.device)


def repeated(columns: Tensor, count: int) -> Tensor:
    """The last of `columns` (..., T), `count` times."""
    return columns[..., -1:].expand(*columns.shape[:-1], count)


def check_past(past: int, length: int) -> None:
    """Raise `GenerationError` unless a cache of `past` positions leaves something of the prompt to
    read.
    """
    if past >= length:
        raise GenerationError(
            f"the cache holds {past} positions and the prompt {length}: "
            "pass the whole text, the cached part included, with at least one token more"
        )
