"""How a model is given the layers of Dovetail's own methods."""

from __future__ import annotations

from typing import Any

from torch import nn

from dovetail.quantizers import get_keys_to_not_convert
from dovetail_quantizers.layers import PackedEmbedding, PackedLinear
from dovetail_quantizers.method import PackedQuantizer
from dovetail_quantizers.native.layers import (
    HalfEmbedding,
    HalfLinear,
    Int4Linear,
    Int8Embedding,
    Int8Linear,
)


class NativeQuantizer(PackedQuantizer):
    """Packs every projection, and embedding and output layer unless the config says otherwise."""

    def skipped(self, model: nn.Module) -> list[str]:
        """What the config names, and the output layer if it is to stay as it is."""
        config: Any = self.quantization_config
        head = [] if config.head else get_keys_to_not_convert(model)
        return [*(config.modules_to_not_convert or ()), *head]

    def packed_embedding(self, name: str, embedding: nn.Embedding) -> PackedEmbedding | None:
        """`embedding`, unless the config says otherwise."""
        config: Any = self.quantization_config
        return self.embedding(embedding) if config.embeddings else None

    def embedding(self, embedding: nn.Embedding) -> PackedEmbedding:
        """The packed embedding of this method."""
        return Int8Embedding(embedding)


class Int8Quantizer(NativeQuantizer):
    """See `Int8Config`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of bytes."""
        return Int8Linear(linear)


class Int4Quantizer(NativeQuantizer):
    """See `Int4Config`; a projection into whose rows no group fits gets bytes."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of half bytes."""
        config: Any = self.quantization_config
        if linear.in_features % config.group_size:
            return Int8Linear(linear)
        return Int4Linear(linear, config.group_size)


class HalfQuantizer(NativeQuantizer):
    """See `HalfConfig`; what it saves is an ordinary checkpoint."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of 16 bits, if its weight fits."""
        return HalfLinear(linear)

    def embedding(self, embedding: nn.Embedding) -> PackedEmbedding:
        """An embedding in 16 bits, if it fits."""
        return HalfEmbedding(embedding)

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        super()._process_model_after_weight_loading(model, **kwargs)
        del model.config.quantization_config  # type: ignore[union-attr]
