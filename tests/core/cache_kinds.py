"""One cache of every kind for a small decoder, for tests which all of them must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tests.core.decoder import DecoderConfig, DecoderForCausalLM

from dovetail.caches import (
    Cache,
    DynamicCache,
    EncoderDecoderCache,
    HQQQuantizedCache,
    HybridCache,
    OffloadedCache,
    OffloadedStaticCache,
    QuantizedCacheConfig,
    QuantoQuantizedCache,
    SinkCache,
    SlidingWindowCache,
    StaticCache,
)

ROWS, LIMIT, WINDOW = 2, 24, 7
ELSEWHERE = torch.device("cpu:0")
"""Not equal to the device that tensors on a CPU name, so everything is copied to and fro."""


class WindowConfig(DecoderConfig):
    """The first layer, or every one, sees a window."""

    model_type = "windows-for-tests"
    everywhere: bool = False

    @property
    def layer_windows(self) -> list[int | None]:
        return [WINDOW, *[WINDOW if self.everywhere else None] * (self.num_hidden_layers - 1)]


def quantized(**settings: Any) -> QuantizedCacheConfig:
    """Settings that fit the decoder: two heads of four channels."""
    return QuantizedCacheConfig(**{"q_group_size": 8, "residual_length": 4} | settings)


PLAIN, HYBRID, WINDOWS = DecoderConfig(), WindowConfig(), WindowConfig(everywhere=True)
Make = Callable[[DecoderConfig], Cache]

EXACT: dict[str, tuple[DecoderConfig, Make]] = {
    "dynamic": (PLAIN, lambda config: DynamicCache()),
    "dynamic with windows": (HYBRID, lambda config: DynamicCache()),
    "static": (PLAIN, lambda config: StaticCache(config, ROWS, LIMIT)),
    "static of unknown batch": (HYBRID, lambda config: StaticCache(config, max_cache_len=LIMIT)),
    "sliding": (WINDOWS, lambda config: SlidingWindowCache(config, ROWS, LIMIT)),
    "hybrid": (HYBRID, lambda config: HybridCache(config, ROWS, LIMIT)),
    "offloaded": (PLAIN, lambda config: OffloadedCache()),
    "offloaded elsewhere": (PLAIN, lambda config: OffloadedCache(ELSEWHERE)),
    "offloaded static": (PLAIN, lambda config: OffloadedStaticCache(config, ROWS, LIMIT, "cpu")),
    "offloaded static elsewhere": (
        PLAIN,
        lambda config: OffloadedStaticCache(config, ROWS, LIMIT, "cpu", offload_device=ELSEWHERE),
    ),
    "quantized, all recent": (
        PLAIN,
        lambda config: QuantoQuantizedCache(quantized(residual_length=LIMIT)),
    ),
    "sinks, window not full": (PLAIN, lambda config: SinkCache(LIMIT + 1, 2)),
    "encoder-decoder": (PLAIN, lambda config: EncoderDecoderCache()),
    "encoder-decoder static": (
        PLAIN,
        lambda config: EncoderDecoderCache(StaticCache(config, ROWS, LIMIT), DynamicCache()),
    ),
}
"""What each kind is for, and how it is made: those that change nothing."""

CLOSE: dict[str, tuple[DecoderConfig, Make]] = {
    "quanto, 8 bits": (PLAIN, lambda config: QuantoQuantizedCache(quantized(nbits=8))),
    "quanto, 8 bits, by position": (
        PLAIN,
        lambda config: QuantoQuantizedCache(
            quantized(nbits=8, q_group_size=3, axis_key=-1, axis_value=-1)
        ),
    ),
    "HQQ, 8 bits": (
        PLAIN,
        lambda config: HQQQuantizedCache(
            quantized(nbits=8, backend="HQQ", axis_key=0, axis_value=1, q_group_size=2)
        ),
    ),
}
"""Those that change keys and values by less than a hundredth."""

EVERY = EXACT | CLOSE


def model_for(config: DecoderConfig) -> Any:
    """The small decoder with the windows of `config`."""
    torch.manual_seed(0)
    return DecoderForCausalLM(config).eval()


def states(length: int, first: int = 0, rows: int = ROWS) -> torch.Tensor:
    """Keys (B, 2, T, 4) of positions from `first` on."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 2, 64, 4, generator=generator)[:, :, first : first + length]


def fill(cache: Cache, length: int, first: int = 0, step: int = 3) -> Cache:
    """Add keys, and their negatives as values, to two layers, `step` positions at a time."""
    for start in range(first, first + length, step):
        new = states(min(step, first + length - start), start)
        for layer in range(2):
            cache.update(new, -new, layer)
    return cache
