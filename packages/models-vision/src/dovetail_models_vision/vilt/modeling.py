"""ViLT: one encoder over the tokens of a text and the patches of an image (arXiv 2102.03334).

B batch, T tokens, C channels, H height, W width, N patches, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.heads import STATES, TaskHead
from dovetail.layers.projections import Linear
from dovetail.layers.vit import ViTEncoder
from dovetail.losses import language_modeling_loss, token_classification_loss
from dovetail.modeling import INPUT_EMBEDDINGS
from dovetail.outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    ModelOutput,
    SequenceClassifierOutput,
    Tensors,
    TokenClassifierOutput,
)
from dovetail.recording import Recorder, backbone, task_head
from dovetail_models_text.bert.modeling import BertLMPredictionHead
from dovetail_models_vision.vilt.configuration import ViltConfig
from dovetail_models_vision.vilt.embeddings import FIRST_IMAGE, ViltEmbeddings
from dovetail_models_vision.vit.modeling import ImageEncoder, ViTPooler


class ViltPreTrainedModel(ImageEncoder):
    config_class = ViltConfig
    base_model_prefix = "vilt"
    main_input_name = "input_ids"
    input_embeddings = "embeddings.text_embeddings.word_embeddings"
    _no_split_modules: ClassVar[list[str]] = ["ViltEmbeddings", "ViTLayer"]


class ViltModel(ViltPreTrainedModel):
    """The encoder, with a pooler unless `add_pooling_layer` is False."""

    def __init__(self, config: ViltConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = ViltEmbeddings(config)
        self.encoder = ViTEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.pooler = ViTPooler(config) if add_pooling_layer else None
        self.post_init()

    @backbone
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        image_token_type_idx: int | None = None,
        recorder: Recorder | None = None,
    ) -> BaseModelOutputWithPooling:
        """States (B, T + 1 + N, D) of texts (B, T) and images (B, C, H, W), and the first pooled
        (B, D).

        `pixel_mask` (B, H, W) says which pixels are of the image; with `image_embeds` (B, 1 + N, D)
        in place of pixels it is (B, ...), one number for each. `image_token_type_idx` is the number
        of the image among several.
        """
        tokens = self.embed(input_ids, inputs_embeds)
        if (pixel_values is None) == (image_embeds is None):
            raise ValueError("Give exactly one of pixel_values and image_embeds.")
        given = pixel_values if pixel_values is not None else image_embeds
        if len(given) != len(tokens):  # type: ignore[arg-type] # one of the two is there
            raise ValueError(
                f"{len(given)} images for {len(tokens)} texts: give one for each."  # type: ignore[arg-type]
            )
        if pixel_values is not None:
            image, seen = self.embeddings.image(pixel_values, pixel_mask)
        else:
            image = image_embeds  # type: ignore[assignment]
            seen = torch.ones_like(image[..., 0]) if pixel_mask is None else pixel_mask.flatten(1)
        if attention_mask is None:
            attention_mask = torch.ones(tokens.shape[:2], device=tokens.device)
        text = self.embeddings.text(tokens, token_type_ids)
        image = self.embeddings.with_modality(image, image_token_type_idx)
        both = torch.cat((text, image), 1)
        mask = torch.cat((attention_mask.bool(), seen.bool()), 1)
        context = self.encoder_context(both, mask, head_mask=head_mask, recorder=recorder)
        hidden_states = self.run_layers(self.encoder.layer, both, context, record_last=True)
        hidden_states = self.layernorm(hidden_states)
        pooled = None if self.pooler is None else self.pooler(hidden_states)
        return BaseModelOutputWithPooling(hidden_states, pooled)


class ViltHead(TaskHead, ViltPreTrainedModel):
    """Base of the classes with a head over the text's states or over the pooled one."""

    body_class = ViltModel
    output_class: ClassVar[type[ModelOutput]] = SequenceClassifierOutput
    classifier: nn.Module

    def logits(self, outputs: ModelOutput, length: int) -> Tensor:
        """What the head says of the body's outputs, whose first `length` states are the text's."""
        return self.classifier(outputs.pooler_output)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How far `logits` are from `labels`."""
        raise ValueError(
            f"labels: {type(self).__name__} gives scores, for which there is no loss; compute one "
            "from its logits."
        )

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits of texts (B, T) with images (B, C, H, W), and the loss when `labels` are given."""
        outputs = self.base_model(
            input_ids,
            attention_mask,
            token_type_ids,
            pixel_values,
            pixel_mask,
            head_mask,
            inputs_embeds,
            image_embeds,
            return_dict=True,
            **kwargs,
        )
        text = input_ids if input_ids is not None else inputs_embeds
        logits = self.logits(outputs, text.shape[1])  # type: ignore[union-attr] # the body has it
        loss = None if labels is None else self.loss(logits, labels)
        return self.output_class(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ViltForMaskedLM(ViltHead):
    """Prediction of masked tokens of the text: logits (B, T, V), labels (B, T)."""

    output_class = MaskedLMOutput
    output_embeddings = "mlm_score.decoder"
    _tied_weights_keys: ClassVar[dict[str, str]] = {"mlm_score.decoder.weight": INPUT_EMBEDDINGS}
    _shared_weights_keys: ClassVar[dict[str, str]] = {"mlm_score.decoder.bias": "mlm_score.bias"}

    def build_head(self) -> None:
        self.mlm_score = BertLMPredictionHead(self.config)

    def logits(self, outputs: ModelOutput, length: int) -> Tensor:
        return self.mlm_score(outputs.last_hidden_state[:, :length])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return language_modeling_loss(logits, labels, shift=False)

    def _after_resize(self, size: int) -> None:
        self.mlm_score.bias = self.mlm_score.decoder.bias


class ViltForQuestionAnswering(ViltHead):
    """Answers to questions about an image: logits (B, answers), labels (B, answers) from 0 to 1,
    for several may be right."""

    def build_head(self) -> None:
        self.classifier = comparison(self.config.hidden_size, self.num_labels, 2)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels) * labels.shape[1]


