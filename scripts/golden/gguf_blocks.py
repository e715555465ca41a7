"""Blocks of GGUF files, read and written by the gguf package.

``python scripts/golden/gguf_blocks.py`` runs in the environment of ``quantized.py`` and writes
``tests/golden/quantizers/gguf-blocks.safetensors``: for each format ``<format>.bytes`` with
``<format>.numbers`` that they stand for, and for the formats that are written ``weight`` with
``<format>.packed``.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

FILE = Path(__file__).resolve().parents[2] / "tests/golden/quantizers/gguf-blocks.safetensors"
SCALES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
}
"""Where float16 lie in a block; all other bytes may be anything."""
PLAIN = {"F32": np.float32, "F16": np.float16, "BF16": np.float32}
WRITTEN = ("Q8_0", "Q4_0", "F16")
ROWS, BLOCKS = 3, 2


def blocks(name: str, random: np.random.Generator) -> np.ndarray:
    """Rows of bytes: anything, all bits clear and all bits set, with finite scales."""
    size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    data = random.integers(0, 256, (ROWS, BLOCKS, size), dtype=np.uint8)
    data[1, 0], data[1, 1] = 0, 255
    for start in SCALES[name]:
        halves = (random.standard_normal((ROWS, BLOCKS, 1)) * 0.05).astype(np.float16)
        halves[2, 1] = 3e-7  # not a normal number
        data[:, :, start : start + 2] = halves.view(np.uint8)
    return data.reshape(ROWS, -1)


def numbers(name: str, random: np.random.Generator) -> np.ndarray:
    """Rows of bytes of plain floats."""
    values = (random.standard_normal((ROWS, 8)) * 10.0 ** np.arange(-6, 2)).astype(PLAIN[name])
    if name == "BF16":
        return gguf.quantize(values, gguf.GGMLQuantizationType.BF16)
    return values.view(np.uint8)


def weight(random: np.random.Generator) -> np.ndarray:
    """Rows with what rounding may get wrong."""
    rows = random.standard_normal((12, 64)).astype(np.float32)
    rows[0] *= 1e-6
    rows[1] *= 1e4
    rows[2, :32] = 0
    rows[3, :32] = np.arange(-16, 16) / 2  # ties, and a largest magnitude that occurs once
    rows[3, 32:] = np.arange(-127, 129, 8)[:32] / 2
    rows[3, 32] = 127
    rows[4, :32] = np.where(np.arange(32) % 2, 0.75, -0.75)  # the largest magnitude occurs often
    rows[5] = 3.5
    rows[6, :32] = -1e-30  # float16 holds its scale as zero
    return rows


def main() -> None:
    """Write the file."""
    random = np.random.default_rng(0)
    shown = {}
    for name in (*PLAIN, *SCALES):
        kind = gguf.GGMLQuantizationType[name]
        data = numbers(name, random) if name in PLAIN else blocks(name, random)
        stored = data.view(PLAIN[name]) if name in ("F32", "F16") else data
        shown[f"{name}.bytes"] = data
        shown[f"{name}.numbers"] = gguf.dequantize(stored, kind).astype(np.float32)
    shown["weight"] = weight(random)
    for name in WRITTEN:
        packed = gguf.quantize(shown["weight"], gguf.GGMLQuantizationType[name])
        shown[f"{name}.packed"] = np.ascontiguousarray(packed).view(np.uint8)
    save_file(shown, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
