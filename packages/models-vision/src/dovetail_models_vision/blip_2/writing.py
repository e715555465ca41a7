"""What BLIP-2 and InstructBLIP have in common: an image encoder, a Q-Former, and a language model
that reads the queries in the places of tokens, or in front of the text.

B batch, C channels, H height, W width, Q queries, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from dovetail.auto import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from dovetail.errors import GenerationError
from dovetail.layers.projections import Linear
from dovetail.losses import language_modeling_loss
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import ModelOutput
from dovetail_models_vision.blip.vision import BlipVisionModel
from dovetail_models_vision.blip_2.outputs import Blip2ForConditionalGenerationModelOutput
from dovetail_models_vision.blip_2.qformer import QFormer
from dovetail_models_vision.vision_language.features import Visual, place

RECORDS = ("output_attentions", "output_hidden_states")
DEFAULT_LENGTH = 20
"""Tokens of a text, unless a call or its settings say otherwise."""


class Seen(NamedTuple):
    """What the parts made of pictures: `features` (B, Q, D) are what the language model reads."""

    vision: ModelOutput
    queries: ModelOutput
    features: Tensor


class Prompt(NamedTuple):
    """What the language model reads."""

    inputs_embeds: Tensor
    attention_mask: Tensor


class QueryWriter(PreTrainedModel):
    """Base of the models that write; a family names the classes of the parts, and what kind of
    pictures its placeholder stands for."""

    vision_class: ClassVar[type[BlipVisionModel]]
    qformer_class: ClassVar[type[QFormer]]
    output_class: ClassVar[type[Blip2ForConditionalGenerationModelOutput]] = (
        Blip2ForConditionalGenerationModelOutput
    )
    kind: ClassVar[str] = "image"
    language_model: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vision_model = self.vision_class(config.vision_config)
        width = config.qformer_config.hidden_size
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, width))
        self.qformer = self.qformer_class(config.qformer_config)
        self.language_projection = Linear(width, config.text_config.hidden_size)
        only = config.use_decoder_only_language_model
        auto: Any = AutoModelForCausalLM if only else AutoModelForSeq2SeqLM
        self.language_model = auto.from_config(config.text_config)
        config.text_config = self.language_model.config
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            self.query_tokens.data.normal_(std=self.config.initializer_range)

    # The language model's

    def get_input_embeddings(self) -> nn.Module:
        """The language model's."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """The language model's."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the language model's."""
        self.language_model.set_output_embeddings(new_embeddings)

    def get_encoder(self) -> Any:
        """The language model's."""
        return self.language_model.get_encoder()

    def get_decoder(self) -> Any:
        """The language model's."""
        return self.language_model.get_decoder()

    # One forward pass

    @property
    def placeholder(self) -> int | None:
        """The token in whose places pictures are put; None where they go in front of the text."""
        return getattr(self.config, f"{self.kind}_token_index")

    def records(self, given: dict[str, Any]) -> dict[str, Any]:
        """What every part is to record, as the call or this model's config says."""
        unknown = sorted(given.keys() - {*RECORDS, "return_dict"})
        if unknown:
            raise TypeError(f"{type(self).__name__} takes no argument {', '.join(unknown)}.")
        wanted = {name: given.get(name) for name in RECORDS}
        return {
            name: getattr(self.config, name) if value is None else value
            for name, value in wanted.items()
        }

    def look(
        self,
        pixel_values: Tensor | None,
        interpolate_pos_encoding: bool,
        records: dict[str, Any],
        frames: int = 1,
        **text: Tensor | None,
    ) -> Seen:
        """What queries find in pictures (B, C, H, W), as a `text` for the Q-Former asks. Those of
        `frames` pictures in a row belong together."""
        vision = self.vision_model(
            pixel_values, interpolate_pos_encoding, return_dict=True, **records
        )
        tokens = self.query_tokens.expand(len(vision[0]), -1, -1)
        queries = self.qformer(
            query_embeds=tokens,
            encoder_hidden_states=vision[0],
            return_dict=True,
            **text,
            **records,
        )
        features = self.language_projection(queries[0][:, : tokens.shape[1]])
        return Seen(vision, queries, features.unflatten(0, (-1, frames)).flatten(1, 2))

    def prompt(self, input_ids: Tensor, attention_mask: Tensor | None, features: Tensor) -> Prompt:
        """Texts (B, T) with the `features` of their pictures.

        Raises:
            ValueError: the texts have more or fewer places than there are features.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        token = self.placeholder
        if token is not None:
            visual = Visual(self.kind, token, features)
            return Prompt(place(embeddings, input_ids == token, visual), attention_mask)
        if len(features) != len(input_ids):
            raise ValueError(
                f"input_ids hold {len(input_ids)} texts and pixel_values belong to "
                f"{len(features)}: give one {self.kind} for each text."
            )
        seen = attention_mask.new_ones(features.shape[:2])
        return Prompt(
            torch.cat((features.to(embeddings), embeddings), 1),
            torch.cat((seen, attention_mask), 1),
        )

    def predict(
        self, seen: Seen, prompt: Prompt, labels: Tensor | None, records: dict[str, Any], **kw: Any
    ) -> ModelOutput:
        """Logits (B, T, V) after the `prompt` and, with `labels`, the loss; `kw` are for the
        decoder of a language model that has an encoder."""
        given: dict[str, Any] = {**prompt._asdict(), **records, "return_dict": True}
        if self.config.use_decoder_only_language_model:
            written = self.language_model(**given)
            logits, loss = written.logits, None
            if labels is not None:  # pictures in front have none
                logits = logits[:, -labels.shape[1] :]
                loss = language_modeling_loss(logits, labels)
        else:
            written = self.language_model(**given, labels=labels, **kw)
            logits, loss = written.logits, written.get("loss")
        return self.output_class(
            loss=loss,
            logits=logits,
            vision_outputs=seen.vision,
            qformer_outputs=seen.queries,
            language_model_outputs=written,
        )

    # Generation

    def begin(self) -> int:
        """The token that begins every text."""
        return self.config.text_config.bos_token_id

    def write(
        self,
        features: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        settings: dict[str, Any],
    ) -> Any:
        """What the language model writes after texts (B, T) with the `features` of their pictures;
        without texts after the token that begins them. A decoder's text begins with that token
        in place of what it read."""
        if input_ids is None:
            begin = [self.config.text_config.bos_token_id]
            if begin == [None]:
                raise GenerationError(
                    "text_config.bos_token_id is None, so there is nothing to begin a text with: "
                    "give input_ids."
                )
            if self.placeholder is not None:
                begin = [self.placeholder] * features.shape[1] + begin
            input_ids = torch.tensor([begin], device=features.device).expand(len(features), -1)
        prompt = self.prompt(input_ids, attention_mask, features)
        if not self.config.use_decoder_only_language_model:
            return self.language_model.generate(**prompt._asdict(), **settings)
        if self.placeholder is None:
            settings = text_lengths(settings, features.shape[1])
        written = self.language_model.generate(**prompt._asdict(), **settings)
        whole = not isinstance(written, Tensor)
        ids = written.sequences if whole else written
        ids = torch.cat((ids.new_full((len(ids), 1), self.begin()), ids), 1)
        if whole:
            written.sequences = ids
            return written
        return ids


def text_lengths(settings: dict[str, Any], count: int) -> dict[str, Any]:
    """The `settings` of a call whose ``max_length`` and ``min_length`` leave out the `count`
    positions of pictures in front of a text."""
    own = settings.get("generation_config")

    def found(name: str, default: Any) -> Any:
        value = settings.get(name, getattr(own, name, None))
        return default if value is None else value

    lengths = {}
    if found("max_new_tokens", None) is None:
        lengths["max_length"] = found("max_length", DEFAULT_LENGTH) + count - 1
    if found("min_new_tokens", None) is None:
        lengths["min_length"] = found("min_length", 0) + count
    return {**settings, **lengths}
