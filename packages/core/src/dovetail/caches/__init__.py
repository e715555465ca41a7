"""Caches: what a model remembers of the text between two calls."""

from __future__ import annotations

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.configs import CacheConfig, QuantizedCacheConfig, StaticCacheConfig
from dovetail.caches.dynamic import DynamicCache, DynamicLayer
from dovetail.caches.encoder_decoder import EncoderDecoderCache
from dovetail.caches.kinds import key_value_shape, layer_windows, recurrent_layers
from dovetail.caches.offloaded import OffloadedCache, OffloadedLayer, OffloadedStaticCache
from dovetail.caches.paged import PagedCache
from dovetail.caches.quantized import (
    HQQQuantizedCache,
    QuantizedCache,
    QuantizedLayer,
    QuantoQuantizedCache,
)
from dovetail.caches.sinks import SinkCache, SinkLayer
from dovetail.caches.states import MambaCache, StateLayer, state_layer
from dovetail.caches.static import StaticCache, StaticLayer
from dovetail.caches.windows import HybridCache, SlidingWindowCache, SlidingWindowLayer

__all__ = [
    "Cache",
    "CacheConfig",
    "CacheLayer",
    "DynamicCache",
    "DynamicLayer",
    "EncoderDecoderCache",
    "HQQQuantizedCache",
    "HybridCache",
    "KeyValue",
    "MambaCache",
    "OffloadedCache",
    "OffloadedLayer",
    "OffloadedStaticCache",
    "PagedCache",
    "QuantizedCache",
    "QuantizedCacheConfig",
    "QuantizedLayer",
    "QuantoQuantizedCache",
    "SinkCache",
    "SinkLayer",
    "SlidingWindowCache",
    "SlidingWindowLayer",
    "StateLayer",
    "StaticCache",
    "StaticCacheConfig",
    "StaticLayer",
    "key_value_shape",
    "layer_windows",
    "recurrent_layers",
    "state_layer",
]
