"""Which cache a call of ``generate`` uses: one it makes, by name, or the caller's own, checked."""

from __future__ import annotations

from typing import Any

from dovetail import registry
from dovetail.caches import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    HQQQuantizedCache,
    HybridCache,
    MambaCache,
    OffloadedCache,
    OffloadedStaticCache,
    QuantizedCache,
    QuantizedCacheConfig,
    QuantoQuantizedCache,
    SlidingWindowCache,
    StateLayer,
    StaticCache,
    StaticCacheConfig,
    key_value_shape,
    layer_windows,
)
from dovetail.caches.quantized import check_width
from dovetail.errors import GenerationError, UnknownNameError
from dovetail.generation.configuration import GenerationConfig


def dynamic_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """A cache that grows."""
    return DynamicCache()


def offloaded_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """A cache that grows in the memory of the CPU."""
    return OffloadedCache()


def mamba_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """States of recurrent layers."""
    return MambaCache(model.config)


def static_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """A block for `rows` texts of `length`, or of the size that ``cache_config`` says."""
    return _kept(StaticCache, model, rows, _reserved(config, rows, length))


def hybrid_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """Windows where layers have them, and blocks of `length`."""
    return _kept(HybridCache, model, rows, length)


def sliding_window_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """Windows alone."""
    return _kept(SlidingWindowCache, model, rows, length)


def offloaded_static_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """A block in the memory of the CPU."""
    return OffloadedStaticCache(model.config, rows, length, model.device, model.dtype)


def quantized_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """What the ``backend`` of ``cache_config`` makes."""
    name = f"quantized/{_quantization(config).backend}"
    try:
        build = registry.caches().load(name)
    except UnknownNameError as error:
        raise GenerationError(f"cache_config: backend: {error}") from error
    return build(model, config, rows, length)


def quanto_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """Quantized in plain torch, with the axes of quanto."""
    return _quantized(QuantoQuantizedCache, model, config)


def hqq_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """Quantized in plain torch, with the axes of HQQ."""
    return _quantized(HQQQuantizedCache, model, config)


def _quantized(kind: type[QuantizedCache], model: Any, config: GenerationConfig) -> Cache:
    settings = _quantization(config)
    if set(layer_windows(model.config)) == {0}:
        raise GenerationError(
            f"cache_implementation='quantized': {type(model).__name__} has recurrent states and no "
            "keys that grow with the text: leave cache_implementation out"
        )
    check_width(settings, *key_value_shape(model.config))
    return kind(settings)


def _quantization(config: GenerationConfig) -> QuantizedCacheConfig:
    settings = config.cache_config
    return settings if isinstance(settings, QuantizedCacheConfig) else QuantizedCacheConfig()


def _kept(kind: type[StaticCache], model: Any, rows: int, length: int) -> Cache:
    """A cache of fixed size, kept on the model, so that compiled code finds the same memory in the
    next call.
    """
    kept = getattr(model, "_static_cache", None)
    wanted = (kind, rows, model.device, model.dtype)
    if kept is not None and kept[0] == wanted and kept[1].max_cache_len >= length:
        kept[1].reset()
        return kept[1]
    # Layers on several devices reserve their memory where they are, at their first update.
    spread = len(set(getattr(model, "hf_device_map", {}).values())) > 1
    size = None if spread else rows
    cache = kind(model.config, size, length, device=model.device, dtype=model.dtype)
    model._static_cache = (wanted, cache)
    return cache


def _reserved(config: GenerationConfig, rows: int, length: int) -> int:
    """The length to reserve: that of the settings, if they say one, which must do."""
    settings = config.cache_config
    if not isinstance(settings, StaticCacheConfig):
        return length
    if settings.batch_size != rows:
        raise GenerationError(
            f"cache_config: batch_size={settings.batch_size} and there are {rows} texts: they must "
            "be equal"
        )
    if settings.max_cache_len < length:
        raise GenerationError(
            f"cache_config: max_cache_len={settings.max_cache_len} and the text may need {length}: "
            "raise it, or lower max_new_tokens"
        )
    return settings.max_cache_len


def make_cache(model: Any, config: GenerationConfig, rows: int, length: int) -> Cache:
    """The cache that ``cache_implementation`` names, for `rows` texts of up to `length` tokens."""
    name = config.cache_implementation or "dynamic"
    try:
        build = registry.caches().load(name)
    except UnknownNameError as error:
        raise GenerationError(f"cache_implementation={name!r} is not available: {error}") from error
    cache = build(model, config, rows, length)
    return EncoderDecoderCache(cache, DynamicCache()) if model.config.is_encoder_decoder else cache


def adopt_cache(
    given: Any, model: Any, config: GenerationConfig, prompts: int, rows: int, length: int
) -> Any:
    """The caller's own cache, old-style tuples wrapped.

    Refused when it is too short for `length` positions, or does not fit the `model` or the
    `prompts`, each of which becomes `rows` rows.
    """
    if config.cache_implementation is not None:
        raise GenerationError(
            f"past_key_values and cache_implementation={config.cache_implementation!r} "
            "both name a cache: give one of them"
        )
    joint = model.config.is_encoder_decoder
    if isinstance(given, tuple):
        given = (EncoderDecoderCache if joint else DynamicCache).from_legacy_cache(given)
    elif joint and isinstance(given, DynamicCache):
        given = EncoderDecoderCache(given, DynamicCache())
    if not hasattr(given, "get_seq_length"):
        raise GenerationError(
            f"past_key_values is a {type(given).__name__}: give a cache of dovetail.caches, or none"
        )
    if not isinstance(given, Cache):
        return given
    own = given.self_attention_cache if isinstance(given, EncoderDecoderCache) else given
    own.check_room(length)
    _check_fit(own, model, prompts if own.seen_tokens else prompts * rows)
    return given


def _check_fit(cache: Cache, model: Any, rows: int) -> None:
    """Raise `GenerationError` for a cache of another model, or for other than `rows` texts."""
    name, windows = type(model).__name__, layer_windows(model.config)
    if len(cache.layers) not in (0, len(windows)):
        raise GenerationError(
            f"past_key_values has {len(cache.layers)} layers and {name} {len(windows)}: it is the "
            "cache of another model"
        )
    for index, layer in enumerate(cache.layers):
        if layer.length() and isinstance(layer, StateLayer) != (windows[index] == 0):
            held = "a state" if isinstance(layer, StateLayer) else "keys"
            raise GenerationError(
                f"past_key_values: layer {index} holds {held}, and that of {name} does not: it is "
                "the cache of another model"
            )
        if (shape := layer.shape()) is None:
            continue
        heads, width = key_value_shape(model.config)
        if shape[1:] != (heads, width):
            raise GenerationError(
                f"past_key_values: layer {index} has keys of {shape[1]} heads of width {shape[2]}, "
                f"and {name} {heads} of {width}: it is the cache of another model"
            )
        if shape[0] != rows:
            raise GenerationError(
                f"past_key_values: layer {index} holds {shape[0]} rows and there are {rows}: give "
                "one prompt for each row, or repeat them (batch_repeat_interleave)"
            )
