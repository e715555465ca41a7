"""LLaVA 1.5: patches of a picture, through two layers, as tokens of a language model (arXiv
2310.03744).

B batch, T tokens, P pictures, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.auto import AutoModel
from dovetail.layers.activations import activation
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.llava.configuration import LlavaConfig
from dovetail_models_vision.vision_language.features import Visual
from dovetail_models_vision.vision_language.modeling import VisionLanguageModel


class LlavaMultiModalProjector(nn.Module):
    """Two layers from the width of the vision part to that of the text part."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        self.linear_1 = Linear(config.vision_config.hidden_size, width)
        self.act = activation(config.projector_hidden_act)
        self.linear_2 = Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_2(self.act(self.linear_1(features)))


class LlavaPreTrainedModel(PreTrainedModel):
    config_class = LlavaConfig


class LlavaModel(VisionLanguageModel):
    """What LLaVA's relatives share: the tower, the projector, and which features are taken."""

    visual_inputs: ClassVar[tuple[str, ...]] = (
        "pixel_values",
        "vision_feature_layer",
        "vision_feature_select_strategy",
    )

    def build(self, config: Any) -> None:
        """Tower and projector."""
        self.vision_tower = self.part(AutoModel, "vision_config")
        self.multi_modal_projector = LlavaMultiModalProjector(config)

    def encode(self, pixel_values: Tensor | None = None, **selection: Any) -> Sequence[Visual]:
        """The features of pictures (P, C, H, W)."""
        if pixel_values is None:
            return []
        features = self.get_image_features(pixel_values, **selection)
        return [Visual("image", self.config.image_token_index, features)]

    def get_image_features(
        self,
        pixel_values: Tensor,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
    ) -> Tensor:
        """Projected features (P, N, D) of pictures (P, C, H, W)."""
        features = self.select(pixel_values, vision_feature_layer, vision_feature_select_strategy)
        return self.multi_modal_projector(features)

    def select(self, pixel_values: Tensor, layer: int | None, strategy: str | None) -> Tensor:
        """The vision part's states (P, N, width) of `layer`; None is what the config says.

        Raises:
            ValueError: the layer or the strategy is none.
        """
        layer = self.config.vision_feature_layer if layer is None else layer
        strategy = strategy or self.config.vision_feature_select_strategy
        outputs = self.vision_tower(pixel_values, output_hidden_states=True, return_dict=True)
        states = outputs.hidden_states
        if not -len(states) <= layer < len(states):
            raise ValueError(
                f"vision_feature_layer={layer}: the vision part has the states {-len(states)} to "
                f"{len(states) - 1}."
            )
        if strategy not in ("default", "full"):
            raise ValueError(
                f"vision_feature_select_strategy={strategy!r}: use 'default' (without the first "
                "token) or 'full'."
            )
        return states[layer][:, strategy == "default" :]


class LlavaForConditionalGeneration(LlavaModel, LlavaPreTrainedModel):
    """Text about pictures."""

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        vision_feature_layer: int | None = None,
        vision_feature_select_strategy: str | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with pictures (P, C, H, W), all in the order of their
        tokens; `labels` (B, T) give the loss, in which padding does not count."""
        visual = {
            "pixel_values": pixel_values,
            "vision_feature_layer": vision_feature_layer,
            "vision_feature_select_strategy": vision_feature_select_strategy,
        }
        text = (input_ids, attention_mask, inputs_embeds, labels, position_ids, past_key_values)
        return self.run(visual, *text, **kwargs)
