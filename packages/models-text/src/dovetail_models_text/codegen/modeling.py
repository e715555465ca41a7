"""CodeGen: GPT-J with one fused projection, cut into groups of heads (arXiv 2203.13474)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.context import Context
from dovetail.layers.projections import Linear
from dovetail.layers.rotary import apply_rotary, swap_neighbours
from dovetail_models_text.codegen.configuration import GROUPS, CodeGenConfig
from dovetail_models_text.gptj.modeling import (
    GPTJBlock,
    GPTJForCausalLM,
    GPTJModel,
    GPTJPreTrainedModel,
)


class CodeGenAttention(nn.Module):
    """Rotary attention; each group of the projection holds its heads' queries, values and keys."""

    def __init__(self, config: CodeGenConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.head_dim = config.n_embd // config.n_head
        self.qkv_proj = Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out_proj = Linear(config.n_embd, config.n_embd, bias=False)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        fused = self.qkv_proj(hidden_states).unflatten(-1, (GROUPS, 3, -1, self.head_dim))
        query, value, key = fused.permute(3, 0, 2, 4, 1, 5).flatten(2, 3).unbind()  # (B, H, T, E)
        query, key = apply_rotary(query, key, *context.rotary, swap=swap_neighbours)
        key, value = context.remember(key, value, self.layer_idx)
        dropout = self.config.attn_pdrop * self.training
        output = context.attend(
            query.float(), key.float(), value.float(), self.layer_idx, dropout=dropout
        )
        return self.resid_dropout(self.out_proj(output.to(hidden_states.dtype)))


class CodeGenBlock(GPTJBlock):
    """Attention and MLP side by side behind one norm."""

    attention_class = CodeGenAttention


class CodeGenPreTrainedModel(GPTJPreTrainedModel):
    config_class = CodeGenConfig
    _no_split_modules: ClassVar[list[str]] = ["CodeGenBlock"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"attn\.(causal_mask|(masked_)?bias)$"
    ]


class CodeGenModel(CodeGenPreTrainedModel, GPTJModel):
    """The decoder without a head."""

    block_class = CodeGenBlock


class CodeGenForCausalLM(CodeGenPreTrainedModel, GPTJForCausalLM):
    """Language modelling, with a bias on the logits."""

    body_class = CodeGenModel
