"""OWL-ViT's text encoder passes the battery for encoders."""

from __future__ import annotations

from tests.models_vision.towers import TEXT

from dovetail import OwlViTTextConfig, OwlViTTextModel
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests, TextTests
from dovetail.testing.training import EmbeddingTests


class TestOwlViTText(ForwardTests, TextTests, CheckpointTests, EmbeddingTests):
    config_class = OwlViTTextConfig
    model_classes = (OwlViTTextModel,)
    sizes = TEXT
