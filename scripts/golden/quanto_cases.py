"""Checkpoints packed by optimum-quanto."""

from __future__ import annotations

import torch
from optimum.quanto import freeze, qfloat8, qint2, qint4, qint8, quantize
from quantized import Case, Pack
from torch import Tensor, nn

TYPES = {"int8": qint8, "int4": qint4, "int2": qint2, "float8": qfloat8}


def quanto(name: str) -> Pack:
    """A pack of this type."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        model = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
        model[0].weight = nn.Parameter(weight.clone(), requires_grad=False)
        quantize(model, weights=TYPES[name])
        freeze(model)
        tensors = {key.removeprefix("0."): value for key, value in model.state_dict().items()}
        scales = {key: value.to(weight.dtype) for key, value in tensors.items() if "put_" in key}
        return tensors | scales, model[0].weight.dequantize()

    return pack


CASES = [
    Case(
        f"quanto-{name}",
        {"quant_method": "quanto", "weights": name, "activations": None},
        quanto(name),
        dtype,
    )
    for name, dtype in (
        ("int8", torch.float32),
        ("int4", torch.float32),
        ("int2", torch.float32),
        ("float8", torch.float32),
    )
]
