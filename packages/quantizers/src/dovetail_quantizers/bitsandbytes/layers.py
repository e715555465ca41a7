"""The layers of bitsandbytes, with the tensors that its checkpoints hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import CheckpointError
from dovetail.layers.projections import linear
from dovetail_quantizers.bitsandbytes import blockwise
from dovetail_quantizers.bitsandbytes.configuration import BitsAndBytesConfig
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.native.layers import rows_of_bytes

BLOCK, NESTED_BLOCK = 64, 256
LARGEST = 127


class Linear8bitLt(PackedLinear):
    """Rows of bytes: `weight` (out, in), `SCB` (out) the largest magnitude of each row.

    `weight_format` is 0: row by row, the only order that checkpoints have.
    """

    kind = "int8"

    def __init__(self, layer: nn.Linear, config: BitsAndBytesConfig) -> None:
        super().__init__(layer)
        self.threshold = config.llm_int8_threshold
        self.columns: dict[int, Tensor] = {}
        meta: dict[str, Any] = {"device": "meta"}
        self.register_buffer("weight", torch.empty(self.weight_shape, dtype=torch.int8, **meta))
        self.register_buffer("SCB", torch.empty(self.out_features, **meta))
        self.register_buffer("weight_format", torch.empty((), dtype=torch.uint8, **meta))

    def forward(self, x: Tensor) -> Tensor:
        """The product; columns with outliers are multiplied in full precision, apart."""
        if self.threshold <= 0:
            return super().forward(x)
        outliers = x.detach().abs().flatten(0, -2).amax(0) > self.threshold
        if not outliers.any():
            return super().forward(x)
        where = outliers.nonzero().flatten()
        apart = linear(x[..., where], self._columns(where).to(x.dtype))
        return super().forward(x.masked_fill(outliers, 0)) + apart

    def is_mere_product(self) -> bool:
        """Unless outliers are looked for."""
        return self.threshold <= 0

    def _columns(self, where: Tensor) -> Tensor:
        """Columns of the weight (out, n), which are kept since outliers return to their places."""
        wanted = where.tolist()
        if any(column not in self.columns for column in wanted):
            weight = self.plain_weight()
            self.columns |= {column: weight[:, column].clone() for column in wanted}
        return torch.stack([self.columns[column] for column in wanted], 1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.columns.clear()  # they would stay behind on their device
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        self.columns.clear()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        return self.weight * self.SCB.unsqueeze(1) * (1 / LARGEST)

    def quantize(self, weight: Tensor) -> None:
        """Round every row to 127ths of its largest magnitude."""
        self.weight, scale = rows_of_bytes(weight.half())
        self.SCB = scale.flatten() * LARGEST
        self.weight_format = torch.zeros((), dtype=torch.uint8, device=weight.device)

    def held(self) -> tuple[Tensor, ...]:
        """Weight and scale."""
        return self.weight, (self.SCB.float() / LARGEST).unsqueeze(1)

    def take_back(self, *held: Tensor) -> None:
        """Put the weight into its buffer; the rest never left."""
        self.weight = held[0]

    def release(self) -> None:
        """Let go of the weight."""
        self._buffers["weight"] = None


class Linear4bit(PackedLinear):
    """Blocks of 64 codes of 4 bits: `weight` (N / 2, 1) holds them, `absmax` their magnitudes.

    With double quantization the magnitudes, less their mean, are blocks of 256 bytes themselves
    (`nested_absmax`, `nested_quant_map`). `quant_state` is JSON in bytes.
    """

    def __init__(self, layer: nn.Linear, config: BitsAndBytesConfig) -> None:
        super().__init__(layer)
        self.code, self.nested = config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant
        self.compute_dtype, self.storage = (
            config.bnb_4bit_compute_dtype,
            config.bnb_4bit_quant_storage,
        )
        count = prod(self.weight_shape)
        blocks = -(-count // BLOCK)
        places = {
            "weight": ((count + 1) // 2 // self.storage.itemsize, self.storage),
            "absmax": (blocks, torch.uint8 if self.nested else torch.float32),
            "quant_map": (16, torch.float32),
            "quant_state": (0, torch.uint8),
        }
        if self.nested:
            places["nested_absmax"] = (-(-blocks // NESTED_BLOCK), torch.float32)
            places["nested_quant_map"] = (256, torch.float32)
        for name, (length, dtype) in places.items():
            shape = (length, 1) if name == "weight" else (length,)
            self.register_buffer(name, torch.empty(shape, dtype=dtype, device="meta"))

    def checkpoint_name(self, buffer: str) -> str:
        """What checkpoints call a buffer: all but the codes lie under the weight's name."""
        if buffer == "quant_state":
            return f"weight.quant_state.bitsandbytes__{self.code}"
        return buffer if buffer == "weight" else f"weight.{buffer}"

    def forward(self, x: Tensor) -> Tensor:
        """The product, computed in the config's type."""
        bias = None if self.bias is None else self.bias.to(self.compute_dtype)
        weight = self.dequantized().to(self.compute_dtype)
        return linear(x.to(self.compute_dtype), weight, bias).to(x.dtype)

    def dequantized(self) -> Tensor:
        """The weight, in the type that it had before it was quantized."""
        state = self.state()
        magnitudes = self.absmax
        if "nested_offset" in state:
            magnitudes = blockwise.dequantize(
                magnitudes, self.nested_quant_map, self.nested_absmax, state["nested_blocksize"]
            )
            magnitudes = magnitudes + state["nested_offset"]
        codes = blockwise.unpack(self.weight.view(torch.uint8))[: prod(self.weight_shape)]
        values = blockwise.dequantize(codes, self.quant_map, magnitudes, state["blocksize"])
        return values.view(self.weight_shape).to(getattr(torch, state["dtype"]))

    def quantize(self, weight: Tensor) -> None:
        """Take the nearest code for each weight."""
        numbers = blockwise.table(self.code)
        codes, magnitudes = blockwise.quantize(weight, numbers, BLOCK)
        state: dict[str, Any] = {
            "quant_type": self.code,
            "blocksize": BLOCK,
            "dtype": str(weight.dtype).removeprefix("torch."),
            "shape": list(self.weight_shape),
        }
        self.weight, self.quant_map = blockwise.pack(codes).view(self.storage), numbers
        self.absmax = magnitudes
        if self.nested:
            offset, self.nested_quant_map = magnitudes.mean(), blockwise.dynamic_table()
            self.absmax, self.nested_absmax = blockwise.quantize(
                magnitudes - offset, self.nested_quant_map, NESTED_BLOCK
            )
            state |= {
                "nested_blocksize": NESTED_BLOCK,
                "nested_dtype": "float32",
                "nested_offset": offset.item(),
            }
        text = json.dumps(state).encode()
        self.quant_state = torch.frombuffer(bytearray(text), dtype=torch.uint8)

    def state(self) -> dict[str, Any]:
        """What `quant_state` says.

        Raises:
            CheckpointError: it is damaged, or of another shape than this layer.
        """
        try:
            state = json.loads(bytes(self.quant_state.tolist()))
            fits = list(state["shape"]) == list(self.weight_shape)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"quant_state of a 4-bit layer {self.weight_shape} is damaged ({error}). Fetch the "
                "checkpoint again."
            ) from error
        if not fits:
            raise CheckpointError(
                f"quant_state of a 4-bit layer {self.weight_shape} (out, in) speaks of "
                f"{state['shape']}. Load the checkpoint with its own config."
            )
        return state
