"""Which cache a call of ``generate`` uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dovetail.caches import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    HybridCache,
    MambaCache,
    SlidingWindowCache,
    StaticCache,
)
from dovetail.errors import GenerationError, near_matches
from dovetail.generation.configuration import GenerationConfig


def _dynamic(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    return DynamicCache()


def _static(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """A block for `rows` texts of `length`; kept on the model, so that compiled code finds the same
    memory in the next call.
    """
    kept = getattr(model, "_static_cache", None)
    wanted = (rows, model.device, model.dtype)
    if kept is not None and kept[0] == wanted and kept[1].max_cache_len >= length:
        kept[1].reset()
        return kept[1]
    # Layers on several devices reserve their memory where they are, at their first update.
    spread = len(set(getattr(model, "hf_device_map", {}).values())) > 1
    size = None if spread else rows
    cache = StaticCache(model.config, size, length, device=model.device, dtype=model.dtype)
    model._static_cache = (wanted, cache)
    return cache


def _hybrid(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    return HybridCache(model.config, rows, length, device=model.device, dtype=model.dtype)


def _mamba(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    return MambaCache(model.config)


def _sliding_window(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    return SlidingWindowCache(model.config, rows, length, device=model.device, dtype=model.dtype)


BUILDERS: dict[str, Callable[[Any, GenerationConfig, int, int], Cache]] = {
    "dynamic": _dynamic,
    "hybrid": _hybrid,
    "mamba": _mamba,
    "sliding_window": _sliding_window,
    "static": _static,
}


def make_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """The cache that ``cache_implementation`` names, for `rows` texts of up to `length` tokens."""
    name = config.cache_implementation or "dynamic"
    if name not in BUILDERS:
        raise GenerationError(
            f"cache_implementation={name!r} is not available: choose one of "
            f"{', '.join(BUILDERS)}.{near_matches(name, BUILDERS)}"
        )
    cache = BUILDERS[name](model, config, rows, length)
    return EncoderDecoderCache(cache, DynamicCache()) if model.config.is_encoder_decoder else cache


def adopt_cache(
    given: Any, config: GenerationConfig, is_encoder_decoder: bool, last_length: int
) -> Cache:
    """The caller's own cache, old-style tuples wrapped; refused when it is too short for
    `last_length` positions.
    """
    if config.cache_implementation is not None:
        raise GenerationError(
            f"past_key_values and cache_implementation={config.cache_implementation!r} "
            "both name a cache: give one of them"
        )
    if isinstance(given, tuple):
        kind = EncoderDecoderCache if is_encoder_decoder else DynamicCache
        given = kind.from_legacy_cache(given)
    elif is_encoder_decoder and isinstance(given, DynamicCache):
        given = EncoderDecoderCache(given, DynamicCache())
    limit = given.get_max_cache_shape() if hasattr(given, "get_max_cache_shape") else None
    if limit is not None and limit < last_length:
        raise GenerationError(
            f"the cache has room for {limit} positions and the text may need {last_length}: "
            "make it longer, or lower max_new_tokens"
        )
    return given
