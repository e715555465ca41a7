"""The layers of compressed-tensors, with the tensors that its checkpoints hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dovetail.errors import CheckpointError, ConfigError
from dovetail_quantizers import bits
from dovetail_quantizers.compressed_tensors.configuration import WeightSettings
from dovetail_quantizers.kernels import Kind, tinygemm
from dovetail_quantizers.layers import PackedLinear

FLOAT8 = torch.float8_e4m3fn


class CompressedLinear(PackedLinear):
    """A weight ``(code - zero) * scale``; a format says how the signed codes (out, in) are stored.

    `weight_scale` is (1), (out, 1), (out, groups) or (row blocks, column blocks);
    `weight_zero_point` is like it in int8. Checkpoints may hold `weight_g_idx` (in), the group of
    each column, and scales of activations, which are kept.
    """

    def __init__(self, layer: nn.Linear, name: str, settings: WeightSettings) -> None:
        super().__init__(layer)
        self.name, self.settings = name, settings
        self.block = self._block()
        self.kind = self._kind()
        self.empty("weight_scale", self._scale_shape(), self.dtype)
        if not settings.symmetric:
            self.empty("weight_zero_point", *self._zero_layout())

    def codes(self) -> Tensor:
        """The signed codes (out, in)."""
        raise TypeError(f"{type(self).__name__} is a base class.")

    def put_codes(self, codes: Tensor) -> None:
        """Write what `codes` reads."""
        raise TypeError(f"{type(self).__name__} is a base class.")

    def zeros(self) -> Tensor:
        """The signed zero points, in the shape of the scales."""
        return self.weight_zero_point

    def put_zeros(self, zeros: Tensor) -> None:
        """Write what `zeros` reads."""
        self.weight_zero_point = zeros.to(torch.int8)

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        codes = self.codes().float()
        if "weight_zero_point" in self._buffers:
            codes = codes - self._spread(self.zeros().float())
        return codes * self._spread(self.weight_scale.float())

    def quantize(self, weight: Tensor) -> None:
        """Spread the codes over the range of what shares a scale, zero included, and round."""
        least, most = self.settings.reach
        low, high = self._extremes(weight.float())
        if self.settings.symmetric:
            scale = torch.maximum(high, -low) / ((most - least) / 2)
        else:
            scale = (high - low) / (most - least)
        scale = scale.to(weight.dtype)
        scale = torch.where(scale == 0, torch.finfo(weight.dtype).eps, scale)
        self.weight_scale = scale
        if not self.settings.symmetric:
            self.put_zeros((least - low / scale.float()).clamp(least, most).round())
        self.put_codes(self._rounded(weight))

    def _rounded(self, weight: Tensor) -> Tensor:
        """The signed codes nearest to a weight, in float8 or as whole numbers."""
        codes = weight.float() / self._spread(self.weight_scale.float())
        if "weight_zero_point" in self._buffers:
            codes = codes + self._spread(self.zeros().float())
        codes = codes.clamp(*self.settings.reach)
        return codes.to(FLOAT8) if self.settings.type == "float" else codes.round()

    # Loading.

    def claims(self, name: str) -> bool:
        """All tensors of the weight: their types are the checkpoint's own."""
        return name in self.checkpoint_names()

    def place(self, name: str, tensor: Tensor) -> None:
        """Put a tensor into its buffer.

        Raises:
            CheckpointError: its shape or type is not what the config makes of it.
        """
        buffer = next(b for b in self.format_buffers() if self.checkpoint_name(b) == name)
        expected = self._buffers[buffer]
        assert expected is not None
        same = tensor.shape == expected.shape or tensor.numel() == expected.numel() == 1
        floats = tensor.is_floating_point(), expected.is_floating_point()
        is_code = expected.dtype is FLOAT8 or floats == (False, False)
        alike = tensor.dtype == expected.dtype if is_code else all(floats)
        if not (same and alike):
            self.refuse(name, tensor, f"{tuple(expected.shape)} in {expected.dtype}")
        self._buffers[buffer] = tensor

    def adopt(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor that not every checkpoint holds.

        Raises:
            CheckpointError: it names a group that is not there.
        """
        if name == "weight_g_idx":
            last = self._scale_shape()[-1] - 1
            if tensor.shape != (self.in_features,) or tensor.min() < -1 or tensor.max() > last:
                self.refuse(name, tensor, f"({self.in_features},) with groups 0 to {last}")
        self.register_buffer(name, tensor)

    def refuse(self, name: str, tensor: Tensor, expected: str) -> None:
        """Say that a tensor of the checkpoint contradicts the config."""
        raise CheckpointError(
            f"{self.name}.{name} is {tuple(tensor.shape)} in {tensor.dtype} in the checkpoint, but "
            f"config_groups[{self.settings.group!r}] ({self.settings.format}, num_bits="
            f"{self.settings.num_bits}, strategy={self.settings.strategy!r}, group_size="
            f"{self.settings.group_size}) makes it {expected}. Correct quantization_config in "
            "config.json, or fetch the checkpoint again."
        )

    # What a kernel takes.

    def held(self) -> tuple[Tensor, ...]:
        """Codes and scale for int8; codes from 0, scales and offsets for int4."""
        codes, scale = self.codes(), self.weight_scale.float()
        if self.kind == "int8":
            return codes.to(torch.int8), scale.reshape(-1, 1).expand(self.out_features, 1)
        if self._has_order():
            self.kind = None
        zeros = self.zeros().float() if "weight_zero_point" in self._buffers else 0.0
        middle = -self.settings.reach[0]
        return (codes + middle).to(torch.uint8), scale, -(zeros + middle) * scale

    def take_back(self, *held: Tensor) -> None:
        """Put the codes into their buffer; scales and zeros never left."""
        codes = held[0]
        self.put_codes(codes if self.kind == "int8" else codes.float() + self.settings.reach[0])

    def empty(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Register a buffer that a checkpoint fills."""
        self.register_buffer(name, torch.empty(shape, dtype=dtype, device="meta"))

    def _kind(self) -> Kind | None:
        settings = self.settings
        if settings.type == "float":
            return None
        if settings.symmetric and settings.strategy in ("tensor", "channel"):
            return "int8"
        fits = tinygemm.accepts(*self.weight_shape, self.block[1])
        return "int4" if settings.num_bits == 4 and settings.strategy == "group" and fits else None

    def _block(self) -> tuple[int, int]:
        """Rows and columns that share a scale."""
        settings, (rows, columns) = self.settings, self.weight_shape
        if settings.strategy == "block":
            assert settings.block_structure is not None
            return settings.block_structure
        size = settings.group_size if settings.strategy == "group" else columns
        assert size is not None
        if columns % size:
            raise ConfigError(
                f"{self.name}: group_size={size} of config_groups[{settings.group!r}] does not "
                f"divide its {columns} columns. Choose one that does, or name the layer in ignore."
            )
        return (rows if settings.strategy == "tensor" else 1), size

    def _scale_shape(self) -> tuple[int, ...]:
        if self.settings.strategy == "tensor":
            return (1,)
        rows, columns = self.weight_shape
        return -(-rows // self.block[0]), -(-columns // self.block[1])

    def _zero_layout(self) -> tuple[tuple[int, ...], torch.dtype]:
        return self._scale_shape(), torch.int8

    def _extremes(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the greatest value, zero included, of what shares a scale."""
        rows, columns = (
            (-size) % step for size, step in zip(self.weight_shape, self.block, strict=True)
        )
        padded = nn.functional.pad(weight, (0, columns, 0, rows))
        tiles = padded.unflatten(1, (-1, self.block[1])).unflatten(0, (-1, self.block[0]))
        shape = self._scale_shape()
        low, high = tiles.amin((1, 3)).clamp(max=0), tiles.amax((1, 3)).clamp(min=0)
        return low.view(shape), high.view(shape)

    def _spread(self, numbers: Tensor) -> Tensor:
        """Numbers of what shares a scale, for every weight (or broadcast)."""
        rows, columns = self.weight_shape
        if self.settings.strategy in ("tensor", "channel"):
            return numbers
        if self._has_order():
            return numbers[:, self.get_buffer("weight_g_idx").long()]
        if self.block[0] > 1:
            numbers = numbers.repeat_interleave(self.block[0], 0)[:rows]
        return numbers.repeat_interleave(self.block[1], 1)[:, :columns]

    def _has_order(self) -> bool:
        """Whether columns of a group do not lie side by side."""
        groups = self._buffers.get("weight_g_idx")
        if groups is None or (groups < 0).any():
            return False
        in_order = torch.arange(len(groups), device=groups.device) // self.block[1]
        return not torch.equal(groups.long(), in_order)


class PlainLinear(CompressedLinear):
    """`weight` (out, in) holds the codes in int8 or float8."""

    def __init__(self, layer: nn.Linear, name: str, settings: WeightSettings) -> None:
        super().__init__(layer, name, settings)
        self.code = FLOAT8 if settings.type == "float" else torch.int8
        self.empty("weight", self.weight_shape, self.code)

    def codes(self) -> Tensor:
        """The signed codes (out, in)."""
        return self.weight

    def put_codes(self, codes: Tensor) -> None:
        """Write what `codes` reads."""
        self.weight = codes.to(self.code)

    def release(self) -> None:
        """Let go of the codes."""
        self._buffers["weight"] = None


class DenseLinear(CompressedLinear):
    """`weight` (out, in) is not rounded in the checkpoint, and is whenever it is read."""

    def __init__(self, layer: nn.Linear, name: str, settings: WeightSettings) -> None:
        super().__init__(layer, name, settings)
        self.kind = None
        self.empty("weight", self.weight_shape, self.dtype)

    def codes(self) -> Tensor:
        """The codes (out, in)."""
        return self._rounded(self.weight)

    def quantize(self, weight: Tensor) -> None:
        """Keep the weight, and choose scales."""
        super().quantize(weight)
        self.weight = weight

    def put_codes(self, codes: Tensor) -> None:
        """Nothing: the weight itself is kept."""


class WordsLinear(CompressedLinear):
    """`weight_packed` (out, in * bits / 32) holds the codes, from 0, along the rows, and
    `weight_shape` (2) their number; groups and channels have zero points packed down the columns.

    Codes lie close together. Those of 3, 5, 6 and 7 bits in checkpoints of 2025 and before do not
    go across words; how wide the matrix is tells.
    """

    def __init__(self, layer: nn.Linear, name: str, settings: WeightSettings) -> None:
        super().__init__(layer, name, settings)
        self.is_close = True
        words = -(-self.in_features * settings.num_bits // bits.WORD)
        self.empty("weight_packed", (self.out_features, words), torch.int32)
        self.empty("shape", (2,), torch.int64)

    def checkpoint_name(self, buffer: str) -> str:
        """What checkpoints call a buffer."""
        return "weight_shape" if buffer == "shape" else buffer

    def place(self, name: str, tensor: Tensor) -> None:
        """Put a tensor into its buffer, and see how codes are packed.

        Raises:
            CheckpointError: its shape or type is not what the config makes of it.
        """
        if name == "weight_shape" and tuple(tensor.tolist()) != self.weight_shape:
            raise CheckpointError(
                f"{self.name}.weight_shape says {tensor.tolist()}, but the model's layer is "
                f"{self.weight_shape} (out, in). Load the checkpoint with its own config."
            )
        loose = -(-self.in_features // self.per_word), -(-self.out_features // self.per_word)
        if name == "weight_packed" and tensor.shape == (self.out_features, loose[0]):
            self.is_close = tensor.shape == self.weight_packed.shape
            self.empty("weight_packed", (self.out_features, loose[0]), torch.int32)
        if name == "weight_zero_point" and tensor.shape[:1] == loose[1:]:
            self.empty(name, (loose[1], *self._scale_shape()[1:]), torch.int32)
        super().place(name, tensor)

    @property
    def per_word(self) -> int:
        """How many codes fit in a word if none goes across two."""
        return bits.WORD // self.settings.num_bits

    def codes(self) -> Tensor:
        """The signed codes (out, in)."""
        return self._unpacked(self.weight_packed, self.in_features)

    def put_codes(self, codes: Tensor) -> None:
        """Write what `codes` reads."""
        self.weight_packed = self._packed(codes)
        self.shape = torch.tensor(self.weight_shape)

    def zeros(self) -> Tensor:
        """The signed zero points, in the shape of the scales."""
        if self.settings.strategy == "tensor":
            return super().zeros()
        return self._unpacked(self.weight_zero_point.t(), self.out_features).t()

    def put_zeros(self, zeros: Tensor) -> None:
        """Write what `zeros` reads."""
        if self.settings.strategy == "tensor":
            super().put_zeros(zeros)
        else:
            self.weight_zero_point = self._packed(zeros.t()).t().contiguous()

    def release(self) -> None:
        """Let go of the codes."""
        self._buffers["weight_packed"] = None

    def _zero_layout(self) -> tuple[tuple[int, ...], torch.dtype]:
        shape, dtype = super()._zero_layout()
        if self.settings.strategy == "tensor":
            return shape, dtype
        return (-(-shape[0] * self.settings.num_bits // bits.WORD), shape[1]), torch.int32

    def _packed(self, codes: Tensor) -> Tensor:
        raised = codes.to(torch.int64) - int(self.settings.reach[0])
        if self.is_close:
            return bits.pack(raised, self.settings.num_bits)
        raised = nn.functional.pad(raised, (0, -raised.shape[-1] % self.per_word))
        shifts = torch.arange(self.per_word, device=codes.device) * self.settings.num_bits
        return (raised.unflatten(-1, (-1, self.per_word)) << shifts).sum(-1).to(torch.int32)

    def _unpacked(self, words: Tensor, count: int) -> Tensor:
        if self.is_close:
            codes = bits.unpack(words, self.settings.num_bits)
        else:
            shifts = torch.arange(self.per_word, device=words.device) * self.settings.num_bits
            codes = (words.unsqueeze(-1) >> shifts & 2**self.settings.num_bits - 1).flatten(-2)
        return (codes[..., :count].to(torch.int16) + int(self.settings.reach[0])).to(torch.int8)
