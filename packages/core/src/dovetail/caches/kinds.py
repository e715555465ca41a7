"""What a config says about how each of its layers remembers."""

from __future__ import annotations

from typing import Any


def layer_windows(config: Any) -> list[int | None]:
    """How many positions, itself included, a token sees in each layer; None is all before it, and 0
    none: the layer has a recurrent state.

    Architectures with windows or states declare them as ``config.layer_windows``.
    """
    text = config.get_text_config()
    windows = getattr(text, "layer_windows", None)
    layers = getattr(text, "num_decoder_layers", None) or text.num_hidden_layers
    return [None] * layers if windows is None else windows


def key_value_shape(config: Any) -> tuple[int, int]:
    """Number K and width E of the heads of keys and values."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return heads, width


def recurrent_layers(config: Any) -> set[int]:
    """The layers that remember by a state, so that a cache of the model cannot go back."""
    text = config.get_text_config()
    windows = getattr(text, "layer_windows", None) or ()
    return {index for index, window in enumerate(windows) if window == 0}
