"""OPT: an open decoder of GPT-3's shape (arXiv 2205.01068), of BART's blocks.

Learned positions count real tokens only. The 350m model norms after blocks and projects its
narrower embeddings. B batch, T query length, D width, V vocabulary.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.heads import ForCausalLM, ForQuestionAnswering, ForSequenceClassification
from dovetail.layers.embeddings import OffsetEmbedding
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPast
from dovetail.recording import Recorder, backbone
from dovetail_models_text.bart.modeling import BartLayer, initialise
from dovetail_models_text.opt.configuration import OPTConfig


class OPTPreTrainedModel(PreTrainedModel):
    config_class = OPTConfig
    base_model_prefix = "model"
    input_embeddings = "decoder.embed_tokens"
    _no_split_modules: ClassVar[list[str]] = ["BartLayer"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"decoder\.version"]

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, self.config.init_std)


class OPTDecoder(nn.Module):
    """Holds embeddings, blocks and the last norm under the checkpoint's name."""

    def __init__(self, config: OPTConfig) -> None:
        super().__init__()
        width, narrow = config.hidden_size, config.word_embed_proj_dim
        self.embed_tokens = nn.Embedding(config.vocab_size, narrow, config.pad_token_id)
        self.embed_positions = OffsetEmbedding(config.max_position_embeddings, width)
        if narrow != width:
            self.project_in = Linear(narrow, width, bias=False)
            self.project_out = Linear(width, narrow, bias=False)
        if config.do_layer_norm_before and not config._remove_final_layer_norm:
            affine = config.layer_norm_elementwise_affine
            self.final_layer_norm = nn.LayerNorm(width, elementwise_affine=affine)
        self.layers = nn.ModuleList(
            BartLayer(config, index, decoder=True, cross=False)
            for index in range(config.num_hidden_layers)
        )
        self.dropout = nn.Dropout(config.dropout)

    def optional(self, name: str, hidden_states: Tensor) -> Tensor:
        """`hidden_states` through the module `name`, if the model has it."""
        return getattr(self, name)(hidden_states) if hasattr(self, name) else hidden_states


class OPTModel(OPTPreTrainedModel):
    """The decoder without a head."""

    def __init__(self, config: OPTConfig) -> None:
        super().__init__(config)
        self.decoder = OPTDecoder(config)
        self.post_init()

    def get_decoder(self) -> OPTDecoder:
        """Embeddings, blocks and the last norm."""
        return self.decoder

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        position_ids: Tensor | None = None,
        cache_position: Tensor | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPast:
        """Hidden states (B, T, word_embed_proj_dim) of the tokens; positions follow from the mask
        unless given."""
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
        )
        positions, length = context.position_ids, tokens.shape[1]
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            mask = attention_mask.long()
            positions = (mask.cumsum(1) * mask - 1)[:, -length:]
        decoder = self.decoder
        hidden_states = decoder.optional("project_in", tokens) + decoder.embed_positions(positions)
        hidden_states = self.run_layers(
            decoder.layers, decoder.dropout(hidden_states), context, self.config.layerdrop
        )
        for name in ("final_layer_norm", "project_out"):
            hidden_states = decoder.optional(name, hidden_states)
        return BaseModelOutputWithPast(hidden_states, context.next_cache)


class OPTForCausalLM(ForCausalLM, OPTPreTrainedModel):
    body_class = OPTModel

    def build_head(self) -> None:
        config = self.config
        self.lm_head = Linear(config.word_embed_proj_dim, config.vocab_size, bias=False)


class OPTForSequenceClassification(ForSequenceClassification, OPTPreTrainedModel):
    body_class = OPTModel

    def build_head(self) -> None:
        self.score = Linear(self.config.word_embed_proj_dim, self.num_labels, bias=False)


class OPTForQuestionAnswering(ForQuestionAnswering, OPTPreTrainedModel):
    body_class = OPTModel

    def build_head(self) -> None:
        self.qa_outputs = Linear(self.config.word_embed_proj_dim, 2)
