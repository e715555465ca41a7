"""OWL-ViT's image encoder passes the battery for models that read images."""

from __future__ import annotations

from tests.models_vision.towers import VISION

from dovetail import OwlViTVisionConfig, OwlViTVisionModel
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.pixels import PixelInputs


class TestOwlViTVision(PixelInputs, ForwardTests, CheckpointTests):
    config_class = OwlViTVisionConfig
    model_classes = (OwlViTVisionModel,)
    sizes = VISION
