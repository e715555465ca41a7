"""Arguments of a combined processor's call, sorted by the part they go to."""

from __future__ import annotations

from functools import cache
from typing import Any, TypedDict, get_type_hints

from dovetail import logging

logger = logging.get_logger(__name__)


class TextKwargs(TypedDict, total=False):
    """What the tokenizer takes."""

    add_special_tokens: bool
    padding: bool | str
    truncation: bool | str
    max_length: int
    stride: int
    is_split_into_words: bool
    pad_to_multiple_of: int
    return_token_type_ids: bool
    return_attention_mask: bool
    return_overflowing_tokens: bool
    return_special_tokens_mask: bool
    return_offsets_mapping: bool
    return_length: bool
    verbose: bool
    padding_side: str
    text_pair: Any
    text_target: Any
    text_pair_target: Any


class ImagesKwargs(TypedDict, total=False):
    """What the image processor takes."""

    do_resize: bool
    size: dict[str, int]
    size_divisor: int
    crop_size: dict[str, int]
    resample: Any
    do_rescale: bool
    rescale_factor: float
    do_normalize: bool
    image_mean: float | list[float]
    image_std: float | list[float]
    do_pad: bool
    pad_size: dict[str, int]
    do_center_crop: bool
    data_format: str
    input_data_format: str


class VideosKwargs(TypedDict, total=False):
    """What the video processor takes."""

    do_resize: bool
    size: dict[str, int]
    size_divisor: int
    resample: Any
    do_rescale: bool
    rescale_factor: float
    do_normalize: bool
    image_mean: float | list[float]
    image_std: float | list[float]
    do_pad: bool
    do_center_crop: bool
    data_format: str
    input_data_format: str


class AudioKwargs(TypedDict, total=False):
    """What the feature extractor takes."""

    sampling_rate: int
    raw_speech: Any
    padding: bool | str
    max_length: int
    truncation: bool
    pad_to_multiple_of: int
    return_attention_mask: bool


class CommonKwargs(TypedDict, total=False):
    """What every part takes."""

    return_tensors: str


GROUPS: dict[str, type] = {
    "text_kwargs": TextKwargs,
    "images_kwargs": ImagesKwargs,
    "audio_kwargs": AudioKwargs,
    "videos_kwargs": VideosKwargs,
}


class ProcessingKwargs(TypedDict, total=False):
    """The arguments of a processor's call by part; a subclass sets ``_defaults`` and may narrow
    the groups."""

    common_kwargs: CommonKwargs
    text_kwargs: TextKwargs
    images_kwargs: ImagesKwargs
    videos_kwargs: VideosKwargs
    audio_kwargs: AudioKwargs


def merge_kwargs(
    declared: type, tokenizer_settings: dict[str, Any] | None, given: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each part's arguments: the processor's defaults, the tokenizer's own settings, then what the
    caller gave.

    An argument is given flat (``padding=True``, to every part that knows it) or within its group
    (``text_kwargs={"padding": True}``). One that no part knows is left out with a warning.
    """
    defaults: dict[str, dict[str, Any]] = getattr(declared, "_defaults", {})
    known = known_arguments(declared)
    common = {**defaults.get("common_kwargs", {}), **given.get("common_kwargs", {})}
    if "return_tensors" in given:
        common["return_tensors"] = given["return_tensors"]
    flat = {name: value for name, value in given.items() if name not in (*GROUPS, "common_kwargs")}
    merged: dict[str, dict[str, Any]] = {"common_kwargs": common}
    for group, names in known.items():
        own = {
            n: v
            for n, v in (tokenizer_settings or {}).items()
            if n in names and group == "text_kwargs"
        }
        own_flat = {name: value for name, value in flat.items() if name in names}
        merged[group] = {
            **defaults.get(group, {}),
            **own,
            **common,
            **own_flat,
            **given.get(group, {}),
        }
    unknown = set(flat) - set().union(*known.values()) - {"return_tensors"}
    for name in sorted(unknown):
        logger.warning_once(f"The processor knows no argument {name!r}: it is left out.")
    return merged


@cache
def known_arguments(declared: type) -> dict[str, frozenset[str]]:
    """The names of the arguments that a processor's declaration lists for each part."""
    narrowed = get_type_hints(declared)
    return {
        group: frozenset(get_type_hints(kind))
        | frozenset(get_type_hints(narrowed.get(group, kind)))
        for group, kind in GROUPS.items()
    }
