"""What recurrent layers remember: states of a fixed size in place of keys and values.

A config says which layers those are, and how large their states: ``layer_windows`` is 0 for them,
``state_shapes`` maps the name of each state to its shape without the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.caches.base import Cache, CacheLayer, KeyValue
from dovetail.caches.dynamic import DynamicLayer
from dovetail.caches.kinds import layer_windows


class StateLayer(CacheLayer):
    """Named tensors (B, ...) that stand for all positions read, however many.

    The model's layer asks for each state by `get` and hands in the new ones by `put`.
    """

    def __init__(self, states: Mapping[str, Tensor] | None = None) -> None:
        self.states: dict[str, Tensor] = dict(states or {})
        self.seen = 0
        self._reserved = bool(self.states)

    def get(self, name: str) -> Tensor | None:
        """The state `name`, None before the first `put`."""
        return self.states.get(name)

    def put(self, positions: int, **states: Tensor) -> None:
        """Replace `states` by what they are `positions` later; each keeps the type it has."""
        for name, state in states.items():
            old = self.states.get(name)
            self.states[name] = state if old is None else state.to(old.dtype)
        self.seen += positions

    def length(self) -> int:
        return self.seen

    def update(self, key: Tensor, value: Tensor, cache_position: Tensor | None = None) -> KeyValue:
        raise ValueError(
            f"This layer of the cache holds states ({', '.join(self.states) or 'none yet'}), and "
            "an attention layer wants to add keys to it: give the model a cache of its own, made "
            "with past_key_values=None."
        )

    def crop(self, length: int) -> None:
        kept = length if length >= 0 else max(self.seen + length, 0)
        if kept == 0:
            self.reset()
        elif kept < self.seen:
            raise ValueError(
                f"A recurrent state of {self.seen} positions cannot go back to {kept}: it is a "
                "summary of all. Keep a copy of the cache (copy.deepcopy) from where to start "
                "again, or read the text anew."
            )

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace every state by ``change`` of it."""
        self.states = {name: change(state) for name, state in self.states.items()}

    def reset(self) -> None:
        self.seen = 0
        if self._reserved:
            self.map(torch.zeros_like)
        else:
            self.states = {}

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.states.values())


def state_layer(cache: Cache, layer_idx: int) -> StateLayer:
    """The states of layer `layer_idx` of `cache`; a layer for keys that is still empty gives way.

    Raises `ValueError` when the cache holds keys there.
    """
    layer = cache.layer(layer_idx)
    if isinstance(layer, StateLayer):
        return layer
    if layer.length():
        raise ValueError(
            f"Layer {layer_idx} of the {type(cache).__name__} holds the keys of {layer.length()} "
            "positions, and the model's layer has a recurrent state: the cache is of another "
            "model. Give one that is empty, or none."
        )
    cache.layers[layer_idx] = StateLayer()
    return cache.layers[layer_idx]  # type: ignore[return-value]


def check_states(cache: Cache, config: Any, rows: int) -> None:
    """Raise `ValueError` when the first states of `cache` are not those of `rows` texts, or have
    other shapes than `config` declares."""
    layer = next((layer for layer in cache.layers if isinstance(layer, StateLayer)), None)
    if layer is None:
        return
    kind, shapes = type(cache).__name__, getattr(config.get_text_config(), "state_shapes", {})
    for name, state in layer.states.items():
        if len(state) != rows:
            raise ValueError(
                f"The {kind} holds the states of {len(state)} texts, and the input has {rows} "
                "rows: give the same texts' next tokens, or another cache."
            )
        if name in shapes and state.shape[1:] != shapes[name]:
            raise ValueError(
                f"The {kind} holds states {name!r} of shape {tuple(state.shape[1:])}, and those of "
                f"{type(config).__name__} are {shapes[name]}: it is the cache of another model."
            )


class MambaCache(Cache):
    """States of all recurrent layers; other layers, if there are any, grow with the text.

    `conv_states` and `ssm_states` list one tensor for each recurrent layer: the last inputs of its
    convolution (B, C, kernel), and the state of its recurrence (B, C, N) or (B, H, E, N). With
    `batch_size` they are reserved at once and have this `dtype`, else they come with the text.
    """

    def __init__(
        self,
        config: Any,
        batch_size: int | None = None,
        dtype: torch.dtype = torch.float16,
        device: torch.device | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        self.dtype, self.batch_size = dtype, batch_size or max_batch_size
        shapes = _state_shapes(config)
        self._kernel = shapes["conv"][-1]
        super().__init__()
        for window in layer_windows(config):
            states = {
                name: torch.zeros(self.batch_size, *shape, dtype=dtype, device=device)
                for name, shape in shapes.items()
                if self.batch_size is not None
            }
            self.layers.append(StateLayer(states) if window == 0 else DynamicLayer())

    @property
    def conv_states(self) -> list[Tensor]:
        """The last inputs of each convolution."""
        return self._named("conv")

    @property
    def ssm_states(self) -> list[Tensor]:
        """The state of each recurrence."""
        return self._named("ssm")

    def _named(self, name: str) -> list[Tensor]:
        layers = (layer for layer in self.layers if isinstance(layer, StateLayer))
        return [state for layer in layers if (state := layer.get(name)) is not None]

    def update_conv_state(
        self, layer_idx: int, new_conv_state: Tensor, cache_position: Tensor
    ) -> Tensor:
        """Shift the columns (B, C, T) or (B, C) into the window of layer `layer_idx`; returns the
        window.

        `cache_position` (T,) are the positions of the columns.
        """
        layer = state_layer(self, layer_idx)
        columns = new_conv_state if new_conv_state.dim() == 3 else new_conv_state[..., None]
        window = layer.get("conv")
        if window is None:
            columns = F.pad(columns, (self._kernel, 0))
        else:
            columns = torch.cat((window, columns.to(window)), -1)
        layer.put(0, conv=columns[..., -self._kernel :])
        layer.seen = int(cache_position[-1]) + 1
        return layer.states["conv"]

    def update_ssm_state(self, layer_idx: int, new_ssm_state: Tensor) -> Tensor:
        """Replace the state of the recurrence of layer `layer_idx`; returns it."""
        layer = state_layer(self, layer_idx)
        old = layer.get("ssm")
        layer.put(0, ssm=new_ssm_state if old is None else new_ssm_state.to(old))
        return layer.states["ssm"]


def _state_shapes(config: Any) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a layer's states, as the config declares them."""
    text = config.get_text_config()
    shapes = getattr(text, "state_shapes", {})
    if not {"conv", "ssm"} <= set(shapes):
        raise ValueError(
            f"MambaCache: {type(text).__name__} declares no states 'conv' and 'ssm' "
            "(state_shapes), so the model is no Mamba: use a DynamicCache."
        )
    return shapes
