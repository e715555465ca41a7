"""Scales of pitch (mel, octave) and the filter banks that are spaced evenly on them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dovetail.errors import ProcessorError

LINEAR_HERTZ_PER_MEL = 200.0 / 3.0
LOG_FROM_HERTZ = 1000.0
LOG_FROM_MEL = LOG_FROM_HERTZ / LINEAR_HERTZ_PER_MEL
LOG_STEP = np.log(6.4) / 27.0
"""Slaney's scale: linear up to 1 kHz, above it 27 steps to 6.4 times the frequency."""

O_SHAUGHNESSY = {"htk": (2595.0, np.log(10.0)), "kaldi": (1127.0, 1.0)}
"""Factor and the logarithm's unit: mel is ``factor * ln(1 + f / 700) / unit``."""


def hertz_to_mel(freq: Any, mel_scale: str = "htk") -> Any:
    """Frequencies in hertz on the scale ``htk``, ``kaldi`` or ``slaney``; a number or an array.

    >>> round(float(hertz_to_mel(1000.0, "slaney")), 6)
    15.0
    """
    _check_scale(mel_scale)
    if mel_scale in O_SHAUGHNESSY:
        factor, unit = O_SHAUGHNESSY[mel_scale]
        return factor * (np.log(1.0 + freq / 700.0) / unit)
    values = np.asarray(freq, dtype=np.float64)
    curve = LOG_FROM_MEL + np.log(np.maximum(values, LOG_FROM_HERTZ) / LOG_FROM_HERTZ) / LOG_STEP
    return np.where(values < LOG_FROM_HERTZ, values / LINEAR_HERTZ_PER_MEL, curve)[()]


def mel_to_hertz(mels: Any, mel_scale: str = "htk") -> Any:
    """The inverse of `hertz_to_mel`."""
    _check_scale(mel_scale)
    if mel_scale in O_SHAUGHNESSY:
        factor, unit = O_SHAUGHNESSY[mel_scale]
        return 700.0 * (np.exp(mels * unit / factor) - 1.0)
    values = np.asarray(mels, dtype=np.float64)
    curve = LOG_FROM_HERTZ * np.exp(LOG_STEP * (np.maximum(values, LOG_FROM_MEL) - LOG_FROM_MEL))
    return np.where(values < LOG_FROM_MEL, values * LINEAR_HERTZ_PER_MEL, curve)[()]


def hertz_to_octave(freq: Any, tuning: float | None = 0.0, bins_per_octave: int | None = 12) -> Any:
    """Octaves above the A four octaves below concert pitch; `tuning` is in bins.

    >>> float(hertz_to_octave(440.0))
    4.0
    """
    concert_pitch = 440.0 * 2.0 ** ((tuning or 0.0) / (bins_per_octave or 12))
    return np.log2(freq / (concert_pitch / 16.0))


