"""The block formats of GGUF files: bytes to numbers and back.

A row of a weight is a run of blocks. A block holds as many numbers as its format says, as codes of
a few bits, and what turns codes into numbers: a scale in float16 and, in the formats named ``_K``
and ``_XS``, scales and offsets of groups in few bits. `FORMATS` lists how a block is divided.
Results equal those of the ``gguf`` package bit for bit. Source: the layouts in ``ggml-common.h`` of
llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dovetail.errors import CheckpointError, ConfigError

Parts = Mapping[str, Tensor]
"""The fields of blocks, uint8 (N, bytes of the field)."""

IQ4_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""What the 16 codes of IQ4_NL and IQ4_XS stand for."""


@dataclass(frozen=True)
class Format:
    """How blocks of `size` numbers lie in bytes, and what reads and writes them."""

    size: int
    fields: Mapping[str, int]
    """Bytes of each part of a block, in order."""
    read: Callable[[Parts], Tensor]
    """From parts to float32 (N, size)."""
    write: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    """From float32 (N, size) to the bytes of the fields, where the format can be written."""

    @property
    def bytes(self) -> int:
        """Bytes of a block."""
        return sum(self.fields.values())


def dequantize(data: Tensor, format: str) -> Tensor:
    """The numbers, float32 (..., n), that the rows of bytes `data`, uint8 (..., bytes), stand for.

    Raises:
        ConfigError: no such format.
        CheckpointError: the bytes are not whole blocks.
    """
    layout = find(format)
    if data.dtype is not torch.uint8 or data.ndim == 0 or data.shape[-1] % layout.bytes:
        raise CheckpointError(
            f"Blocks of {format} are rows of uint8 in multiples of {layout.bytes} bytes, but the "
            f"tensor is {data.dtype} {tuple(data.shape)}. The file is damaged or of another format."
        )
    count = data.shape[-1] // layout.bytes
    blocks = data.reshape(-1, layout.bytes)
    split = blocks.split(list(layout.fields.values()), -1)
    numbers = layout.read(dict(zip(layout.fields, split, strict=True)))
    return numbers.reshape(*data.shape[:-1], count * layout.size)


def quantize(weight: Tensor, format: str) -> Tensor:
    """Rows of bytes, uint8 (..., bytes), for a weight (..., n).

    Raises:
        ConfigError: the format is not written here, or its blocks do not divide n.
        CheckpointError: the weight holds numbers that the format cannot.
    """
    layout = find(format)
    if layout.write is None:
        able = ", ".join(name for name, one in FORMATS.items() if one.write is not None)
        raise ConfigError(f"{format} is read, not written, here. Choose one of {able}.")
    if weight.ndim == 0 or weight.shape[-1] % layout.size:
        raise ConfigError(
            f"{format} takes rows of a multiple of {layout.size} numbers, but the weight is "
            f"{tuple(weight.shape)}. Leave it as it is or choose F16."
        )
    count = weight.shape[-1] // layout.size
    parts = layout.write(weight.detach().float().reshape(-1, layout.size))
    return torch.cat(parts, -1).reshape(*weight.shape[:-1], count * layout.bytes)


def find(format: str) -> Format:
    """The layout of a format, by its name in the ``gguf`` package.

    Raises:
        ConfigError: no such format.
    """
    if format not in FORMATS:
        raise ConfigError(
            f"{format!r} is no block format that is read here. Take a file in one of "
            f"{', '.join(FORMATS)}."
        )
    return FORMATS[format]


# Reading.


def floats(data: Tensor, dtype: torch.dtype = torch.float16) -> Tensor:
    """Bytes as floats of a type, in float32."""
    return data.contiguous().view(dtype).float()


