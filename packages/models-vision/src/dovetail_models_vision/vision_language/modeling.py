"""A vision tower, a projector, and a language model which reads text and pictures.

B batch, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.auto import AutoModelForCausalLM
from dovetail.losses import IGNORED, language_modeling_loss
from dovetail.outputs import CausalLMOutputWithPast, ModelOutput, Tensors
from dovetail_models_vision.vision_language.reading import ReadsPictures


@dataclass
class VisionLanguageOutput(CausalLMOutputWithPast):
    """`image_hidden_states` and `video_hidden_states` are the projected features, when pictures
    were given."""

    image_hidden_states: Tensor | Tensors | None = None
    video_hidden_states: Tensor | Tensors | None = None


class VisionLanguageModel(ReadsPictures):
    """Base; see the package for what a family adds. Parts are built by their auto classes."""

    output_class: ClassVar[type[ModelOutput]] = VisionLanguageOutput
    language_model: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.build(config)
        self.language_model = self.part(AutoModelForCausalLM, "text_config")
        self.post_init()

    @abstractmethod
    def build(self, config: Any) -> None:
        """Create everything but the language model, under the checkpoint's names."""

    def _init_weights(self, module: nn.Module) -> None:
        """What lies between the parts is filled as the language model's layers are."""
        self.language_model._init_weights(module)

    def part(self, auto: Any, name: str) -> Any:
        """The model that the class `auto` picks for the part `name` of the config, which both
        share."""
        made = auto.from_config(getattr(self.config, name))
        setattr(self.config, name, made.config)
        return made

    # The language model's

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_decoder(self) -> nn.Module:
        """The language model without its head."""
        return self.language_model.base_model

    def set_decoder(self, decoder: nn.Module) -> None:
        """Replace the language model below its head."""
        setattr(self.language_model, self.language_model.base_model_prefix, decoder)

    # One forward pass

    def run(
        self,
        visual: Mapping[str, Any],
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        num_logits_to_keep: int = 0,
        **recording: bool | None,
    ) -> ModelOutput:
        """Logits (B, T, V) after text and pictures (`visual`, the arguments of `encode`), and the
        loss when `labels` (B, T) are given; what a family's `forward` does not name, it gets."""
        seen = self.encode(**visual)
        if inputs_embeds is None or seen:
            inputs_embeds = self.embed_with(input_ids, inputs_embeds, seen)
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            cache_position=cache_position,
            num_logits_to_keep=num_logits_to_keep,
            return_dict=True,
            **self.recorded_by_default(recording),
        )
        return self.output_class(
            loss=None if labels is None else text_loss(outputs.logits, labels, attention_mask),
            logits=outputs.logits,
            past_key_values=outputs.get("past_key_values"),
            hidden_states=outputs.get("hidden_states"),
            attentions=outputs.get("attentions"),
            **{f"{one.kind}_hidden_states": one.features for one in seen},
        )


def text_loss(logits: Tensor, labels: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Cross-entropy of `logits` (B, T, V) with the next of `labels` (B, T), those of padding left
    out."""
    return language_modeling_loss(logits, without_padding(labels, attention_mask))


def without_padding(labels: Tensor, attention_mask: Tensor | None) -> Tensor:
    """`labels` (B, T), ignored where `attention_mask` (B, S) says that there is padding."""
    if attention_mask is None or attention_mask.dim() != 2:
        return labels
    padding = attention_mask[:, -labels.shape[1] :].to(labels.device) == 0
    return labels.masked_fill(padding, IGNORED)
