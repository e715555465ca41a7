"""The output of feature extractors, image processors and processors."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dovetail.errors import ProcessorError

if TYPE_CHECKING:
    import torch


class BatchFeature(UserDict[str, Any]):
    """A model's inputs by name, also readable as attributes.

    `tensor_type` is ``"pt"`` or ``"np"``: what lists are turned into.

    >>> BatchFeature({"input_values": [[0.5, 1.0]]}, tensor_type="np").input_values.shape
    (1, 2)
    """

    def __init__(
        self, data: Mapping[str, Any] | None = None, tensor_type: str | None = None
    ) -> None:
        super().__init__(data or {})
        self.convert_to_tensors(tensor_type=tensor_type)

    def __getitem__(self, item: str) -> Any:
        if not isinstance(item, str):
            raise KeyError(
                f"A BatchFeature is read by name, not by {item!r}; it holds {list(self.data)}."
            )
        return self.data[item]

    def __getattr__(self, item: str) -> Any:
        try:
            return self.__dict__["data"][item]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {item!r}.") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]

    def convert_to_tensors(self, tensor_type: str | None = None) -> Self:
        """Turn every value into a tensor of the framework, in place.

        Raises:
            ProcessorError: a value whose rows differ in length; the message names it.
        """
        if tensor_type is None:
            return self
        convert = _converter(tensor_type)
        for name, value in self.items():
            try:
                self.data[name] = convert(value)
            except (ValueError, TypeError, RuntimeError) as error:
                raise ProcessorError(
                    f"{name!r} cannot become one tensor ({error}): its items differ in shape. "
                    "Pass padding=True (and "
                    "truncation=True with a max_length), or leave return_tensors out."
                ) from error
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move all tensors to a device and floating-point ones to a type, in place: ``to("cuda",
        torch.float16)``."""
        import torch

        device, dtype = kwargs.get("device"), kwargs.get("dtype")
        for arg in args:
            if isinstance(arg, torch.dtype):
                dtype = arg
            elif isinstance(arg, str | int | torch.device):
                device = arg
            else:
                raise ProcessorError(f"to({arg!r}): pass a device, a torch.dtype or both.")
        self.data = {name: _moved(value, device, dtype) for name, value in self.data.items()}
        return self


def _converter(tensor_type: str) -> Any:
    name = str(getattr(tensor_type, "value", tensor_type))
    if name == "np":
        return _to_array
    if name == "pt":
        return _to_tensor
    raise ProcessorError(f"return_tensors={tensor_type!r}: use 'pt' or 'np'.")


def _to_array(value: Any) -> np.ndarray:
    return np.asarray(value)


def _to_tensor(value: Any) -> torch.Tensor:
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
        return torch.stack(list(value))
    if isinstance(value, list | tuple) and value and isinstance(value[0], np.ndarray):
        value = np.stack(value)
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else torch.tensor(value)


def _moved(value: Any, device: Any, dtype: torch.dtype | None) -> Any:
    import torch

    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device, dtype) for item in value)
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device=device, dtype=dtype if value.is_floating_point() else None)
