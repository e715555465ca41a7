"""Caches: what a model remembers of the text between two calls."""

from __future__ import annotations

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.dynamic import DynamicCache, DynamicLayer
from dovetail.caches.encoder_decoder import EncoderDecoderCache
from dovetail.caches.kinds import layer_windows, recurrent_layers
from dovetail.caches.states import MambaCache, StateLayer, state_layer
from dovetail.caches.static import StaticCache, StaticLayer
from dovetail.caches.windows import HybridCache, SlidingWindowCache, SlidingWindowLayer

__all__ = [
    "Cache",
    "CacheLayer",
    "DynamicCache",
    "DynamicLayer",
    "EncoderDecoderCache",
    "HybridCache",
    "KeyValue",
    "MambaCache",
    "SlidingWindowCache",
    "SlidingWindowLayer",
    "StateLayer",
    "StaticCache",
    "StaticLayer",
    "layer_windows",
    "recurrent_layers",
    "state_layer",
]
