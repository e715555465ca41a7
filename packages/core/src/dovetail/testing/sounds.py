"""Inputs of the models that hear."""

from __future__ import annotations

from typing import Any

import torch

from dovetail.testing import seeded
from dovetail.testing.subject import BATCH, LENGTH, Subject


class FrameInputs(Subject):
    """Seeded spectrograms of the size that the config says, in place of token ids."""

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        """``input_values`` (B, ``config.max_length``, ``config.num_mel_bins``)."""
        shape = (batch, config.max_length, config.num_mel_bins)
        return {"input_values": torch.from_numpy(seeded.noise("frames", shape))}

    def body_config(self, config: Any) -> Any:
        """The config of the part that hears."""
        return getattr(config, "audio_config", config)
