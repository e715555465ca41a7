"""What settings alone do not tell: objects of a call that are of the wrong kind, and tokens that
the model does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from dovetail.errors import GenerationError
from dovetail.generation.checks import token_tuple
from dovetail.generation.configuration import GenerationConfig, end_tokens

SHOWN = 5  # ids that an error lists


def check_objects(
    logits_processor: Any,
    stopping_criteria: Any,
    prefix_function: Any,
    streamer: Any,
    synced_gpus: bool | None = None,
) -> None:
    """Raise `GenerationError` for arguments of ``generate`` that cannot be called as they will
    be.
    """
    lists = {"logits_processor": logits_processor, "stopping_criteria": stopping_criteria}
    for name, entries in lists.items():
        if entries is None:
            continue
        if not isinstance(entries, Iterable):
            raise GenerationError(f"{name} is a {type(entries).__name__}: give a list of objects")
        if strange := [entry for entry in entries if not callable(entry)]:
            raise GenerationError(
                f"{name} holds a {type(strange[0]).__name__}: its entries are called with the "
                "tokens so far and their scores"
            )
    if prefix_function is not None and not callable(prefix_function):
        raise GenerationError(
            f"prefix_allowed_tokens_fn is a {type(prefix_function).__name__}: give a function of "
            "the batch index and the tokens so far"
        )
    if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
        raise GenerationError(
            f"streamer is a {type(streamer).__name__}: it needs the methods put and end, as "
            "BaseStreamer has them"
        )
    if synced_gpus and not torch.distributed.is_initialized():
        raise GenerationError(
            "synced_gpus=True waits for other processes, and no process group was started: call "
            "torch.distributed.init_process_group, or leave it out"
        )


def check_tokens(config: GenerationConfig, vocabulary: int | None, own: GenerationConfig) -> None:
    """Raise `GenerationError` for settings that need a token which a vocabulary of so many does not
    have, or leave none of it.

    `own` are the model's settings: ends and padding that it declares itself may lie beyond, as
    they do in models whose vocabulary was cut.
    """
    if vocabulary is None:
        return
    for name, tokens in (*_needed(config), *_chosen(config, own)):
        if beyond := sorted({token for token in tokens if not 0 <= token < vocabulary}):
            shown = beyond[0] if len(beyond) == 1 else beyond[:SHOWN]
            raise GenerationError(
                f"{name}={shown} is outside the vocabulary: ids go from 0 to {vocabulary - 1}"
            )
    words = [word[0] for word in config.bad_words_ids or () if len(word) == 1]
    alone = set(words) - set(end_tokens(config))  # the end is never a bad word
    for name, banned in (
        ("suppress_tokens", set(token_tuple(config.suppress_tokens))),
        ("begin_suppress_tokens", set(token_tuple(config.begin_suppress_tokens))),
        ("bad_words_ids", alone),
    ):
        if banned >= set(range(vocabulary)):
            raise GenerationError(
                f"{name} holds all {vocabulary} tokens of the vocabulary, so none is left to "
                "write: take some out"
            )


def _needed(config: GenerationConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The settings that name tokens which must be there, and those tokens."""
    for name in ("forced_bos_token_id", "forced_eos_token_id", "decoder_start_token_id"):
        yield name, token_tuple(getattr(config, name))
    for name in ("bad_words_ids", "force_words_ids"):
        yield name, tuple(_integers(getattr(config, name)))
    bias = config.sequence_bias
    pairs = bias if isinstance(bias, dict) else [pair[0] for pair in bias or () if len(pair) == 2]
    yield "sequence_bias", tuple(_integers(list(pairs)))
    for constraint in config.constraints or ():
        for attribute in ("token_ids", "nested_token_ids"):
            yield "constraints", tuple(_integers(getattr(constraint, attribute, None)))


def _chosen(
    config: GenerationConfig, own: GenerationConfig
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Padding and ends that the caller chose; a negative number is the usual way to want none."""
    for name in ("pad_token_id", "eos_token_id"):
        if (chosen := getattr(config, name)) != getattr(own, name):
            yield name, tuple(token for token in token_tuple(chosen) if token >= 0)


def _integers(value: Any) -> Iterator[int]:
    """The token ids in lists of lists."""
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _integers(entry)
    elif isinstance(value, int):
        yield value
