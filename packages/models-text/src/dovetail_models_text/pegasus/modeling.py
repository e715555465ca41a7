"""Pegasus: summarisation by filling in sentences (arXiv 1912.08777).

BART's blocks with norms before and fixed positions.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail_models_text.bart.modeling import (
    COMPUTED,
    BartDecoderWrapper,
    BartForCausalLM,
    BartForConditionalGeneration,
    BartModel,
    BartPreTrainedModel,
    BartStack,
    position_embedding,
)
from dovetail_models_text.pegasus.configuration import PegasusConfig


class PegasusPreTrainedModel(BartPreTrainedModel):
    config_class = PegasusConfig
    decoder_repeats_text = False
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = COMPUTED

    def _stacks(self) -> list[Any]:
        return [module for module in self.modules() if isinstance(module, BartStack)]

    def get_position_embeddings(self) -> Any:
        """The position embedding of the decoder or, where there is an encoder, of both."""
        found = tuple(stack.embed_positions for stack in self._stacks())
        return found if len(found) > 1 else found[0]

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Make room for texts of `new_num_position_embeddings` tokens."""
        self.config.max_position_embeddings = new_num_position_embeddings
        for stack in self._stacks():
            stack.config.max_position_embeddings = new_num_position_embeddings
            stack.embed_positions = position_embedding(stack.config).to(self.device, self.dtype)


class PegasusModel(PegasusPreTrainedModel, BartModel):
    """Encoder and decoder without a head."""


class PegasusForConditionalGeneration(PegasusPreTrainedModel, BartForConditionalGeneration):
    """Summarisation."""

    body_class = PegasusModel


class PegasusDecoderWrapper(PegasusPreTrainedModel, BartDecoderWrapper):
    """Holds a decoder under the name that it has in a whole model."""


class PegasusForCausalLM(PegasusPreTrainedModel, BartForCausalLM):
    """Left-to-right language modelling by the decoder alone."""

    body_class = PegasusDecoderWrapper
