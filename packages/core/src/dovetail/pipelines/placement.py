"""Where a pipeline's model and tensors are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import PipelineError
from dovetail.outputs import ModelOutput


def moved(value: Any, device: torch.device) -> Any:
    """`value` with all tensors in it, however nested, on `device`; other objects as they are."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, ModelOutput):
        return type(value)(**{name: moved(item, device) for name, item in value.items()})
    if isinstance(value, Mapping):
        return {name: moved(item, device) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(moved(item, device) for item in value)
    return value


def target_device(model: nn.Module, device: int | str | torch.device | None) -> torch.device:
    """Where the pipeline runs: `device` (-1 is the CPU, n the n-th GPU), or where the model
    already is."""
    device_map = getattr(model, "hf_device_map", None)
    if device_map and device is not None:
        raise PipelineError(
            f"device={device!r} was given for a model that a device_map has spread over "
            f"{sorted(set(map(str, device_map.values())))}. "
            "Leave `device` out, or load the model without device_map."
        )
    if device_map:
        device = next(iter(device_map.values()))
    if device is None:
        parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        return torch.device("cpu") if parameter is None else parameter.device
    if isinstance(device, int) and device < 0:
        return torch.device("cpu")
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise _unusable(device) from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise _unusable(device)
    return target


def _unusable(device: Any) -> PipelineError:
    return PipelineError(
        f"device={device!r} is no device that torch can use on this machine: name one that it has, "
        "such as 'cuda:0' (or 0), 'mps', or 'cpu' (or -1)."
    )


def place(model: nn.Module, device: torch.device, dtype: str | torch.dtype | None) -> nn.Module:
    """The model in evaluation mode, on `device` (unless a device map has placed it) and of `dtype`
    where given."""
    if not isinstance(model, nn.Module):
        return model
    if isinstance(dtype, str):
        dtype = None if dtype == "auto" else getattr(torch, dtype.removeprefix("torch."))
    target = None if getattr(model, "hf_device_map", None) else device
    parameter = next(model.parameters(), None)
    if parameter is not None and (
        parameter.device != device or dtype not in (None, parameter.dtype)
    ):
        model = model.to(device=target, dtype=dtype)
    return model.eval()
