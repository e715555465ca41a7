"""GPT-BigCode: GPT-2 whose heads share one key and value (SantaCoder, arXiv 2301.03988; StarCoder,
arXiv 2305.06161)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.heads import ForCausalLM, ForSequenceClassification, ForTokenClassification
from dovetail.layers.attention import split_heads
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail_models_text.gpt2.modeling import GPT2MLP, GPT2Block, GPT2Model, GPT2PreTrainedModel
from dovetail_models_text.gpt_bigcode.configuration import GPTBigCodeConfig


class GPTBigCodeAttention(nn.Module):
    """Attention to one key and value for all heads, or to one per head."""

    def __init__(self, config: GPTBigCodeConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.n_embd // config.n_head
        shared = 2 * (self.head_dim if config.multi_query else config.n_embd)
        self.c_attn = Linear(config.n_embd, config.n_embd + shared)
        self.c_proj = Linear(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.scale = self.head_dim**-0.5 if config.scale_attn_weights else 1.0

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        query, key, value = self.split(self.c_attn(hidden_states))
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attn_pdrop * self.training
        output = context.attend(
            query, key, value, self.layer_idx, scale=self.scale, dropout=dropout
        )
        return self.resid_dropout(self.c_proj(output))

    def split(self, states: Tensor) -> tuple[Tensor, ...]:
        """Query (B, H, T, E), key and value (B, 1 or H, T, E) from one fused projection."""
        if not self.config.multi_query:
            return split_heads(states, 3 * self.head_dim).chunk(3, -1)
        heads = split_heads(states, self.head_dim)
        return heads.split((self.config.n_head, 1, 1), dim=1)


class GPTBigCodeMLP(GPT2MLP):
    """GPT-2's, with plain projections."""

    projection = staticmethod(lambda outputs, inputs: Linear(inputs, outputs))


class GPTBigCodeBlock(GPT2Block):
    """GPT-2's block of this family's parts."""

    attention_class = GPTBigCodeAttention
    mlp_class = GPTBigCodeMLP


class GPTBigCodePreTrainedModel(GPT2PreTrainedModel):
    config_class = GPTBigCodeConfig
    _no_split_modules: ClassVar[list[str]] = ["GPTBigCodeBlock"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        *GPT2PreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^(transformer\.)?(bias|mask_value)$",
    ]


class GPTBigCodeModel(GPTBigCodePreTrainedModel, GPT2Model):
    """The decoder without a head; positions follow from the mask unless given."""

    block_class = GPTBigCodeBlock
    _prune_heads = PreTrainedModel._prune_heads

    def decoder_context(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        *,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Context:
        context = super().decoder_context(
            hidden_states, attention_mask, position_ids=position_ids, **kwargs
        )
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            mask = attention_mask.long()
            positions = (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)  # padding's may be any
            context.position_ids = positions[:, -hidden_states.shape[1] :]
        return context


class GPTBigCodeForCausalLM(ForCausalLM, GPTBigCodePreTrainedModel):
    """The decoder with next-token logits."""


class GPTBigCodeForSequenceClassification(ForSequenceClassification, GPTBigCodePreTrainedModel):
    """The decoder with a label for each text."""


class GPTBigCodeForTokenClassification(ForTokenClassification, GPTBigCodePreTrainedModel):
    """The decoder with a label for each token."""

    classifier_name = "classifier"
