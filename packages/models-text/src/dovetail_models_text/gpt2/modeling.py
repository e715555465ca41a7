"""GPT-2: the left-to-right transformer with learned positions (Radford et al., 2019).

Pre-norm blocks, one fused projection for query, key and value, weights stored transposed. With
``config.add_cross_attention`` the blocks also read an encoder. B batch, T query length, D width, H
heads, E head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.caches import Cache
from dovetail.context import Context
from dovetail.heads import (
    STATES,
    ForCausalLM,
    ForQuestionAnswering,
    ForSequenceClassification,
    ForTokenClassification,
)
from dovetail.layers.activations import activation
from dovetail.layers.projections import Conv1D
from dovetail.layers.pruning import kept_channels, prune_conv1d
from dovetail.layers.summary import SequenceSummary
from dovetail.losses import language_modeling_loss
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPastAndCrossAttentions, ModelOutput, Tensors
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_text.gpt2.configuration import GPT2Config


class GPT2Attention(nn.Module):
    """Attention within the text, or from the text to an encoder (`cross`)."""

    def __init__(self, config: GPT2Config, layer_idx: int, cross: bool = False) -> None:
        super().__init__()
        self.config, self.layer_idx, self.cross = config, layer_idx, cross
        self.num_heads, self.head_dim = config.n_head, config.n_embd // config.n_head
        self.c_attn = Conv1D((2 if cross else 3) * config.n_embd, config.n_embd)
        if cross:
            self.q_attn = Conv1D(config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.scale = self.head_dim**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer_idx + 1
        self.pruned_heads: set[int] = set()

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        if self.cross:
            (query,) = self.split(self.q_attn(hidden_states), 1)
            key, value = context.keys_and_values(
                self.project, hidden_states, self.layer_idx, cross=True
            )
        else:
            query, key, value = self.split(self.c_attn(hidden_states), 3)
            key, value = context.remember(key, value, self.layer_idx)
        if self.config.reorder_and_upcast_attn:
            query, key, value = query.float(), key.float(), value.float()
        output = context.attend(
            query,
            key,
            value,
            self.layer_idx,
            scale=self.scale,
            dropout=self.config.attn_pdrop * self.training,
            cross=self.cross,
        )
        return self.resid_dropout(self.c_proj(output.to(hidden_states.dtype)))

    def split(self, states: Tensor, parts: int) -> tuple[Tensor, ...]:
        """`parts` tensors (B, H, T, E) from one fused projection."""
        return states.unflatten(-1, (parts, -1, self.head_dim)).permute(2, 0, 3, 1, 4).unbind()

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, S, E) of an encoder's states (B, S, D)."""
        key, value = self.split(self.c_attn(states), 2)
        return key, value

    def prune_heads(self, heads: list[int]) -> None:
        """Remove `heads`, numbered as before any pruning."""
        present = [head for head in range(self.num_heads) if head not in self.pruned_heads]
        gone = [present.index(head) for head in sorted(set(heads)) if head in present]
        if gone:
            index = kept_channels(gone, len(present), self.head_dim, self.c_proj.weight.device)
            width = len(present) * self.head_dim
            self.c_attn = prune_conv1d(
                self.c_attn, torch.cat((index, index + width, index + 2 * width))
            )
            self.c_proj = prune_conv1d(self.c_proj, index, dim=0)
            self.pruned_heads |= set(heads)


class GPT2MLP(nn.Module):
    """Two transposed projections around an activation."""

    projection: ClassVar[Callable[..., nn.Module]] = Conv1D

    def __init__(self, config: Any) -> None:
        super().__init__()
        size = config.n_inner or 4 * config.n_embd
        self.c_fc = self.projection(size, config.n_embd)
        self.c_proj = self.projection(config.n_embd, size)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.act(self.c_fc(hidden_states))))


class GPT2Block(nn.Module):
    """Attention, attention to the encoder if there is one, MLP; each normalised before and
    added; relatives replace the parts."""

    attention_class: ClassVar[type[nn.Module]] = GPT2Attention
    mlp_class: ClassVar[type[nn.Module]] = GPT2MLP

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = self.attention_class(config, layer_idx)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        if config.add_cross_attention:
            self.crossattention = GPT2Attention(config, layer_idx, cross=True)
            self.ln_cross_attn = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = self.mlp_class(config)

    def forward(self, hidden_states: Tensor, context: Context) -> Tensor:
        hidden_states = hidden_states + self.attn(self.ln_1(hidden_states), context)
        if context.encoder_hidden_states is not None:
            normed = self.ln_cross_attn(hidden_states)
            hidden_states = hidden_states + self.crossattention(normed, context)
        return hidden_states + self.mlp(self.ln_2(hidden_states))


