"""BLIP-2: queries read a picture for a language model that was trained without pictures (arXiv
2301.12597).

B batch, C channels, H height, W width, Q queries, T tokens, D width, V vocabulary, P the width in
which pictures and texts meet.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.generation import GenerationMixin
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail.recording import task_head
from dovetail_models_vision.blip.vision import BlipVisionModel
from dovetail_models_vision.blip_2.configuration import (
    Blip2Config,
    Blip2VisionConfig,
    check_reads_text,
)
from dovetail_models_vision.blip_2.outputs import (
    Blip2ImageTextMatchingModelOutput,
    Blip2TextModelOutput,
    Blip2VisionModelOutput,
)
from dovetail_models_vision.blip_2.qformer import Blip2QFormerModel, TokenEmbeddings
from dovetail_models_vision.blip_2.writing import QueryWriter


class Blip2VisionModel(BlipVisionModel):
    """BLIP's image encoder."""

    config_class = Blip2VisionConfig


class Blip2PreTrainedModel(PreTrainedModel):
    config_class = Blip2Config
    base_model_prefix = "blip"
    main_input_name = "pixel_values"
    _no_split_modules: ClassVar[list[str]] = ["BlipVisionLayer", "QFormerLayer", "TokenEmbeddings"]


class Blip2Writer(QueryWriter, Blip2PreTrainedModel):
    """Base of what writes about pictures."""

    vision_class = Blip2VisionModel
    qformer_class = Blip2QFormerModel

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **recording: Any,
    ) -> ModelOutput:
        """Logits (B, T, V) of texts (B, T) with images (B, C, H, W), and with `labels` (B, T) the
        loss; a language model that has an encoder reads `decoder_input_ids`, too."""
        records = self.records(recording)
        seen = self.look(pixel_values, interpolate_pos_encoding, records)
        if input_ids is None:
            raise ValueError(
                "input_ids is None: give texts (batch, length); generate() needs none."
            )
        return self.predict(
            seen,
            self.prompt(input_ids, attention_mask, seen.features),
            labels,
            records,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
        )


