"""BLIP: texts from pictures, answers to questions about them, and how well both match (arXiv
2201.12086).

A ViT reads the picture; layers of the text's encoder and decoder attend to its states. B batch,
C channels, H height, W width, S tokens of a picture, T tokens of a text, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.errors import ConfigError, GenerationError
from dovetail.generation import GenerationMixin
from dovetail.layers.projections import Linear
from dovetail.losses import IGNORED
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import BaseModelOutputWithPooling
from dovetail.recording import task_head
from dovetail.resizing import resize_embedding
from dovetail_models_vision.blip.configuration import BlipConfig
from dovetail_models_vision.blip.outputs import (
    BlipForConditionalGenerationModelOutput,
    BlipImageTextMatchingModelOutput,
    BlipOutput,
    BlipTextVisionModelOutput,
)
from dovetail_models_vision.blip.text import BlipTextLMHeadModel, BlipTextModel
from dovetail_models_vision.blip.vision import BlipVisionModel
from dovetail_models_vision.clip.pairs import TextImagePairs


class BlipPreTrainedModel(PreTrainedModel):
    config_class = BlipConfig
    base_model_prefix = "blip"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = [
        "BlipTextEmbeddings",
        "BlipTextLayer",
        "BlipVisionEmbeddings",
        "BlipVisionLayer",
    ]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"embeddings\.position_ids"]


class BlipModel(TextImagePairs, BlipPreTrainedModel):
    """Both halves, their projections, and a learned scale of similarities."""

    main_input_name = "input_ids"
    input_embeddings = "text_model.embeddings.word_embeddings"
    output_class = BlipOutput

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.text_model = BlipTextModel(config.text_config)
        self.vision_model = BlipVisionModel(config.vision_config)
        width, text_width = config.vision_config.hidden_size, config.text_config.hidden_size
        self.visual_projection = Linear(width, config.projection_dim, bias=False)
        self.text_projection = Linear(text_width, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            self.logit_scale.data.fill_(self.config.logit_scale_init_value)

    def project_text(self, pooled: Tensor) -> Tensor:
        """In the width in which both meet."""
        return self.text_projection(pooled)

    def project_image(self, pooled: Tensor) -> Tensor:
        """In the width in which both meet."""
        return self.visual_projection(pooled)

    def get_multimodal_features(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Tensor:
        """Embeddings (B, projection) of texts (B, T) which were read looking at images."""
        seen = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True)
        read = self.text_model(
            input_ids, attention_mask, encoder_hidden_states=seen[0], return_dict=True
        )
        return self.text_projection(read.pooler_output)


class BlipTask(BlipPreTrainedModel):
    """Base of the models that read texts looking at pictures: `text_parts` are the parts beside
    the image encoder."""

    text_parts: ClassVar[dict[str, type[PreTrainedModel]]]
    text_encoder: Any
    text_decoder: Any

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.vision_model = BlipVisionModel(config.vision_config)
        for name, part in self.text_parts.items():
            options = {} if part is BlipTextLMHeadModel else {"add_pooling_layer": False}
            setattr(self, name, part(config.text_config, **options))
        self.build_head()
        self.post_init()

    def build_head(self) -> None:
        """Create what follows the text's parts."""

    def look(
        self, pixel_values: Tensor | None, interpolate_pos_encoding: bool, recording: dict[str, Any]
    ) -> BaseModelOutputWithPooling:
        """The states of pictures, recorded as the call or this model's config says."""
        given = {
            name: recording.get(name) or getattr(self.config, name)
            for name in ("output_attentions", "output_hidden_states")
        }
        return self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True, **given)

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of the text that is read."""
        return getattr(self, next(iter(self.text_parts))).get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace it."""
        getattr(self, next(iter(self.text_parts))).set_input_embeddings(value)


class BlipWriter(BlipTask, GenerationMixin):
    """Base of the models that write."""

    output_embeddings = "text_decoder.cls.predictions.decoder"
    _shared_weights_keys: ClassVar[dict[str, str]] = {
        "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias"
    }

    def _after_resize(self, size: int) -> None:
        decoder = self.text_decoder
        own: Any = decoder.get_input_embeddings()
        if len(own.weight) != size:  # questions are embedded elsewhere
            own = resize_embedding(own, size, self._init_weights, mean_resizing=True)
            decoder.set_input_embeddings(own)
        decoder._after_resize(size)

    def write(self, input_ids: Tensor, settings: dict[str, Any], **inputs: Any) -> Any:
        """What the decoder adds to `input_ids` (B, T), up to the separator unless `settings` say
        otherwise. Segments, which BERT's tokenizer may make, mean nothing to BLIP."""
        config = self.config.text_config
        settings.pop("token_type_ids", None)
        ends = {"eos_token_id": config.sep_token_id, "pad_token_id": config.pad_token_id}
        return self.text_decoder.generate(input_ids, **{**ends, **settings}, **inputs)


