"""The quantization method ``ternary``: every weight becomes -1, 0 or 1 times its row's scale."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dovetail.quantizers import (
    HfQuantizer,
    QuantizationConfigMixin,
    get_keys_to_not_convert,
    replace_linear,
)


@dataclass
class TernaryConfig(QuantizationConfigMixin):
    """Weights below `threshold` times the row's mean magnitude become 0."""

    quant_method: str = "ternary"
    threshold: float = 0.7


class TernaryLinear(nn.Module):
    """A linear layer with weight (out, in) in int8 and one scale per row."""

    def __init__(self, linear):
        super().__init__()
        like = {"device": linear.weight.device}
        self.register_buffer("weight", torch.zeros(linear.weight.shape, dtype=torch.int8, **like))
        self.register_buffer("scale", torch.zeros(linear.out_features, 1, **like))
        self.bias = linear.bias

    def forward(self, x):
        """``x @ weight.T + bias``."""
        return F.linear(x, (self.weight * self.scale).to(x.dtype), self.bias)


class TernaryQuantizer(HfQuantizer):
    """Packs every linear layer but the output layer."""

    def _process_model_before_weight_loading(self, model, **kwargs):
        replace_linear(model, TernaryLinear, skipped=get_keys_to_not_convert(model))

    def check_quantized_param(self, model, param_value, param_name, state_dict, **kwargs):
        """Weights of packed layers, unless they are packed in the checkpoint."""
        path, _, leaf = param_name.rpartition(".")
        packed = leaf == "weight" and isinstance(model.get_submodule(path), TernaryLinear)
        return packed and not self.pre_quantized

    def create_quantized_param(
        self, model, param_value, param_name, target_device, state_dict, unexpected_keys=None
    ):
        """Pack one weight."""
        layer = model.get_submodule(param_name.rpartition(".")[0])
        size = param_value.abs()
        kept = size > self.quantization_config.threshold * size.mean(1, keepdim=True)
        scale = (size * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
        layer.weight = (param_value.sign() * kept).to(target_device, torch.int8)
        layer.scale = scale.to(target_device)

    def update_missing_keys(self, model, missing_keys, prefix):
        """Scales are made while packing."""
        return [name for name in missing_keys if self.pre_quantized or not name.endswith(".scale")]

    def is_serializable(self, safe_serialization=None):
        """Packed weights are ordinary tensors."""
        return True