def planes(data: Tensor, bits: int, run: int) -> Tensor:
    """Codes (N, n * 8 / bits) of bytes (N, n), where each `run` bytes hold first the lowest `bits`
    of all of them, then the next."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=data.device).unsqueeze(-1)
    runs = data.unflatten(-1, (data.shape[-1] // run, 1, run))
    return (runs >> shifts & 2**bits - 1).flatten(1)


def spread(codes: Tensor, groups: Tensor) -> Tensor:
    """Codes (N, n) times the factor of their group (N, G), float32."""
    parts = codes.unflatten(-1, (groups.shape[-1], codes.shape[-1] // groups.shape[-1]))
    return (groups.unsqueeze(-1) * parts).flatten(1)


def shifted(codes: Tensor, groups: Tensor, offsets: Tensor) -> Tensor:
    """`spread`, less the offset of the group (N, G)."""
    return spread(codes, groups) - offsets.repeat_interleave(codes.shape[-1] // groups.shape[-1], 1)


def nibbles(parts: Parts, run: int = 16) -> Tensor:
    """Codes of 4 bits, with a fifth from `high` where there is one."""
    codes = planes(parts["codes"], 4, run)
    if "high" not in parts:
        return codes
    return codes | planes(parts["high"], 1, 1 if run == 16 else run) << 4


def centred(zero: int) -> Callable[[Parts], Tensor]:
    """A reader of codes around `zero` with a scale."""

    def read(parts: Parts) -> Tensor:
        return spread(nibbles(parts).to(torch.int8) - zero, floats(parts["scale"]))

    return read


def offset(parts: Parts) -> Tensor:
    """Codes with a scale and a least number."""
    return spread(nibbles(parts), floats(parts["scale"])) + floats(parts["least"])


def q8_0(parts: Parts) -> Tensor:
    """Signed bytes with a scale."""
    return spread(parts["codes"].view(torch.int8), floats(parts["scale"]))


def q2_k(parts: Parts) -> Tensor:
    """Codes of 2 bits; a byte holds the scale and the offset of 16 of them."""
    scales = spread(parts["groups"] & 15, floats(parts["scale"]))
    offsets = spread(parts["groups"] >> 4, floats(parts["offset"]))
    return shifted(planes(parts["codes"], 2, 32), scales, offsets)


def q3_k(parts: Parts) -> Tensor:
    """Codes of 3 bits, the highest apart, around 4; a scale of 6 bits around 32 for 16 of them."""
    low, high = parts["groups"].split((8, 4), -1)
    groups = (planes(low, 4, 8) | planes(high, 2, 4) << 4).to(torch.int8) - 32
    codes = planes(parts["codes"], 2, 32) | planes(parts["high"], 1, 32) << 2
    return spread(codes.to(torch.int8) - 4, spread(groups, floats(parts["scale"])))


def q4_k(parts: Parts) -> Tensor:
    """Codes of 4 or 5 bits; a scale and an offset of 6 bits for 32 of them.

    Of the 8 scales and 8 offsets, four each lie in the low bits of 8 bytes. The others have their
    low halves in 4 bytes more and their upper two bits at the top of the first 8.
    """
    first, rest = parts["groups"].split((8, 4), -1)
    second = planes(rest, 4, 4) | first >> 6 << 4
    halves = torch.stack((first & 63, second), 1).unflatten(-1, (2, 4))  # (N, half, what, 4)
    scales = spread(halves[:, :, 0].flatten(1), floats(parts["scale"]))
    offsets = spread(halves[:, :, 1].flatten(1), floats(parts["offset"]))
    return shifted(nibbles(parts, 32), scales, offsets)


def q6_k(parts: Parts) -> Tensor:
    """Codes of 6 bits, the upper two apart, around 32; a signed byte as the scale of 16 of them."""
    codes = planes(parts["codes"], 4, 64) | planes(parts["high"], 2, 32) << 4
    scales = spread(parts["groups"].view(torch.int8), floats(parts["scale"]))
    return spread(codes.to(torch.int8) - 32, scales)


def levels(codes: Tensor) -> Tensor:
    """What the codes of the IQ4 formats stand for, int8."""
    table = torch.tensor(IQ4_LEVELS, dtype=torch.int8, device=codes.device)
    return table.index_select(0, codes.flatten().int()).view(codes.shape)  # table[codes] is slow


def iq4_nl(parts: Parts) -> Tensor:
    """Codes of a fixed table of levels, with a scale."""
    return spread(levels(nibbles(parts)), floats(parts["scale"]))


def iq4_xs(parts: Parts) -> Tensor:
    """Codes of the same table; a scale of 6 bits around 32, its upper two apart, for 32 of them."""
    groups = planes(parts["low"], 4, 1) | planes(parts["high"], 2, 1) << 4
    scales = spread(groups.to(torch.int8) - 32, floats(parts["scale"]))
    return spread(levels(planes(parts["codes"], 4, 16)), scales)


def plain(dtype: torch.dtype) -> Callable[[Parts], Tensor]:
    """A reader of floats."""
    return lambda parts: floats(parts["value"], dtype)


# Writing.


def halves(values: Tensor) -> Tensor:
    """Bytes of float16.

    Raises:
        CheckpointError: values are too large for it, or not numbers.
    """
    half = values.half()
    if not half.isfinite().all():
        raise CheckpointError(
            f"A number or scale of the weight is {values.abs().max().item():g}, but float16 ends "
            "at 65504. Correct the weight or keep it in F32."
        )
    return half.contiguous().view(torch.uint8)


def reciprocal(scale: Tensor) -> Tensor:
    """1 / scale, or 0 where that is too large: float16 holds such a scale as 0 anyhow."""
    inverse = 1 / scale
    return torch.where(inverse.isinf(), 0, inverse)


def write_q8_0(blocks: Tensor) -> tuple[Tensor, ...]:
    """The largest magnitude becomes 127; ties are rounded away from zero."""
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    scaled = blocks * reciprocal(scale)
    codes = scaled.trunc() + scaled.sign() * (scaled.frac().abs() >= 0.5)
    return halves(scale), codes.to(torch.int8).view(torch.uint8)


def write_q4_0(blocks: Tensor) -> tuple[Tensor, ...]:
    """The number of largest magnitude becomes -8, so that its sign is the scale's, reversed."""
    place = blocks.abs().argmax(-1, keepdim=True)
    scale = blocks.gather(-1, place) / -8
    codes = (blocks * reciprocal(scale) + 8.5).trunc().clamp(0, 15)
    low, high = codes.to(torch.uint8).chunk(2, -1)
    return halves(scale), low | high << 4


