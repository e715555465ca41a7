"""MPT: a decoder without biases, with ALiBi in place of positions (MosaicML, 2023).

B batch, T query length, D width, H heads, E head width, V vocabulary.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.context import Context
from dovetail.heads import (
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail_models_text.bloom.modeling import BloomModel
from dovetail_models_text.mpt.configuration import MptConfig


class MptAttention(nn.Module):
    """Attention under the biases of the context; the fused projection may be bounded."""

    def __init__(self, config: MptConfig, layer_idx: int) -> None:
        super().__init__()
        self.options, self.layer_idx = config.attn_config, layer_idx
        self.head_dim = config.d_model // config.n_heads
        self.Wqkv = Linear(config.d_model, 3 * config.d_model, bias=False)
        self.out_proj = Linear(config.d_model, config.d_model, bias=False)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused, bound = self.Wqkv(hidden_states), self.options.clip_qkv
        if bound:
            fused = fused.clamp(-bound, bound)
        query, key, value = split_heads(fused, self.head_dim).chunk(3, 1)  # (B, H, T, E)
        key, value = context.remember(key, value, self.layer_idx)
        output = context.attend(
            query,
            key,
            value,
            self.layer_idx,
            scale=self.options.softmax_scale,
            dropout=self.options.attn_pdrop * self.training,
            bias=context.bias,
        )
        return self.out_proj(output)


class MptMLP(nn.Module):
    """Two projections around GELU."""

    def __init__(self, config: MptConfig) -> None:
        super().__init__()
        self.up_proj = Linear(config.d_model, 4 * config.d_model, bias=False)
        self.down_proj = Linear(4 * config.d_model, config.d_model, bias=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.up_proj(hidden_states)))


class MptBlock(nn.Module):
    """Attention and MLP, each normalised before and added."""

    def __init__(self, config: MptConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(config.d_model, config.layer_norm_epsilon, bias=False)
        self.attn = MptAttention(config, layer_idx)
        self.norm_2 = nn.LayerNorm(config.d_model, config.layer_norm_epsilon, bias=False)
        self.ffn = MptMLP(config)
        self.dropout = nn.Dropout(config.attn_config.attn_pdrop)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        attended = self.attn(self.norm_1(hidden_states), context)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.ffn(self.norm_2(hidden_states)))


class MptPreTrainedModel(PreTrainedModel):
    config_class = MptConfig
    base_model_prefix = "transformer"
    input_embeddings = "wte"
    _no_split_modules: ClassVar[list[str]] = ["MptBlock"]


class MptModel(MptPreTrainedModel, BloomModel):
    """The decoder without a head."""

    stack: ClassVar[tuple[str, str]] = ("blocks", "norm_f")

    def __init__(self, config: MptConfig) -> None:
        PreTrainedModel.__init__(self, config)
        self.wte = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(MptBlock(config, index) for index in range(config.n_layers))
        self.norm_f = nn.LayerNorm(config.d_model, config.layer_norm_epsilon, bias=False)
        self.post_init()

    def place(self, tokens: Tensor, attention_mask: Tensor | None, context: Context) -> Tensor:
        """The tokens; biases, which count padding, go into `context`."""
        context.bias = self.biases(tokens, None, context)
        return tokens


class MptForCausalLM(ForCausalLM, MptPreTrainedModel):
    """The decoder with next-token logits."""


class MptForSequenceClassification(ForSequenceClassification, MptPreTrainedModel):
    """The decoder with a label for each text."""


class MptForTokenClassification(ForTokenClassification, MptPreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"


class MptForQuestionAnswering(ForQuestionAnswering, MptPreTrainedModel):
    """The decoder with a span for each answer."""
