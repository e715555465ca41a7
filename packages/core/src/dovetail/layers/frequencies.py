"""The scalings of rotary embeddings as functions of a config, by the public name of the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from dovetail.layers.rotary import SCALINGS, Frequencies


def frequencies_of(
    kind: str,
    config: Any = None,
    device: Any = None,
    seq_len: int | None = None,
    **rope_kwargs: Any,
) -> Frequencies:
    """Inverse frequencies (E/2,) and cosine factor of the scaling `kind` for texts of `seq_len`.

    Without a `config`, `rope_kwargs` are ``dim``, ``base``, ``max_position_embeddings`` and the
    settings of the scaling.
    """
    if config is None:
        width, theta = rope_kwargs["dim"], rope_kwargs.get("base", 10000.0)
        limit, scaling = rope_kwargs.get("max_position_embeddings", 2048), rope_kwargs
    else:
        head = getattr(config, "head_dim", None)
        head = head or config.hidden_size // config.num_attention_heads
        width = int(head * getattr(config, "partial_rotary_factor", 1.0))
        theta, limit = config.rope_theta, config.max_position_embeddings
        scaling = dict(getattr(config, "rope_scaling", None) or {})
        original = getattr(config, "original_max_position_embeddings", None)
        if original is not None:
            scaling["original_max_position_embeddings"] = original
    return SCALINGS[kind](width, theta, scaling, limit, seq_len or 0, device)


ROPE_INIT_FUNCTIONS: Mapping[str, Callable[..., Frequencies]] = MappingProxyType(
    {kind: partial(frequencies_of, kind) for kind in SCALINGS}
)
"""Each scaling as a function of a config, a device and the length of the text."""
