"""Configuration of an encoder of text with a decoder of text."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_pair import PairConfig


class EncoderDecoderConfig(PairConfig):
    """`encoder` and `decoder`, configs of models of text. With `tie_encoder_decoder` weights of the
    same name are one."""

    model_type: ClassVar[str] = "encoder-decoder"
