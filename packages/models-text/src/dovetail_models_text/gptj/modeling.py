"""GPT-J: a decoder with interleaved rotation (Wang and Komatsuzaki, 2021).

Attention and MLP read the same norm and are added side by side. B batch, T query length, D width, H
heads, E head width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForQuestionAnswering, ForSequenceClassification
from dovetail.layers.activations import activation
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear, together
from dovetail.layers.rotary import RotaryEmbedding, apply_rotary, swap_neighbours
from dovetail.modeling import PreTrainedModel
from dovetail_models_text.gpt2.modeling import GPT2Model
from dovetail_models_text.gptj.configuration import GPTJConfig


class GPTJAttention(nn.Module):
    """Rotary attention in which neighbouring channels are turned together."""

    side_by_side = ("q_proj", "k_proj", "v_proj")

    def __init__(self, config: GPTJConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.n_embd // config.n_head
        width = config.n_embd
        self.k_proj, self.v_proj, self.q_proj = (Linear(width, width, bias=False) for _ in range(3))
        self.out_proj = Linear(width, width, bias=False)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        projected = together(hidden_states, self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(states, self.head_dim) for states in projected)
        query, key = apply_rotary(query, key, *context.rotary, swap=swap_neighbours)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attn_pdrop * self.training
        output = context.attend(query, key, value, self.layer_idx, dropout=dropout)
        return self.resid_dropout(self.out_proj(output))


class GPTJMLP(nn.Module):
    """Two projections around an activation."""

    def __init__(self, config: GPTJConfig) -> None:
        super().__init__()
        size = config.n_inner or 4 * config.n_embd
        self.fc_in = Linear(config.n_embd, size)
        self.fc_out = Linear(size, config.n_embd)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.fc_out(self.act(self.fc_in(hidden_states))))


class GPTJBlock(nn.Module):
    """Attention and MLP side by side behind one norm."""

    attention_class: ClassVar[type[nn.Module]] = GPTJAttention

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = self.attention_class(config, layer_idx)
        self.mlp = GPTJMLP(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        normed = self.ln_1(hidden_states)
        return hidden_states + self.attn(normed, context) + self.mlp(normed)


class GPTJPreTrainedModel(PreTrainedModel):
    config_class = GPTJConfig
    base_model_prefix = "transformer"
    input_embeddings = "wte"
    _no_split_modules: ClassVar[list[str]] = ["GPTJBlock"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"attn\.(masked_)?bias$"]


class GPTJModel(GPTJPreTrainedModel, GPT2Model):
    """The decoder without a head."""

    block_class = GPTJBlock
    _prune_heads = PreTrainedModel._prune_heads

    def build_positions(self) -> None:
        config = self.config
        width = config.rotary_dim or config.n_embd // config.n_head
        self.rotary_emb = RotaryEmbedding(width, limit=config.n_positions, interleaved=True)

    def place(self, tokens: Tensor, context: Context) -> Tensor:
        context.rotary = self.rotary_emb(tokens, context.position_ids)
        return tokens


class GPTJForCausalLM(ForCausalLM, GPTJPreTrainedModel):
    """Language modelling, with a bias on the logits."""

    body_class = GPTJModel

    def build_head(self) -> None:
        self.lm_head = Linear(self.config.n_embd, self.config.vocab_size)


class GPTJForSequenceClassification(ForSequenceClassification, GPTJPreTrainedModel):
    body_class = GPTJModel


class GPTJForQuestionAnswering(ForQuestionAnswering, GPTJPreTrainedModel):
    body_class = GPTJModel
