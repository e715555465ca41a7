"""The layer of HQQ, with the tensors that its checkpoints hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import CheckpointError, ConfigError
from dovetail_quantizers.hqq.algorithm import fitted
from dovetail_quantizers.hqq.configuration import LayerSettings
from dovetail_quantizers.layers import PackedLinear

PER_WORD = {1: 8, 2: 4, 3: 10, 4: 2, 8: 1}
"""Codes in a word: 32 bits for 3-bit codes, 8 for the others."""
FLAGS = (
    "view_as_float",
    "quant_scale",
    "quant_zero",
    "offload_meta",
    "encoded_state_dict",
    "stores_quant_config",
    "channel_wise",
    "optimize",
    "round_zero",
)
SET = ("encoded_state_dict", "stores_quant_config", "channel_wise", "optimize")


class HQQLinear(PackedLinear):
    """`W_q` packs codes of a matrix with a group in each row (axis 1) or column (axis 0), its
    parts one above the other in the bits of a word, the first highest; `scale` and `zero` for each
    group. What checkpoints hold besides describes this and is checked.
    """

    def __init__(self, layer: nn.Linear, name: str, settings: LayerSettings) -> None:
        super().__init__(layer)
        self.settings, self.name = settings, name
        size = settings.group_size or self.weight_shape[settings.axis]
        count = self.in_features * self.out_features
        if count % size:
            raise ConfigError(
                f"{name}: group_size={size} does not divide its {count} weights. Choose one that "
                "does, or name the layer in skip_modules."
            )
        self.grouped = (count // size, size) if settings.axis == 1 else (size, count // size)
        per_word = PER_WORD[settings.nbits]
        self.word = torch.int32 if settings.nbits == 3 else torch.uint8
        packed = (-(-self.grouped[0] // per_word), self.grouped[1])
        spans = (self.grouped[0], 1) if settings.axis == 1 else (1, self.grouped[1])
        self.register_buffer("W_q", torch.empty(packed, dtype=self.word, device="meta"))
        for leaf in ("scale", "zero"):
            self.register_buffer(leaf, torch.empty(spans, dtype=self.dtype, device="meta"))
        for leaf, tensor in self._description().items():
            self.register_buffer(leaf, torch.empty_like(tensor, device="meta"))

    def claims(self, name: str) -> bool:
        """All tensors: some are texts of any length."""
        return True

    def place(self, name: str, tensor: Tensor) -> None:
        """Put a tensor into its buffer.

        Raises:
            CheckpointError: it contradicts the config, or has another shape.
        """
        expected = self._description().get(name)
        if name in ("nbits", "group_size", "axis", "shape") and expected is not None:
            if tensor.tolist() != expected.tolist():
                raise CheckpointError(
                    f"{self.name}.{name} is {tensor.tolist()} in the checkpoint, but its config "
                    f"says {expected.tolist()}. Correct quantization_config in config.json."
                )
        elif expected is None and tensor.shape != self._buffers[name].shape:  # type: ignore[union-attr]
            raise CheckpointError(
                f"{self.name}.{name} is {tuple(tensor.shape)} in the checkpoint, but "
                f"{self.settings} makes it {tuple(self._buffers[name].shape)}. "  # type: ignore[union-attr]
                "Correct quantization_config in config.json."
            )
        self._buffers[name] = tensor

    def dequantized(self) -> Tensor:
        """The weight in the type of the scales."""
        codes = self._unpacked().to(self.scale.dtype)
        return ((codes - self.zero) * self.scale).view(self.weight_shape)

    def quantize(self, weight: Tensor) -> None:
        """Choose codes, scales and zeros."""
        groups = weight.float().reshape(self.grouped)
        codes, scale, zero = fitted(groups, self.settings.nbits, self.settings.axis)
        self.W_q = self._packed(codes)
        self.scale, self.zero = scale.to(weight.dtype), zero.to(weight.dtype)
        for name, tensor in self._description().items():
            self._buffers[name] = tensor

    def _packed(self, codes: Tensor) -> Tensor:
        per_word, width = PER_WORD[self.settings.nbits], self.settings.nbits
        padded = nn.functional.pad(codes, (0, 0, 0, -len(codes) % per_word))
        parts = padded.to(self.word).chunk(per_word)
        word = torch.zeros_like(parts[0])
        for rank, part in enumerate(parts):
            word |= part << width * (per_word - 1 - rank)
        return word

    def _unpacked(self) -> Tensor:
        per_word, width = PER_WORD[self.settings.nbits], self.settings.nbits
        shifts = [width * (per_word - 1 - rank) for rank in range(per_word)]
        parts = [self.W_q >> shift & (2**width - 1) for shift in shifts]
        return torch.cat(parts)[: self.grouped[0]]

    def _description(self) -> dict[str, Tensor]:
        """What the format's package writes about a layer, besides its codes."""
        settings = self.settings
        packing = "3bit_32" if settings.nbits == 3 else f"{settings.nbits}bit_u8"
        numbers = {"nbits": settings.nbits, "axis": settings.axis}
        if settings.group_size is not None:
            numbers["group_size"] = settings.group_size
        texts = {
            "packing": packing,
            "unpack_view_dtype": str(self.word),
            "compute_dtype": str(self.dtype),
        }
        flags = {name: name in SET for name in FLAGS} | {"round_zero": settings.nbits == 4}
        described: dict[str, Any] = {
            name: torch.tensor(value, dtype=torch.int32) for name, value in numbers.items()
        }
        described |= {
            name: torch.tensor(list(text.encode()), dtype=torch.uint8)
            for name, text in texts.items()
        }
        described |= {name: torch.tensor(flag, dtype=torch.uint8) for name, flag in flags.items()}
        return described | {"shape": torch.tensor(self.weight_shape)}
