"""DoLa, decoding by contrasting layers (arXiv:2309.03883): what the last layer says beyond an
earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dovetail.errors import GenerationError
from dovetail.generation.checks import is_integer
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.inputs import Prompt
from dovetail.generation.strategies.sampling import Sampling
from dovetail.outputs import ModelOutput

DEEP = 40  # models of more layers contrast with the 20 lowest or highest ones
RELATIVE_TOP = 0.1  # tokens less probable than this share of the best one are out
UNLIKELY = -1e-3  # what an earlier layer counts for those


class ContrastingLayers(Sampling):
    """Greedy search or sampling of scores from which an earlier layer's are taken. ``dola_layers``
    is ``"low"``, ``"high"`` or a list of layers; of several the one is taken whose prediction
    differs most from the last layer's.
    """

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of every strategy; `dola_layers` must say which layers."""
        super().check(config, arguments, streamer)
        layers = config.dola_layers
        if layers in ("low", "high"):
            return
        listed = layers if isinstance(layers, list | tuple) else ()
        if not listed or not all(is_integer(layer) and layer >= 0 for layer in listed):
            raise GenerationError(
                f"dola_layers={layers!r}: it must be 'low', 'high' or a list of layer numbers"
            )

    def check_prompt(self, model: Any, prompt: Prompt, arguments: Mapping[str, Any]) -> None:
        """Raise `GenerationError` for a model with an encoder, or without an output layer."""
        if model.config.is_encoder_decoder:
            raise GenerationError(
                f"dola_layers: {type(model).__name__} has an encoder, and DoLa contrasts layers "
                "of a decoder alone: leave dola_layers out"
            )
        if model.get_output_embeddings() is None:
            raise GenerationError(
                f"dola_layers: {type(model).__name__} has no output layer that reads earlier ones"
            )

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """As of sampling, with other logits."""
        layers = contrasted_layers(decoding.config.dola_layers, decoding.model.config)
        return super().run(_Contrast.of(decoding, layers))


class _Contrast(Decoding):
    """A generation whose next logits are contrasted with those of earlier `layers`."""

    layers: list[int]

    @classmethod
    def of(cls, decoding: Decoding, layers: list[int]) -> _Contrast:
        contrast = cls.__new__(cls)
        contrast.__dict__.update(decoding.__dict__, layers=layers)
        return contrast

    def next_logits(self) -> Tensor:
        """Contrasted scores (B, V); what is recorded as logits is the last layer's."""
        output, self.model_kwargs = self.forward(
            self.ids, self.model_kwargs, output_hidden_states=True
        )
        device = self.ids.device
        final = output.logits[:, -1].to(device, torch.float32, copy=True)
        self.note(output, final)
        head = self.model.get_output_embeddings()
        earlier = torch.stack(
            [
                head(output["hidden_states"][layer][:, -1]).to(device, torch.float32)
                for layer in self.layers
            ]
        )  # (layers, B, V)
        return contrast(final, earlier)


def contrasted_layers(wanted: str | list[int] | None, config: Any) -> list[int]:
    """The layers that `wanted` stands for, in a model of this config; 0 is the embedding.

    Raises `GenerationError` when none is below the last.
    """
    text = config.get_text_config()
    last = text.num_hidden_layers
    # With tied weights the embedding itself predicts its own token.
    first = min(2, max(last - 1, 0)) if text.tie_word_embeddings else 0
    if not isinstance(wanted, str):
        layers = [layer for layer in wanted or () if layer < last]
    elif wanted == "high":
        layers = list(range(last // 2 if last <= DEEP else last - 20, last, 2))
    elif first == last // 2:
        layers = [first]
    else:
        layers = list(range(first, last // 2 if last <= DEEP else 20, 2))
    if not layers:
        raise GenerationError(
            f"dola_layers={wanted!r}: the model has {last} layers, so list some of 0 to {last - 1}"
        )
    return layers


def contrast(final: Tensor, earlier: Tensor) -> Tensor:
    """Scores (B, V): log-probabilities of `final` (B, V) less those of one of `earlier`
    (layers, B, V), minus infinity for tokens of little probability.
    """
    base = earlier[0] if len(earlier) == 1 else earlier[_most_different(final, earlier)]
    scores, base = final.log_softmax(dim=-1), base.log_softmax(dim=-1)
    unlikely = scores < scores.amax(dim=-1, keepdim=True) + log(RELATIVE_TOP)
    return scores.masked_fill(unlikely, float("-inf")) - base.masked_fill(unlikely, UNLIKELY)


def _most_different(final: Tensor, earlier: Tensor) -> int:
    """The layer of the greatest Jensen-Shannon divergence from `final`, all rows together."""
    mean = 0.5 * (final.softmax(dim=-1) + earlier.softmax(dim=-1))  # (layers, B, V)
    mature, premature = final.log_softmax(dim=-1), earlier.log_softmax(dim=-1)
    divergence = F.kl_div(mature.expand_as(mean), mean, reduction="none") + F.kl_div(
        premature, mean, reduction="none"
    )
    return int(divergence.mean(dim=(-1, -2)).argmax())