class GPT2PreTrainedModel(PreTrainedModel):
    config_class = GPT2Config
    base_model_prefix = "transformer"
    input_embeddings = "wte"
    _no_split_modules: ClassVar[list[str]] = ["GPT2Block"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"attn\.(masked_)?bias$"]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(
            module, GPT2Block
        ):  # residual projections shrink with depth, as the paper says
            std = self.config.initializer_range / (2 * self.config.n_layer) ** 0.5
            for projection in (module.attn.c_proj, module.mlp.c_proj):
                projection.weight.data.normal_(mean=0.0, std=std)


class GPT2Model(GPT2PreTrainedModel):
    """The decoder without a head; relatives replace `block_class` and what makes positions."""

    block_class: ClassVar[type[nn.Module]] = GPT2Block

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.build_positions()
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(
            self.block_class(config, index) for index in range(config.num_hidden_layers)
        )
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.post_init()

    def build_positions(self) -> None:
        """Create what `place` uses."""
        self.wpe = nn.Embedding(self.config.max_position_embeddings, self.config.hidden_size)

    def place(self, tokens: Tensor, context: Context) -> Tensor:
        """Embedded `tokens` (B, T, D) with their positions."""
        return tokens + self.wpe(context.position_ids)

    def _prune_heads(self, heads_to_prune: dict[int, list[int]]) -> None:
        for layer, heads in heads_to_prune.items():
            self.h[layer].attn.prune_heads(heads)

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Hidden states (B, T, D); segments (`token_type_ids`) are embedded like tokens, as GPT-2
        has it."""
        tokens = self.embed(input_ids, inputs_embeds)
        context = self.decoder_context(
            tokens,
            attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            position_ids=position_ids,
            recorder=recorder,
            head_mask=head_mask,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
        )
        hidden_states = self.place(tokens, context)
        if token_type_ids is not None:
            hidden_states = hidden_states + self.wte(token_type_ids)
        hidden_states = self.ln_f(self.run_layers(self.h, self.drop(hidden_states), context))
        return BaseModelOutputWithPastAndCrossAttentions(hidden_states, context.next_cache)


class GPT2LMHeadModel(ForCausalLM, GPT2PreTrainedModel):
    body_class = GPT2Model


@dataclass
class GPT2DoubleHeadsModelOutput(ModelOutput):
    """Losses and logits of both heads: tokens (B, C, T, V) and choices (B, C)."""

    loss: Tensor | None = None
    mc_loss: Tensor | None = None
    logits: Tensor | None = None
    mc_logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class GPT2DoubleHeadsModel(ForCausalLM, GPT2PreTrainedModel):
    """Language modelling and the choice among C continuations: inputs are (B, C, T)."""

    body_class = GPT2Model

    def __init__(self, config: GPT2Config) -> None:
        config.num_labels = 1
        super().__init__(config)

    def build_head(self) -> None:
        super().build_head()
        self.multiple_choice_head = SequenceSummary.from_config(self.config)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        mc_token_ids: Tensor | None = None,
        labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> GPT2DoubleHeadsModelOutput:
        """`mc_token_ids` (B, C) says which token of each choice to classify, by default the
        last."""
        shape = (inputs_embeds[..., 0] if input_ids is None else input_ids).shape  # type: ignore[index]
        tensors = dict(kwargs, input_ids=input_ids, attention_mask=attention_mask)
        flat = {
            name: value.flatten(0, -2)
            if isinstance(value, Tensor) and value.shape == shape
            else value
            for name, value in tensors.items()
        }
        embeds = (
            None if inputs_embeds is None else inputs_embeds.view(-1, *inputs_embeds.shape[-2:])
        )
        outputs = self.transformer(**flat, inputs_embeds=embeds, return_dict=True)
        hidden_states = outputs.last_hidden_state.view(*shape, -1)
        if "hidden_states" in outputs:  # the field's format: only the last is unfolded
            outputs.hidden_states = (*outputs.hidden_states[:-1], hidden_states)
        logits = self.logits(hidden_states)
        choices = self.multiple_choice_head(hidden_states, mc_token_ids).squeeze(-1)
        return GPT2DoubleHeadsModelOutput(
            loss=None if labels is None else language_modeling_loss(logits, labels),
            mc_loss=None
            if mc_labels is None
            else F.cross_entropy(choices.view(-1, choices.shape[-1]), mc_labels.view(-1)),
            logits=logits,
            mc_logits=choices,
            **self.recorded(outputs, ("past_key_values", *STATES)),
        )


class GPT2ForSequenceClassification(ForSequenceClassification, GPT2PreTrainedModel):
    body_class = GPT2Model


class GPT2ForTokenClassification(ForTokenClassification, GPT2PreTrainedModel):
    body_class = GPT2Model
    classifier_name = "classifier"


class GPT2ForQuestionAnswering(ForQuestionAnswering, GPT2PreTrainedModel):
    body_class = GPT2Model
