"""SigLIP's text encoder passes the battery for encoders."""

from __future__ import annotations

from tests.models_vision.towers import TEXT

from dovetail import SiglipTextConfig, SiglipTextModel
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.training import EmbeddingTests


class TestSiglipText(ForwardTests, CheckpointTests, EmbeddingTests):
    config_class = SiglipTextConfig
    model_classes = (SiglipTextModel,)
    sizes = TEXT
