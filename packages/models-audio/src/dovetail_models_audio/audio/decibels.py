"""Power and amplitude in decibels."""

from __future__ import annotations

import numpy as np

from dovetail.errors import ProcessorError


def power_to_db(
    spectrogram: np.ndarray,
    reference: float = 1.0,
    min_value: float = 1e-10,
    db_range: float | None = None,
) -> np.ndarray:
    """``10 log10(spectrogram / reference)``, of values not below `min_value`.

    With `db_range` nothing is further than so many decibels below the loudest value.

    Raises:
        ProcessorError: a reference, least value or range that is not positive.
    """
    return _decibels(spectrogram, 10.0, reference, min_value, db_range, batched=False)


def amplitude_to_db(
    spectrogram: np.ndarray,
    reference: float = 1.0,
    min_value: float = 1e-5,
    db_range: float | None = None,
) -> np.ndarray:
    """``20 log10(spectrogram / reference)``; otherwise as `power_to_db`."""
    return _decibels(spectrogram, 20.0, reference, min_value, db_range, batched=False)


def power_to_db_batch(
    spectrogram: np.ndarray,
    reference: float = 1.0,
    min_value: float = 1e-10,
    db_range: float | None = None,
) -> np.ndarray:
    """`power_to_db` of each item of (B, bins, frames), each with a loudest value of its own."""
    return _decibels(spectrogram, 10.0, reference, min_value, db_range, batched=True)


def amplitude_to_db_batch(
    spectrogram: np.ndarray,
    reference: float = 1.0,
    min_value: float = 1e-5,
    db_range: float | None = None,
) -> np.ndarray:
    """`amplitude_to_db` of each item of (B, bins, frames)."""
    return _decibels(spectrogram, 20.0, reference, min_value, db_range, batched=True)


def _decibels(
    values: np.ndarray,
    factor: float,
    reference: float,
    min_value: float,
    db_range: float | None,
    *,
    batched: bool,
) -> np.ndarray:
    given = {"reference": reference, "min_value": min_value, "db_range": db_range}
    for name, value in given.items():
        if value is not None and not value > 0:
            raise ProcessorError(
                f"{name}={value!r} must be greater than zero: it is turned into decibels."
            )
    values = factor * np.log10(np.maximum(values, min_value) / max(reference, min_value))
    if db_range is None:
        return values
    axes = tuple(range(1, values.ndim)) if batched else None
    return np.maximum(values, values.max(axis=axes, keepdims=True) - db_range)
