"""Mamba 2 passes the battery for decoders, and reads in pieces what is one recurrence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail import Mamba2Config, Mamba2ForCausalLM, Mamba2Model
from dovetail.errors import ConfigError
from dovetail.testing.conformance import CausalLMConformance
from dovetail_models_text.mamba2.modeling import structured_scan

SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 8,
    "head_dim": 8,
    "n_groups": 2,
    "state_size": 4,
    "chunk_size": 3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class TestMamba2(CausalLMConformance):
    config_class = Mamba2Config
    model_classes = (Mamba2Model, Mamba2ForCausalLM)
    sizes = SIZES


class TestMamba2WithBiases(CausalLMConformance):
    config_class = Mamba2Config
    model_classes = (Mamba2ForCausalLM,)
    sizes = SIZES | {"use_bias": True, "time_step_limit": (0.3, 0.7), "tie_word_embeddings": True}


def step_by_step(
    x: Tensor, fading: Tensor, write: Tensor, read: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """The recurrence as it is defined."""
    shared = x.shape[2] // write.shape[2]
    write, read = (tensor.repeat_interleave(shared, 2) for tensor in (write, read))
    outputs = []
    for t in range(x.shape[1]):
        state = (
            fading[:, t].exp()[..., None, None] * state + x[:, t, ..., None] * write[:, t, :, None]
        )
        outputs.append((state * read[:, t, :, None]).sum(-1))
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("length", [1, 4, 7, 12])
@pytest.mark.parametrize(("groups", "size"), [(1, 4), (2, 4), (4, 32), (2, 1)])
def test_pieces_are_one_recurrence_and_so_are_their_gradients(length: int, groups: int, size: int):
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (2, length, 4, 3),
        (2, length, 4),
        (2, length, groups, 5),
        (2, length, groups, 5),
        (2, 4, 3, 5),
    )
    inputs = [torch.randn(*shape, generator=generator) for shape in shapes]
    inputs[1] = -F.softplus(inputs[1]) * 20
    one, other = ([tensor.clone().requires_grad_() for tensor in inputs] for _ in range(2))
    output, last = structured_scan(*one, size)
    expected, state = step_by_step(*other)
    assert torch.allclose(output, expected, atol=1e-5)
    assert torch.allclose(last, state, atol=1e-5)
    (output.square().sum() + last.sum()).backward()
    (expected.square().sum() + state.sum()).backward()
    for mine, theirs in zip(one, other, strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-3, atol=1e-3)


def test_training_begins_where_the_paper_does():
    torch.manual_seed(0)
    mixer = Mamba2Model(Mamba2Config(**SIZES)).layers[1].mixer
    assert torch.allclose(mixer.A_log.exp(), torch.arange(1.0, 9))
    steps = F.softplus(mixer.dt_bias)
    assert steps.min() >= 0.001
    assert steps.max() <= 0.1


def test_heads_that_fit_neither_width_nor_groups_are_refused():
    with pytest.raises(ConfigError, match="num_heads=6 times head_dim=8"):
        Mamba2Config(**SIZES | {"num_heads": 6})
    with pytest.raises(ConfigError, match="n_groups=3 does not divide"):
        Mamba2Config(**SIZES | {"n_groups": 3})
