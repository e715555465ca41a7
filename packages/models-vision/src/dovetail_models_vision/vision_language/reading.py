"""Reading pictures within a text: their features go in the places of tokens, once for a prompt.

B batch, T tokens, D width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation import GenerationMixin
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.inputs import Arguments, Prompt
from dovetail.modeling import PreTrainedModel
from dovetail_models_vision.vision_language.features import Visual, place


class PlacesPictures(PreTrainedModel):
    """Base of what reads pictures in the places of tokens, whatever else it is."""

    visual_inputs: ClassVar[tuple[str, ...]] = ("pixel_values",)
    """Arguments of `encode`, which `generate` takes, too."""

    @abstractmethod
    def encode(self, **visual: Any) -> Sequence[Visual]:
        """The features of the pictures among `visual_inputs`; none without pictures."""

    def embed_with(
        self,
        input_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        seen: Sequence[Visual],
        past: int = 0,
    ) -> Tensor:
        """Embeddings (B, T, D) of `input_ids` (B, T) with the pictures `seen` in their places.

        The first `past` tokens are in a cache: pictures may be those of the whole text, or those
        behind them alone.

        Raises:
            ValueError: both or neither of ids and embeddings, pictures without ids, or not as many
                places as features.
        """
        if seen and inputs_embeds is not None:
            raise ValueError(
                "Pictures are put in the places of their tokens: give input_ids with them, not "
                "inputs_embeds."
            )
        embeddings = self.embed(input_ids, inputs_embeds)
        for visual in seen:
            places = torch.eq(input_ids, visual.token)  # type: ignore[arg-type] # embed checked it
            if past and int(places.sum()) != visual.count:
                places[:, :past] = False
            embeddings = place(embeddings, places, visual)
        return embeddings

    def recorded_by_default(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments `given` to the language model, with what this model's own config says is to
        be recorded."""
        names = ("output_attentions", "output_hidden_states")
        own = {name: getattr(self.config, name) for name in names}
        return {**own, **{name: value for name, value in given.items() if value is not None}}


class ReadsPictures(PlacesPictures, GenerationMixin):
    """Base of what writes about the pictures that it reads."""

    def _prepare_model_kwargs(
        self, prompt: Prompt, rows: int, config: GenerationConfig, model_kwargs: Arguments
    ) -> tuple[Tensor, Arguments]:
        """As everywhere; pictures are encoded here, once, and go on as embeddings of the prompt."""
        names = self.visual_inputs
        visual = {name: model_kwargs.pop(name) for name in names if name in model_kwargs}
        seen = self.encode(**visual)
        if not seen:
            return super()._prepare_model_kwargs(prompt, rows, config, model_kwargs)
        if prompt.reads_embeddings:
            raise GenerationError(
                f"inputs_embeds and {next(iter(visual))} are both given: pictures need input_ids, "
                "in whose places they are put."
            )
        read = replace(prompt, reads_embeddings=True)
        input_ids, model_kwargs = super()._prepare_model_kwargs(read, rows, config, model_kwargs)
        past = int(model_kwargs["cache_position"][0])
        embeddings = self.embed_with(prompt.input_ids, None, seen, past)[:, past:]
        model_kwargs["inputs_embeds"] = embeddings.repeat_interleave(rows, 0)
        return input_ids, model_kwargs

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, cache_position: Tensor | None = None, **kwargs: Any
    ) -> Arguments:
        """Arguments of one forward pass; pictures only go with the first."""
        visual = [name for name in self.visual_inputs if kwargs.get(name) is not None]
        if visual and cache_position is not None and int(cache_position[0]) > 0:
            kwargs = {name: value for name, value in kwargs.items() if name not in visual}
        return super().prepare_inputs_for_generation(
            input_ids, cache_position=cache_position, **kwargs
        )
