"""Key-value caches: what a model remembers of the text between two calls."""

from __future__ import annotations

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.dynamic import DynamicCache, DynamicLayer
from dovetail.caches.encoder_decoder import EncoderDecoderCache
from dovetail.caches.static import StaticCache, StaticLayer
from dovetail.caches.windows import (
    HybridCache,
    SlidingWindowCache,
    SlidingWindowLayer,
    layer_windows,
)

__all__ = [
    "Cache",
    "CacheLayer",
    "DynamicCache",
    "DynamicLayer",
    "EncoderDecoderCache",
    "HybridCache",
    "KeyValue",
    "SlidingWindowCache",
    "SlidingWindowLayer",
    "StaticCache",
    "StaticLayer",
    "layer_windows",
]
