"""Values that depend on a name alone: weights, inputs, and the fingerprint of an output.

The golden producer runs in the reference library's environment and loads this file by its path, so
it imports numpy and nothing else. Numbers come from the raw bits of Philox, whose algorithm is
fixed, and are uniform: no version of numpy or libm can change a bit of them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Recipes = Mapping[str, Sequence[float]]
"""Pattern of tensor names to ``(center, spread)``: what a family needs beyond `weight`'s rules."""

UNIT_VARIANCE = math.sqrt(12.0)
EMBEDDING = re.compile(r"embed|wte|wpe|shared\.weight|position")
EDGE = 4
INFINITE = 1e3
"""What stands for infinity where outputs are compared, as numbers that can be added must."""


def noise(
    name: str, shape: Iterable[int], center: float = 0.0, spread: float = 1.0
) -> NDArray[np.float32]:
    """Uniform float32 numbers of mean `center` and standard deviation `spread`.

    A function of `name` alone; a longer array begins as a shorter one.

    >>> noise("a", (2,)).tolist() == noise("a", (3,)).tolist()[:2]
    True
    """
    shape = tuple(shape)
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    bits = np.random.Philox(key=key).random_raw(math.prod(shape))
    unit = (np.asarray(bits) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return (center + spread * UNIT_VARIANCE * (unit - 0.5)).astype(np.float32).reshape(shape)


def integers(name: str, shape: Iterable[int], low: int, high: int) -> NDArray[np.int64]:
    """Integers of ``[low, high)``, a function of `name` alone."""
    unit = noise(name, shape).astype(np.float64) / UNIT_VARIANCE + 0.5
    return np.minimum(low + np.floor(unit * (high - low)), high - 1).astype(np.int64)


def weight(name: str, shape: Iterable[int], recipes: Recipes | None = None) -> NDArray[np.float32]:
    """The value of the checkpoint tensor `name`: it matters, and keeps activations of order one.

    Vectors called weight, gamma or scale lie around 1 and other vectors around 0; variances are
    positive; embeddings have standard deviation 0.5; any other tensor keeps the variance of its
    input. `recipes` overrule by pattern, first match first.
    """
    shape = tuple(shape)
    for pattern, (center, spread) in (recipes or {}).items():
        if re.search(pattern, name):
            return noise(name, shape, center, spread)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return noise(name, shape, 1.0, 0.2)
    if len(shape) <= 1:
        return noise(name, shape, float(leaf in {"weight", "gamma", "scale", "g"}), 0.2)
    if EMBEDDING.search(name):
        return noise(name, shape, 0.0, 0.5)
    return noise(name, shape, 0.0, 1.0 / math.sqrt(math.prod(shape[1:])))


def together(arrays: Any) -> NDArray[Any]:
    """Arrays in nested lists as one, each in the first corner, with zeros where others are larger
    and lists are longer."""
    if not isinstance(arrays, list):
        return arrays
    blocks = [together(each) for each in arrays]
    sizes = [max(edges) for edges in zip(*(block.shape for block in blocks), strict=True)]
    made = np.zeros((len(blocks), *sizes), blocks[0].dtype)
    for row, block in zip(made, blocks, strict=True):
        row[tuple(slice(edge) for edge in block.shape)] = block
    return made


def fingerprint(array: NDArray[Any], name: str) -> dict[str, Any]:
    """A few numbers that any change of `array` beyond rounding changes.

    Shape, the first and last values, mean, standard deviation, and a projection on a direction
    seeded by `name`, scaled so that independent errors of size e change it by about e. Infinite
    values count as `INFINITE`, with their signs.
    """
    flat = np.asarray(array, dtype=np.float64).reshape(-1)
    if np.isnan(flat).any():
        wrong = np.count_nonzero(np.isnan(flat))
        raise ValueError(f"{name}: {wrong} of {flat.size} values are no numbers: compare nothing")
    flat = np.where(np.isinf(flat), np.sign(flat) * INFINITE, flat)
    direction = noise(name, flat.shape).astype(np.float64)
    size = max(flat.size, 1)
    return {
        "shape": list(np.shape(array)),
        "first": flat[:EDGE].tolist(),
        "last": flat[-EDGE:].tolist(),
        "mean": float(flat.sum() / size),
        "std": float(math.sqrt(((flat - flat.sum() / size) ** 2).sum() / size)),
        "projection": float(flat @ direction / math.sqrt(size)),
    }
