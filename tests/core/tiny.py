"""A small model for the tests of loading and saving."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.configs import PretrainedConfig, Size
from dovetail.modeling import PreTrainedModel


class TinyConfig(PretrainedConfig):
    """Sizes of the tiny model."""

    model_type = "tiny-for-tests"
    vocab_size: Size = 20
    hidden_size: Size = 8
    num_hidden_layers: Size = 2
    tie_word_embeddings: bool = False


class TinyPreTrainedModel(PreTrainedModel):
    config_class = TinyConfig
    base_model_prefix = "model"
    _no_split_modules: ClassVar[list[str]] = ["TinyLayer"]


class TinyLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states + self.down(self.up(hidden_states).relu())


class TinyModel(TinyPreTrainedModel):
    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.layers = nn.ModuleList(TinyLayer(width) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("slopes", torch.arange(width) / width, persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.post_init()

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden_states = self.embed_tokens(input_ids) + self.slopes
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return self.norm(hidden_states)


class TinyForCausalLM(TinyPreTrainedModel):
    _tied_weights_keys: ClassVar[Any] = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.model = TinyModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.lm_head(self.model(input_ids))


class TinyForSequenceClassification(TinyPreTrainedModel):
    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.model = TinyModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.gate = nn.Parameter(torch.full((3,), 7.0))
        self.post_init()

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.score(self.model(input_ids)[:, -1])


def tiny(seed: int = 0, cls: type[TinyPreTrainedModel] = TinyForCausalLM, **settings: Any) -> Any:
    """A model whose every parameter is random."""
    torch.manual_seed(seed)
    model = cls(TinyConfig(**settings))
    for parameter in model.parameters():
        parameter.data.normal_()
    return model.eval()


def equal_states(first: nn.Module, second: nn.Module) -> bool:
    """Whether two models have the same names and values."""
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
