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
    return [None] * text.num_hidden_layers if windows is None else windows


def recurrent_layers(config: Any) -> set[int]:
    """The layers that remember by a state, so that a cache of the model cannot go back."""
    text = config.get_text_config()
    windows = getattr(text, "layer_windows", None) or ()
    return {index for index, window in enumerate(windows) if window == 0}