def write_f16(blocks: Tensor) -> tuple[Tensor, ...]:
    """The nearest of float16."""
    return (halves(blocks),)


FORMATS: Mapping[str, Format] = {
    "F32": Format(1, {"value": 4}, plain(torch.float32)),
    "F16": Format(1, {"value": 2}, plain(torch.float16), write_f16),
    "BF16": Format(1, {"value": 2}, plain(torch.bfloat16)),
    "Q4_0": Format(32, {"scale": 2, "codes": 16}, centred(8), write_q4_0),
    "Q4_1": Format(32, {"scale": 2, "least": 2, "codes": 16}, offset),
    "Q5_0": Format(32, {"scale": 2, "high": 4, "codes": 16}, centred(16)),
    "Q5_1": Format(32, {"scale": 2, "least": 2, "high": 4, "codes": 16}, offset),
    "Q8_0": Format(32, {"scale": 2, "codes": 32}, q8_0, write_q8_0),
    "Q2_K": Format(256, {"groups": 16, "codes": 64, "scale": 2, "offset": 2}, q2_k),
    "Q3_K": Format(256, {"high": 32, "codes": 64, "groups": 12, "scale": 2}, q3_k),
    "Q4_K": Format(256, {"scale": 2, "offset": 2, "groups": 12, "codes": 128}, q4_k),
    "Q5_K": Format(256, {"scale": 2, "offset": 2, "groups": 12, "high": 32, "codes": 128}, q4_k),
    "Q6_K": Format(256, {"codes": 128, "high": 64, "groups": 16, "scale": 2}, q6_k),
    "IQ4_NL": Format(32, {"scale": 2, "codes": 16}, iq4_nl),
    "IQ4_XS": Format(256, {"scale": 2, "high": 2, "low": 4, "codes": 128}, iq4_xs),
}
"""By the name of the type in the ``gguf`` package."""
