"""Resampling by a windowed sinc, with the formula of torchaudio."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dovetail.errors import ProcessorError
from dovetail_models_audio.audio.torchaudio import torchaudio_module

KAISER_BETA = 14.769656459379492


def resample(
    waveform: Any,
    orig_freq: int,
    new_freq: int,
    lowpass_filter_width: int = 6,
    rolloff: float = 0.99,
    resampling_method: str = "sinc_interp_hann",
    beta: float | None = None,
) -> Any:
    """Sound (..., T) at `orig_freq` hertz as (..., ceil(T * new_freq / orig_freq)) at `new_freq`.

    An array gives an array, a tensor a tensor (with gradients). The low-pass filter has
    `lowpass_filter_width` zero crossings on a side, ends at `rolloff` of the lower Nyquist
    frequency and is windowed by ``sinc_interp_hann`` or, with `beta`, ``sinc_interp_kaiser``.

    Raises:
        ProcessorError: a frequency that is not a positive whole number, a width below one, or an
            unknown method.
    """
    _check(orig_freq, new_freq, lowpass_filter_width, resampling_method)
    if not isinstance(waveform, Tensor):
        samples = torch.from_numpy(_floating(np.asarray(waveform)))
        options = (lowpass_filter_width, rolloff, resampling_method, beta)
        return resample(samples, orig_freq, new_freq, *options).numpy()
    if orig_freq == new_freq:
        return waveform
    library = torchaudio_module("functional")
    run = plain_resample if library is None else library.resample
    return run(
        waveform, orig_freq, new_freq, lowpass_filter_width, rolloff, resampling_method, beta
    )


def plain_resample(
    waveform: Tensor,
    orig_freq: int,
    new_freq: int,
    lowpass_filter_width: int = 6,
    rolloff: float = 0.99,
    resampling_method: str = "sinc_interp_hann",
    beta: float | None = None,
) -> Tensor:
    """`resample` of a tensor without torchaudio."""
    divisor = math.gcd(int(orig_freq), int(new_freq))
    old, new = int(orig_freq) // divisor, int(new_freq) // divisor
    beta = KAISER_BETA if beta is None else beta
    kernel, width = _kernel(old, new, lowpass_filter_width, rolloff, resampling_method, beta)
    length = waveform.shape[-1]
    rows = functional.pad(waveform.reshape(-1, 1, length), (width, width + old))
    phases = functional.conv1d(rows, kernel.to(rows), stride=old)  # (B, new, ceil(T / old))
    wanted = -(-new * length // old)
    result = phases.transpose(1, 2).reshape(len(rows), -1)[:, :wanted]
    return result.reshape(*waveform.shape[:-1], wanted)


@lru_cache(maxsize=16)
def _kernel(
    old: int, new: int, zeros: int, rolloff: float, method: str, beta: float
) -> tuple[Tensor, int]:
    """Filters (new, 1, 2 * width + old), one for each phase between two old samples."""
    cutoff = min(old, new) * rolloff
    width = math.ceil(zeros * old / cutoff)
    phase = -torch.arange(new, dtype=torch.float64)[:, None, None] / new
    times = phase + torch.arange(-width, width + old, dtype=torch.float64) / old
    times = (times * cutoff).clamp(-zeros, zeros)
    if method == "sinc_interp_hann":
        window = torch.cos(times * (math.pi / zeros / 2)).square()
    else:
        bell = torch.i0(beta * (1.0 - (times / zeros).square()).sqrt())
        window = bell / torch.i0(torch.tensor(beta, dtype=torch.float64))
    return torch.sinc(times) * window * (cutoff / old), width


def _floating(array: np.ndarray) -> np.ndarray:
    """What torch can filter: whole numbers become float32."""
    return np.ascontiguousarray(array if array.dtype.kind == "f" else array.astype(np.float32))


def _check(orig_freq: int, new_freq: int, width: int, method: str) -> None:
    for name, value in (("orig_freq", orig_freq), ("new_freq", new_freq)):
        if value <= 0 or int(value) != value:
            raise ProcessorError(f"{name}={value!r} must be a positive whole number of hertz.")
    if width <= 0:
        raise ProcessorError(f"lowpass_filter_width={width} must be greater than zero.")
    if method not in ("sinc_interp_hann", "sinc_interp_kaiser"):
        raise ProcessorError(
            f"resampling_method={method!r}: use 'sinc_interp_hann' or 'sinc_interp_kaiser'."
        )
