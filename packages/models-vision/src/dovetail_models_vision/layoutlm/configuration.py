"""Configuration of LayoutLM."""

from __future__ import annotations

from typing import ClassVar

from dovetail.config_fields import Size
from dovetail_models_text.bert.configuration import BertConfig


class LayoutLMConfig(BertConfig):
    """BERT's sizes, and how many places there are along each axis of a page; the defaults are those
    of ``microsoft/layoutlm-base-uncased``."""

    model_type: ClassVar[str] = "layoutlm"
    argument_moves: ClassVar[dict[str, str | None]] = {"classifier_dropout": None}

    max_2d_position_embeddings: Size = 1024
