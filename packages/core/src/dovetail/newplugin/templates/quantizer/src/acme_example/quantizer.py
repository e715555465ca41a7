"""Eight-bit rows: each row of a weight is divided by its largest magnitude and rounded to int8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.quantizers import HfQuantizer, get_keys_to_not_convert, replace_linear

STEPS = 127


class PackedLinear(nn.Module):
    """A linear layer with weight (out, in) in int8 and one scale per row."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        shape, device, dtype = linear.weight.shape, linear.weight.device, linear.weight.dtype
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", torch.empty(shape, dtype=torch.int8, device=device))
        self.register_buffer("scale", torch.empty(shape[0], dtype=dtype, device=device))
        self.bias = linear.bias

    def pack(self, weight: Tensor, device: torch.device) -> None:
        """Store the rounded form of `weight` (out, in) on `device`."""
        scale = weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / STEPS
        self.weight = (weight / scale[:, None]).round().to(device, torch.int8)
        self.scale = scale.to(device, self.scale.dtype)

    def unpacked(self) -> Tensor:
        """The weight (out, in) in floating point."""
        return self.weight.to(self.scale.dtype) * self.scale[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """``x @ weight.T + bias``."""
        return F.linear(x, self.unpacked().to(x.dtype), self.bias)


class AcmeExampleQuantizer(HfQuantizer):
    """Packs every linear layer but the output layer while a checkpoint is loaded."""

    requires_calibration: ClassVar[bool] = False

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        kept = self.quantization_config.modules_to_not_convert
        replace_linear(model, PackedLinear, skipped=[*get_keys_to_not_convert(model), *kept])

    def check_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        state_dict: Mapping[str, Tensor],
        **kwargs: Any,
    ) -> bool:
        """Weights of packed layers, unless the checkpoint holds them packed already."""
        path, _, leaf = param_name.rpartition(".")
        packed = leaf == "weight" and isinstance(model.get_submodule(path), PackedLinear)
        return packed and not self.pre_quantized

    def create_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        target_device: torch.device,
        state_dict: Mapping[str, Tensor],
        unexpected_keys: list[str] | None = None,
    ) -> None:
        """Pack one weight."""
        model.get_submodule(param_name.rpartition(".")[0]).pack(param_value, target_device)

    def update_missing_keys(
        self, model: nn.Module, missing_keys: list[str], prefix: str
    ) -> list[str]:
        """Scales are made while packing."""
        if self.pre_quantized:
            return missing_keys
        return [name for name in missing_keys if not name.endswith(".scale")]

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        """Packed weights are ordinary tensors: they can be saved."""
        return True