class ViltForImageAndTextRetrieval(ViltHead):
    """How well text and image belong together: logits (B, 1)."""

    def build_head(self) -> None:
        self.rank_output = Linear(self.config.hidden_size, 1)

    def logits(self, outputs: ModelOutput, length: int) -> Tensor:
        return self.rank_output(outputs.pooler_output)


class ViltForTokenClassification(ViltHead):
    """A label for each token of the text: logits (B, T, labels), labels (B, T)."""

    body_options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}
    output_class = TokenClassifierOutput

    def build_head(self) -> None:
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)
        self.classifier = Linear(self.config.hidden_size, self.num_labels)

    def logits(self, outputs: ModelOutput, length: int) -> Tensor:
        return self.classifier(self.dropout(outputs.last_hidden_state[:, :length]))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return token_classification_loss(logits, labels)


@dataclass
class ViltForImagesAndTextClassificationOutput(ModelOutput):
    """Logits (B, labels); states and weights by image, since the body runs once for each."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: list[Tensors] | None = None
    attentions: list[Tensors] | None = None


class ViltForImagesAndTextClassification(ViltHead):
    """Whether a text is true of several images: each is read with the text, and what is pooled of
    all is judged together."""

    output_class = ViltForImagesAndTextClassificationOutput

    def build_head(self) -> None:
        images = self.config.num_images
        if images < 1:
            raise ValueError(
                f"num_images={images}: the config has to say how many images belong to a text."
            )
        self.classifier = comparison(self.config.hidden_size * images, self.num_labels, 1)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, labels) of texts (B, T) with images (B, images, C, H, W), masks (B, images, H,
        W), or embeddings (B, images, 1 + N, D), and their cross-entropy with `labels` (B,)."""
        if pixel_values is not None and pixel_values.dim() == 4:
            pixel_values = pixel_values[:, None]
        if image_embeds is not None and image_embeds.dim() == 3:
            image_embeds = image_embeds[:, None]
        given = pixel_values if pixel_values is not None else image_embeds
        count = 0 if given is None else given.shape[1]
        if count != self.config.num_images:
            raise ValueError(
                f"{count} images for each text, where config.num_images="
                f"{self.config.num_images}: give as many."
            )
        outputs = [
            self.base_model(
                input_ids,
                attention_mask,
                token_type_ids,
                None if pixel_values is None else pixel_values[:, number],
                None if pixel_mask is None else pixel_mask[:, number],
                head_mask,
                inputs_embeds,
                None if image_embeds is None else image_embeds[:, number],
                image_token_type_idx=FIRST_IMAGE + number,
                return_dict=True,
                **kwargs,
            )
            for number in range(count)
        ]
        logits = self.classifier(torch.cat([output.pooler_output for output in outputs], -1))
        loss = None if labels is None else F.cross_entropy(logits, labels.view(-1))
        recorded = {
            name: [output[name] for output in outputs] for name in STATES if name in outputs[0]
        }
        return self.output_class(loss=loss, logits=logits, **recorded)


def comparison(width: int, labels: int, growth: int) -> nn.Sequential:
    """Two dense layers with a norm between them, the first `growth` times as wide as what it
    reads."""
    inner = width * growth
    return nn.Sequential(
        Linear(width, inner), nn.LayerNorm(inner), nn.GELU(), Linear(inner, labels)
    )
