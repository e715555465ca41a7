"""Whether a model and its assistant can work together: found out before either runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.caches import recurrent_layers
from dovetail.errors import GenerationError
from dovetail.generation.inputs import forward_parameters, vocabulary_sizes


def refuse_without_way_back(model: Any) -> None:
    """Raise `GenerationError` for a model that cannot take tokens back: one without a cache, or
    with recurrent states, which sum up all that was read.
    """
    if "past_key_values" not in forward_parameters(model):
        raise GenerationError(
            f"{type(model).__name__} keeps no cache of keys and values, from which assisted "
            "generation could take wrong guesses back: leave out assistant_model and its like"
        )
    if recurrent_layers(model.config):
        raise GenerationError(
            f"{type(model).__name__} remembers the text in recurrent states, which cannot take "
            "back a wrong guess: leave out assistant_model and prompt_lookup_num_tokens"
        )


def check_assistant(model: Any, arguments: Mapping[str, Any]) -> None:
    """Raise `GenerationError` for an assistant that reads or writes something else."""
    assistant = arguments["assistant_model"]
    if not hasattr(assistant, "generate"):
        raise GenerationError(
            f"assistant_model is a {type(assistant).__name__}: give a model that can generate"
        )
    encodes = model.config.is_encoder_decoder
    if assistant.config.is_encoder_decoder != encodes:
        raise GenerationError(
            f"assistant_model is a {type(assistant).__name__} and the model a "
            f"{type(model).__name__}: both must have an encoder, or neither"
        )
    refuse_without_way_back(assistant)
    if arguments.get("assistant_tokenizer") is not None and arguments.get("tokenizer") is None:
        raise GenerationError(
            "assistant_tokenizer is given without the model's own: pass tokenizer=tokenizer too"
        )
    written, drafted = (vocabulary_sizes(one)[1] for one in (model, assistant))
    if has_other_vocabulary(arguments):
        if encodes:
            raise GenerationError(
                f"assistant_model has another vocabulary, and {type(model).__name__} an encoder, "
                "whose input the assistant cannot read: choose an assistant with the same one"
            )
    elif written != drafted:
        raise GenerationError(
            f"assistant_model writes {drafted} tokens and the model {written}: choose an assistant "
            "with the model's vocabulary, or pass both tokenizer and assistant_tokenizer"
        )


def has_other_vocabulary(arguments: Mapping[str, Any]) -> bool:
    """Whether the assistant's tokens mean something else, as the tokenizers given say."""
    tokenizer, other = (arguments.get(name) for name in ("tokenizer", "assistant_tokenizer"))
    if tokenizer is None or other is None:
        return False
    return tokenizer is not other and tokenizer.get_vocab() != other.get_vocab()
