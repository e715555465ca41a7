"""Quantizing a tiny model while it loads, saving it and loading it again."""

from __future__ import annotations

import pytest
import torch
from acme_example.config import AcmeExampleConfig
from acme_example.quantizer import PackedLinear
from torch import nn

from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError
from dovetail.modeling import PreTrainedModel


class TinyConfig(PretrainedConfig):
    """Config of a model for this test."""

    model_type = "acme_example_test"


class TinyModel(PreTrainedModel):
    """Two layers, one of which is to be packed."""

    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.inner = nn.Linear(32, 64)
        self.lm_head = nn.Linear(64, 8, bias=False)
        self.post_init()

    def forward(self, x):
        """Logits (B, 8) of x (B, 32)."""
        return self.lm_head(torch.relu(self.inner(x)))


@pytest.fixture
def folder(tmp_path):
    """A saved model in full precision."""
    torch.manual_seed(0)
    TinyModel(TinyConfig(initializer_range=0.2)).save_pretrained(tmp_path / "full")
    return tmp_path / "full"


def test_weights_are_packed_while_loading(folder):
    """The packed layer holds int8 and answers almost the same."""
    full = TinyModel.from_pretrained(folder)
    small = TinyModel.from_pretrained(folder, quantization_config=AcmeExampleConfig())
    assert isinstance(small.inner, PackedLinear)
    assert small.inner.weight.dtype == torch.int8
    assert isinstance(small.lm_head, nn.Linear)
    assert small.get_memory_footprint() < full.get_memory_footprint() / 2
    x = torch.randn(4, 32)
    torch.testing.assert_close(small(x), full(x), atol=0.05, rtol=0)


def test_a_packed_model_is_saved_and_loaded_as_it_is(folder, tmp_path):
    """The saved config names the method, so loading needs no argument."""
    small = TinyModel.from_pretrained(folder, quantization_config=AcmeExampleConfig())
    small.save_pretrained(tmp_path / "small")
    again = TinyModel.from_pretrained(tmp_path / "small")
    x = torch.randn(4, 32)
    assert isinstance(again.inner, PackedLinear)
    assert torch.equal(again(x), small(x))


def test_modules_can_be_left_alone(folder):
    """Settings of the config are obeyed, and checked."""
    config = AcmeExampleConfig(modules_to_not_convert=["inner"])
    model = TinyModel.from_pretrained(folder, quantization_config=config)
    assert isinstance(model.inner, nn.Linear)
    with pytest.raises(ConfigError, match="must be a list"):
        AcmeExampleConfig(modules_to_not_convert="inner")
