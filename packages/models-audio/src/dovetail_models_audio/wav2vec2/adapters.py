"""Adapters per language: small files beside a checkpoint, which make one model serve many languages
(MMS, arXiv 2305.13516)."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dovetail.errors import CheckpointError, ConfigError
from dovetail.hub import cached_file
from dovetail.layers.projections import Linear
from dovetail.modeling import PreTrainedModel
from dovetail_models_audio.wav2vec2.encoder import LanguageAdapter


class LanguageAdapters(PreTrainedModel):
    """A model whose layers may have an adapter, which goes with the head trained beside it."""

    target_lang: str | None = None
    lm_head: Any

    def _get_adapters(self) -> dict[str, nn.Parameter]:
        """The parameters that depend on the language, by name.

        Raises:
            ConfigError: the model has no adapters.
        """
        if self.config.adapter_attn_dim is None:
            raise ConfigError(
                f"{type(self).__name__} has no adapters: set config.adapter_attn_dim, with "
                "do_stable_layer_norm=True, or load a checkpoint that has them."
            )
        parts = {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, LanguageAdapter) or name == "lm_head"
        }
        return {
            f"{prefix}.{name}": parameter
            for prefix, module in parts.items()
            for name, parameter in module.named_parameters()
        }

    def init_adapter_layers(self) -> None:
        """Give the adapters, and the head that goes with them, fresh weights."""
        self._get_adapters()
        for name, module in self.named_modules():
            if isinstance(module, LanguageAdapter) or name == "lm_head":
                for part in module.modules():
                    self._init_weights(part)

    def load_adapter(self, target_lang: str, force_load: bool = True, **options: Any) -> None:
        """Load the adapter of a language, and its head, from where the model came from.

        `force_load` reads it again where it is loaded already; `options` say how to fetch, as in
        `from_pretrained`.

        Raises:
            ConfigError: the model has no adapters.
            CheckpointError: there is no adapter for this language, or it is of another model.
        """
        adapters = self._get_adapters()
        if target_lang == self.target_lang and not force_load:
            return
        tensors = _read(str(self.config.name_or_path), target_lang, options)
        if set(tensors) != set(adapters):
            odd = sorted(set(tensors) ^ set(adapters))
            raise CheckpointError(
                f"The adapter of {target_lang!r} is not of this model: {', '.join(odd[:5])} are in "
                "one of them only."
            )
        if "lm_head.weight" in tensors:
            self._resize_head(len(tensors["lm_head.weight"]))
        with torch.no_grad():
            for name, parameter in self._get_adapters().items():
                parameter.copy_(tensors[name])
        self.target_lang = target_lang

    def _resize_head(self, size: int) -> None:
        head: Any = self.lm_head
        if size != head.out_features:
            made = Linear(head.in_features, size)
            self.lm_head = made.to(head.weight.device, head.weight.dtype)
            self.config.vocab_size = size


def _read(source: str, language: str, options: dict[str, Any]) -> dict[str, Tensor]:
    for suffix in ("safetensors", "bin"):
        file = cached_file(
            source, f"adapter.{language}.{suffix}", raise_on_missing=False, **options
        )
        if file is not None and suffix == "safetensors":
            return load_file(file)
        if file is not None:
            return torch.load(file, map_location="cpu", weights_only=True)
    raise CheckpointError(
        f"{source} has no adapter.{language}.safetensors: the checkpoint does not know the "
        f"language {language!r}."
    )