class BlipForConditionalGeneration(BlipWriter):
    """Texts about pictures, which may begin with a given text."""

    text_parts: ClassVar[dict[str, type[PreTrainedModel]]] = {"text_decoder": BlipTextLMHeadModel}

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **recording: Any,
    ) -> BlipForConditionalGenerationModelOutput:
        """Logits (B, T, V) of texts (B, T) about images (B, C, H, W), and the loss of `labels` (B,
        T)."""
        seen = self.look(pixel_values, interpolate_pos_encoding, recording)
        written = self.text_decoder(
            input_ids,
            attention_mask,
            encoder_hidden_states=seen.last_hidden_state,
            labels=labels,
            return_dict=True,
        )
        return BlipForConditionalGenerationModelOutput(
            loss=written.get("loss"),
            logits=written.logits,
            image_embeds=seen.last_hidden_state,
            last_hidden_state=seen.last_hidden_state,
            hidden_states=seen.get("hidden_states"),
            attentions=seen.get("attentions"),
        )

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor,
        input_ids: Tensor | list[list[int]] | None = None,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Token ids (B, T') of texts about images (B, C, H, W).

        `input_ids` (B, T) are how they begin, as the tokenizer writes it: the first token is
        replaced by the one that begins texts about pictures, the last, a separator, is left out.
        """
        seen = self.look(pixel_values, interpolate_pos_encoding, {})[0]
        begin = self.config.text_config.bos_token_id
        if input_ids is None:
            input_ids = torch.full((len(seen), 1), begin, device=seen.device)
        else:
            ids = torch.as_tensor(input_ids, device=seen.device)
            if ids.dim() != 2 or ids.shape[1] < 2:
                raise GenerationError(
                    f"input_ids of shape {tuple(ids.shape)} must be (batch, length) with the first "
                    "and the last token that the tokenizer adds."
                )
            input_ids = torch.cat((torch.full_like(ids[:, :1], begin), ids[:, 1:-1]), 1)
            attention_mask = None if attention_mask is None else attention_mask[:, :-1]
        return self.write(
            input_ids, generate_kwargs, attention_mask=attention_mask, encoder_hidden_states=seen
        )


class BlipForQuestionAnswering(BlipWriter):
    """Answers to questions about pictures: a text encoder reads the question looking at the
    picture, a decoder writes."""

    text_parts: ClassVar[dict[str, type[PreTrainedModel]]] = {
        "text_encoder": BlipTextModel,
        "text_decoder": BlipTextLMHeadModel,
    }

    def build_head(self) -> None:
        width, text = self.config.vision_config.hidden_size, self.config.text_config.hidden_size
        if width != text:
            raise ConfigError(
                f"vision_config.hidden_size={width} and text_config.hidden_size={text} must be "
                "equal: one kind of layer attends to pictures and to questions."
            )

    @task_head
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **recording: Any,
    ) -> BlipTextVisionModelOutput:
        """The loss of `labels` (B, T'), answers to questions (B, T) about images (B, C, H, W).

        The decoder reads the labels unless `decoder_input_ids` are given; one of both is needed.
        """
        if labels is None and decoder_input_ids is None:
            raise ValueError(
                "Give labels or decoder_input_ids to train on answers; generate() writes them."
            )
        seen = self.look(pixel_values, interpolate_pos_encoding, recording)
        question = self.text_encoder(
            input_ids, attention_mask, encoder_hidden_states=seen[0], return_dict=True
        )
        if decoder_input_ids is None:  # the decoder's loss shifts
            padding = self.config.text_config.pad_token_id
            decoder_input_ids = torch.where(labels == IGNORED, padding, labels)  # type: ignore[arg-type]
        answer = self.text_decoder(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_hidden_states=question[0],
            encoder_attention_mask=attention_mask,
            labels=labels,
            return_dict=True,
        )
        return BlipTextVisionModelOutput(
            loss=answer.get("loss"),
            image_embeds=seen.last_hidden_state,
            last_hidden_state=seen.last_hidden_state,
            hidden_states=seen.get("hidden_states"),
            attentions=seen.get("attentions"),
        )

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Token ids (B, T') of answers to questions (B, T) about images (B, C, H, W)."""
        seen = self.look(pixel_values, interpolate_pos_encoding, {})[0]
        question = self.text_encoder(
            input_ids, attention_mask, encoder_hidden_states=seen, return_dict=True
        )[0]
        start = self.config.text_config.bos_token_id
        begin = torch.full((len(question), 1), start, device=question.device)
        return self.write(begin, generate_kwargs, encoder_hidden_states=question)


class BlipForImageTextRetrieval(BlipTask):
    """Whether a text belongs to a picture: by a head over both, or by the similarity of two
    embeddings."""

    text_parts: ClassVar[dict[str, type[PreTrainedModel]]] = {"text_encoder": BlipTextModel}

    def build_head(self) -> None:
        config = self.config
        meeting = config.image_text_hidden_size
        self.vision_proj = Linear(config.vision_config.hidden_size, meeting)
        self.text_proj = Linear(config.text_config.hidden_size, meeting)
        self.itm_head = Linear(config.text_config.hidden_size, 2)

    @task_head
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        use_itm_head: bool | None = True,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **recording: Any,
    ) -> BlipImageTextMatchingModelOutput:
        """Logits (B, 2) of "no match" and "match" of texts (B, T) and images (B, C, H, W) or,
        without `use_itm_head`, similarities (images, texts)."""
        seen = self.look(pixel_values, interpolate_pos_encoding, recording)
        states: Any = seen.last_hidden_state
        read = self.text_encoder(
            input_ids,
            attention_mask,
            encoder_hidden_states=states if use_itm_head else None,
            return_dict=True,
        ).last_hidden_state
        if use_itm_head:
            score = self.itm_head(read[:, 0])
        else:
            image = F.normalize(self.vision_proj(states[:, 0]), dim=-1)
            score = image @ F.normalize(self.text_proj(read[:, 0]), dim=-1).t()
        return BlipImageTextMatchingModelOutput(
            itm_score=score,
            last_hidden_state=states,
            hidden_states=seen.get("hidden_states"),
            attentions=seen.get("attentions"),
            question_embeds=read,
        )
