"""LayoutLM: BERT that sees where on the page a word stands (arXiv 1912.13318).

The embedding of a token is that of BERT and six of its box: four edges, height and width.
B batch, T length, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from dovetail.heads import ForQuestionAnswering, ForTokenClassification, PooledClassification
from dovetail_models_text.bert.modeling import (
    BertEmbeddings,
    BertForMaskedLM,
    BertModel,
    BertPreTrainedModel,
)
from dovetail_models_vision.layoutlm.configuration import LayoutLMConfig


class LayoutLMEmbeddings(BertEmbeddings):
    """BERT's, and those of boxes."""

    def __init__(self, config: LayoutLMConfig) -> None:
        super().__init__(config)
        self.places, width = config.max_2d_position_embeddings, config.hidden_size
        self.x_position_embeddings = nn.Embedding(self.places, width)
        self.y_position_embeddings = nn.Embedding(self.places, width)
        self.h_position_embeddings = nn.Embedding(self.places, width)
        self.w_position_embeddings = nn.Embedding(self.places, width)
        self.absolute = True

    def boxes(self, bbox: Tensor) -> Tensor:
        """Embeddings (B, T, D) of boxes (B, T, 4): left, top, right, bottom."""
        left, top, right, bottom = bbox.unbind(-1)
        for name, values in (
            ("coordinates", bbox),
            ("a width", right - left),
            ("a height", bottom - top),
        ):
            low, high = int(values.min()), int(values.max())
            if low < 0 or high >= self.places:
                raise IndexError(
                    f"bbox has {name} from {low} to {high}, outside 0 to {self.places - 1}: give "
                    "left, top, right, bottom in thousandths of the page, left and top first."
                )
        x, y = self.x_position_embeddings, self.y_position_embeddings
        edges = x(left) + y(top) + x(right) + y(bottom)
        height = self.h_position_embeddings(bottom - top)
        return edges + height + self.w_position_embeddings(right - left)


class LayoutLMPreTrainedModel(BertPreTrainedModel):
    config_class = LayoutLMConfig
    base_model_prefix = "layoutlm"


class LayoutLMModel(LayoutLMPreTrainedModel, BertModel):
    embeddings_class = LayoutLMEmbeddings
    embeddings: LayoutLMEmbeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        bbox: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Hidden states (B, T, D) and the pooled first token (B, D) of tokens in boxes `bbox`
        (B, T, 4), by default all in the corner."""
        tokens = self.embed(input_ids, inputs_embeds)
        if bbox is None:
            bbox = tokens.new_zeros((*tokens.shape[:2], 4)).long()
        elif bbox.shape != (*tokens.shape[:2], 4):
            raise ValueError(
                f"bbox has the shape {tuple(bbox.shape)}; {tokens.shape[0]} texts of "
                f"{tokens.shape[1]} tokens need {(*tokens.shape[:2], 4)}, a box for each token."
            )
        return super().forward(
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=tokens + self.embeddings.boxes(bbox),
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            **kwargs,
        )


class TakesBoxes:
    """Heads take the boxes second."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        bbox: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As without boxes; `bbox` is (B, T, 4)."""
        run: Any = super()
        return run.forward(input_ids, attention_mask, bbox=bbox, **kwargs)


class LayoutLMForMaskedLM(TakesBoxes, LayoutLMPreTrainedModel, BertForMaskedLM):
    body_class = LayoutLMModel
    body_options: ClassVar[dict[str, Any]] = {}


class LayoutLMForSequenceClassification(TakesBoxes, PooledClassification, LayoutLMPreTrainedModel):
    pass


class LayoutLMForTokenClassification(TakesBoxes, ForTokenClassification, LayoutLMPreTrainedModel):
    classifier_name = "classifier"


class LayoutLMForQuestionAnswering(TakesBoxes, ForQuestionAnswering, LayoutLMPreTrainedModel):
    """`has_visual_segment_embedding` is taken and means nothing."""

    def __init__(self, config: LayoutLMConfig, has_visual_segment_embedding: bool = True) -> None:
        super().__init__(config)
