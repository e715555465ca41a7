"""CLIP's text encoder passes the battery for encoders."""

from __future__ import annotations

from tests.models_vision.towers import TEXT

from dovetail import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests, TextTests
from dovetail.testing.training import EmbeddingTests


class TestCLIPText(ForwardTests, TextTests, CheckpointTests, EmbeddingTests):
    config_class = CLIPTextConfig
    model_classes = (CLIPTextModel, CLIPTextModelWithProjection)
    sizes = TEXT | {"projection_dim": 24}
