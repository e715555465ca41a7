"""How a model is given the layers of compressed-tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError
from dovetail_quantizers.compressed_tensors.configuration import DENSE, PACKED
from dovetail_quantizers.compressed_tensors.layers import (
    CompressedLinear,
    DenseLinear,
    PlainLinear,
    WordsLinear,
)
from dovetail_quantizers.layers import PackedEmbedding, PackedLinear
from dovetail_quantizers.method import PackedQuantizer

KEPT = (
    "weight_g_idx",
    "weight_zero_point",
    *(f"{side}_{leaf}" for side in ("input", "output") for leaf in ("scale", "zero_point")),
    *(f"{side}_{leaf}" for side in ("q", "k", "v") for leaf in ("scale", "zero_point")),
)
"""Tensors that only some checkpoints hold: orders, zeros that are all 0, ranges of activations and
of caches."""


class CompressedTensorsHfQuantizer(PackedQuantizer):
    """See `CompressedTensorsConfig`."""

    def skipped(self, model: nn.Module) -> list[str]:
        """None: the config's groups and its `ignore` say it for each layer."""
        return []

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear | None:
        """A layer in the format of the group that names it."""
        config: Any = self.quantization_config
        settings = config.weights_of(name, "Linear")
        if settings is None:
            return None
        if settings.format in DENSE:
            return DenseLinear(linear, name, settings)
        return (WordsLinear if settings.format == PACKED else PlainLinear)(linear, name, settings)

    def packed_embedding(self, name: str, embedding: nn.Embedding) -> PackedEmbedding | None:
        """None: embeddings cannot be packed in these formats here.

        Raises:
            ConfigError: the config wants it.
        """
        config: Any = self.quantization_config
        if config.weights_of(name, "Embedding") is not None:
            raise ConfigError(
                f"{name} is an embedding, and config_groups of CompressedTensorsConfig names it: "
                "only projections are packed. Name it in ignore."
            )
        return None

    def create_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        target_device: torch.device,
        state_dict: Mapping[str, Tensor],
        unexpected_keys: list[str] | None = None,
    ) -> None:
        """Place or pack one tensor; with the first, those come that only some checkpoints hold."""
        if self.pre_quantized and unexpected_keys:
            for name in [key for key in unexpected_keys if key.rpartition(".")[2] in KEPT]:
                self._keep(model, name, state_dict[name].to(target_device))
                unexpected_keys.remove(name)
        super().create_quantized_param(
            model, param_value, param_name, target_device, state_dict, unexpected_keys
        )

    def _keep(self, model: nn.Module, name: str, tensor: Tensor) -> None:
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        if isinstance(module, CompressedLinear):
            module.adopt(leaf, tensor)
        else:
            module.register_buffer(leaf, tensor)

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        super()._process_model_after_weight_loading(model, **kwargs)
        config: Any = self.quantization_config
        if self.pre_quantized and not config.run_compressed:
            self.dequantize(model)
