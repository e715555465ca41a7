"""Configuration of a picture's encoder with a text's decoder."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_pair import PairConfig


class VisionEncoderDecoderConfig(PairConfig):
    """`encoder`, the config of a model that reads pictures, and `decoder`, that of one which
    continues text."""

    model_type: ClassVar[str] = "vision-encoder-decoder"
