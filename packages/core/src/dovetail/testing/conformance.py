"""The conformance kit: subclass one of these in a test file and pytest runs the whole battery::

    class TestTiny(CausalLMConformance):
        config_class = TinyConfig
        model_classes = (TinyModel, TinyForCausalLM, TinyForSequenceClassification)
        sizes = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2}

Sizes are those of a model that runs in milliseconds. A model whose classes take other arguments
than ids overrides `inputs` and `labels`; see `dovetail.testing.subject.Subject`.
"""

from __future__ import annotations

from dovetail.testing.caching import CacheTests, DecoderCacheTests
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests, TextTests
from dovetail.testing.generation import GenerationTests
from dovetail.testing.pixels import PixelInputs
from dovetail.testing.sounds import FrameInputs
from dovetail.testing.training import EmbeddingTests, TrainingTests


class EncoderConformance(ForwardTests, TextTests, CheckpointTests, TrainingTests, EmbeddingTests):
    """The battery for models that read a text at once."""


class VisionConformance(PixelInputs, ForwardTests, CheckpointTests, TrainingTests):
    """The battery for models that read images."""


class SpectrogramConformance(FrameInputs, ForwardTests, CheckpointTests, TrainingTests):
    """The battery for models that read spectrograms."""


class CausalLMConformance(EncoderConformance, CacheTests, GenerationTests):
    """The battery for decoders: that of encoders, caches and generation."""


class Seq2SeqConformance(EncoderConformance, DecoderCacheTests, GenerationTests):
    """The battery for encoder-decoders."""