class Blip2Model(Blip2Writer):
    """The parts together and one by one; pictures always go in front of the text."""

    @property
    def placeholder(self) -> int | None:
        """None: there is no token for pictures."""
        return None

    def get_text_features(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """What the language model makes of texts (B, T)."""
        given: dict[str, Any] = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
            "return_dict": return_dict,
        }
        if self.config.use_decoder_only_language_model:
            return self.language_model(input_ids, attention_mask, **given)
        return self.language_model(
            input_ids,
            attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            labels=labels,
            **given,
        )

    def get_image_features(
        self,
        pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Any:
        """What the image encoder makes of images (B, C, H, W)."""
        return self.vision_model(
            pixel_values,
            interpolate_pos_encoding,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )

    def get_qformer_features(
        self,
        pixel_values: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> Any:
        """What the queries find in images (B, C, H, W)."""
        records = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        found = self.look(pixel_values, interpolate_pos_encoding, self.records(records)).queries
        keep = self.config.use_return_dict if return_dict is None else return_dict
        return found if keep else found.to_tuple()


class Blip2ForConditionalGeneration(Blip2Writer, GenerationMixin):
    """Texts about pictures."""

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Token ids of what continues texts (B, T) with images (B, C, H, W); `generate_kwargs` go
        to the language model's ``generate``."""
        features = self.look(pixel_values, interpolate_pos_encoding, {}).features
        return self.write(features, input_ids, attention_mask, generate_kwargs)


class Blip2Comparer(Blip2PreTrainedModel):
    """Base of what embeds pictures or texts by the Q-Former; `reads` and `sees` say what."""

    reads: ClassVar[bool] = True
    sees: ClassVar[bool] = True

    def __init__(self, config: Blip2Config) -> None:
        super().__init__(config)
        queries = config.qformer_config
        if self.sees:
            self.vision_model = Blip2VisionModel(config.vision_config)
        self.query_tokens = nn.Parameter(
            torch.zeros(1, config.num_query_tokens, queries.hidden_size)
        )
        if self.reads:
            check_reads_text(config)
            self.embeddings = TokenEmbeddings(queries)
        self.qformer = Blip2QFormerModel(queries)
        if self.sees:
            self.vision_projection = Linear(queries.hidden_size, config.image_text_hidden_size)
        if self.reads:
            self.text_projection = Linear(queries.hidden_size, config.image_text_hidden_size)
        self.build_head()
        self.post_init()

    def build_head(self) -> None:
        """Create what compares both."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            self.query_tokens.data.normal_(std=self.config.initializer_range)

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of tokens, or of patches where there is no text."""
        return self.embeddings.word_embeddings if self.reads else self.vision_model.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace it."""
        if self.reads:
            self.embeddings.set_submodule("word_embeddings", value)
        else:
            self.vision_model.set_input_embeddings(value)

    def recorded(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the parts are to record, as the call or this model's config says."""
        return {
            name: given[name] if given.get(name) is not None else getattr(self.config, name)
            for name in ("output_attentions", "output_hidden_states")
        }

    def read(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None = None,
        **records: Any,
    ) -> ModelOutput:
        """Hidden states (B, T, D) of texts (B, T)."""
        tokens = self.embeddings(input_ids, position_ids)
        return self.qformer(
            tokens, query_length=0, attention_mask=attention_mask, return_dict=True, **records
        )

    def ask(self, states: Tensor) -> Tensor:
        """What the queries find in pictures' `states` (B, S, D), (B, Q, D)."""
        tokens = self.query_tokens.expand(len(states), -1, -1)
        return self.qformer(tokens, encoder_hidden_states=states, return_dict=True)[0]


class Blip2TextModelWithProjection(Blip2Comparer):
    """Texts where they meet pictures."""

    sees = False
    main_input_name = "input_ids"

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **recording: Any,
    ) -> Blip2TextModelOutput:
        """Embeddings (B, T, P) of unit length of texts (B, T)."""
        read = self.read(input_ids, attention_mask, position_ids, **self.recorded(recording))
        return Blip2TextModelOutput(
            F.normalize(self.text_projection(read[0]), dim=-1),
            read[0],
            read.get("hidden_states"),
            read.get("attentions"),
        )


class Blip2VisionModelWithProjection(Blip2Comparer):
    """Pictures where they meet texts."""

    reads = False

    @task_head
    def forward(
        self, pixel_values: Tensor | None = None, **recording: Any
    ) -> Blip2VisionModelOutput:
        """Embeddings (B, Q, P) of unit length of images (B, C, H, W)."""
        seen = self.vision_model(pixel_values, return_dict=True, **self.recorded(recording))
        return Blip2VisionModelOutput(
            F.normalize(self.vision_projection(self.ask(seen[0])), dim=-1),
            seen[0],
            seen.get("hidden_states"),
            seen.get("attentions"),
        )


class Blip2ForImageTextRetrieval(Blip2Comparer):
    """Whether a text belongs to a picture: by the best of the queries' similarities, or by a head
    over queries that read both."""

    def build_head(self) -> None:
        self.itm_head = Linear(self.config.qformer_config.hidden_size, 2)

    @task_head
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_image_text_matching_head: bool | None = False,
        **recording: Any,
    ) -> Blip2ImageTextMatchingModelOutput:
        """Similarities (images, texts) or, with `use_image_text_matching_head`, logits (B, 2) of
        "no match" and "match" of images (B, C, H, W) and texts (B, T)."""
        seen = self.vision_model(pixel_values, return_dict=True, **self.recorded(recording))
        images: Any = seen[0]
        if use_image_text_matching_head:
            read = self.read_looking(input_ids, attention_mask, images)
            texts = read[0]
            scores = self.itm_head(texts[:, : self.query_tokens.shape[1]]).mean(1)
        else:
            read = self.read(input_ids, attention_mask)
            images = F.normalize(self.vision_projection(self.ask(images)), dim=-1)
            texts = F.normalize(self.text_projection(read[0][:, 0]), dim=-1)
            scores = (images @ texts.t()).amax(1)
        return Blip2ImageTextMatchingModelOutput(
            logits_per_image=scores,
            logits_per_text=scores.t(),
            text_embeds=texts,
            image_embeds=images,
            text_model_output=read,  # type: ignore[arg-type]
            vision_model_output=seen,
        )

    def read_looking(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, images: Tensor
    ) -> ModelOutput:
        """Hidden states (B, Q + T, D) of queries and texts (B, T), which see each other."""
        tokens = self.query_tokens.expand(len(images), -1, -1)
        embedded = self.embeddings(input_ids, query_embeds=tokens)
        mask = None
        if attention_mask is not None:
            mask = torch.cat((attention_mask.new_ones(tokens.shape[:2]), attention_mask), 1)
        return self.qformer(
            embedded,
            query_length=tokens.shape[1],
            attention_mask=mask,
            encoder_hidden_states=images,
            return_dict=True,
        )