def mel_filter_bank(
    num_frequency_bins: int,
    num_mel_filters: int,
    min_frequency: float,
    max_frequency: float,
    sampling_rate: int,
    norm: str | None = None,
    mel_scale: str = "htk",
    triangularize_in_mel_space: bool = False,
) -> np.ndarray:
    """Triangular filters (num_frequency_bins, num_mel_filters) for spectra from 0 to Nyquist.

    With ``norm="slaney"`` each filter has the same area on the scale of its triangle.
    `triangularize_in_mel_space` draws the triangles on the mel scale, as Kaldi does, which leaves
    out the bin at Nyquist.

    Raises:
        ProcessorError: an unknown scale or norm, or no room for filters.
    """
    _check_bank(num_frequency_bins, num_mel_filters, norm)
    low, high = (hertz_to_mel(edge, mel_scale) for edge in (min_frequency, max_frequency))
    corners = np.linspace(low, high, num_mel_filters + 2)
    if triangularize_in_mel_space:
        width = sampling_rate / (2 * num_frequency_bins)
        bins = hertz_to_mel(width * np.arange(num_frequency_bins), mel_scale)
    else:
        bins = np.linspace(0, sampling_rate // 2, num_frequency_bins)
        corners = mel_to_hertz(corners, mel_scale)
    filters = _triangles(bins, corners)
    if norm == "slaney":
        filters = filters * (2.0 / (corners[2:] - corners[:-2]))
    if (filters.max(axis=0) == 0.0).any():
        warnings.warn(
            f"Some of {num_mel_filters} mel filters lie between two of the {num_frequency_bins} "
            "frequency bins and are zero. Use fewer filters or a longer transform.",
            stacklevel=2,
        )
    return filters


def _triangles(bins: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Filters (bins, corners - 2) that rise from one corner to the next and fall to the third."""
    distance = corners[None, :] - bins[:, None]
    widths = np.diff(corners)
    rising = -distance[:, :-2] / widths[:-1]
    falling = distance[:, 2:] / widths[1:]
    return np.maximum(0.0, np.minimum(rising, falling))


def chroma_filter_bank(
    num_frequency_bins: int,
    num_chroma: int,
    sampling_rate: int,
    tuning: float = 0.0,
    power: float | None = 2.0,
    weighting_parameters: tuple[float, float] | None = (5.0, 2.0),
    start_at_c_chroma: bool | None = True,
) -> np.ndarray:
    """Gaussian filters (num_chroma, 1 + num_frequency_bins // 2) that fold octaves onto one.

    `num_frequency_bins` is the length of the transform. Each bin's weights have unit norm of order
    `power`, and fade away from `weighting_parameters`, centre and half width in octaves. Rows begin
    at C, or at A.

    Source: Ellis, *Chroma feature analysis and synthesis* (2007).
    """
    if num_chroma < 1 or num_frequency_bins < 2:
        raise ProcessorError(
            f"num_chroma={num_chroma} and num_frequency_bins={num_frequency_bins}: a chroma bank "
            "needs one and two at least."
        )
    hertz = np.arange(1, num_frequency_bins) * (sampling_rate / num_frequency_bins)
    pitch = num_chroma * hertz_to_octave(hertz, tuning, num_chroma)
    # The constant component has no pitch: it is put an octave and a half below the first bin.
    pitch = np.concatenate(([pitch[0] - 1.5 * num_chroma], pitch))
    widths = np.concatenate((np.maximum(np.diff(pitch), 1.0), [1.0]))
    half = round(num_chroma / 2)
    distance = pitch[None, :] - np.arange(num_chroma)[:, None]
    distance = np.remainder(distance + half + 10 * num_chroma, num_chroma) - half
    filters = np.exp(-2.0 * (distance / widths) ** 2)
    if power is not None:
        filters /= (filters**power).sum(axis=0, keepdims=True) ** (1.0 / power)
    if weighting_parameters is not None:
        center, half_width = weighting_parameters
        filters *= np.exp(-0.5 * ((pitch / num_chroma - center) / half_width) ** 2)
    if start_at_c_chroma:
        filters = np.roll(filters, -3 * (num_chroma // 12), axis=0)
    return np.ascontiguousarray(filters[:, : 1 + num_frequency_bins // 2])


def _check_scale(mel_scale: str) -> None:
    if mel_scale not in ("htk", "kaldi", "slaney"):
        raise ProcessorError(f"mel_scale={mel_scale!r}: use 'htk', 'kaldi' or 'slaney'.")


def _check_bank(num_frequency_bins: int, num_mel_filters: int, norm: str | None) -> None:
    if norm not in (None, "slaney"):
        raise ProcessorError(f"norm={norm!r}: use 'slaney' or None.")
    if num_frequency_bins < 2 or num_mel_filters < 1:
        raise ProcessorError(
            f"num_frequency_bins={num_frequency_bins} and num_mel_filters={num_mel_filters}: a mel "
            "bank needs two bins and one filter at least."
        )
