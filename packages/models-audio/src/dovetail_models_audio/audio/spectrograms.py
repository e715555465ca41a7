"""Short-time Fourier transforms: spectrograms of waveforms, and waveforms of spectra.

Frames are taken, windowed and transformed by the thousand at a time in float64, so that long
sound costs no more memory than its spectrogram and the result is exact to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dovetail.errors import ProcessorError
from dovetail_models_audio.audio.decibels import amplitude_to_db, power_to_db

BLOCK = 256
"""Frames that are transformed together: so many stay in a processor's cache."""
GROUPS = 4
"""Into so many groups a filter bank is cut."""


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a waveform is cut into frames and what is done to a frame before its transform."""

    frame_length: int
    hop_length: int
    fft_length: int
    preemphasis: float | None = None
    remove_dc_offset: bool = False
    onesided: bool = True

    def check(self, window: np.ndarray, waveform: np.ndarray) -> None:
        """Refuse lengths that contradict each other, and what is no waveform."""
        if self.frame_length > self.fft_length:
            raise ProcessorError(
                f"frame_length={self.frame_length} is more than fft_length={self.fft_length}: a "
                "transform takes whole frames."
            )
        if len(window) != self.frame_length:
            raise ProcessorError(
                f"A window of {len(window)} samples does not fit frame_length="
                f"{self.frame_length}: pass window_function(..., frame_length=...)."
            )
        if self.hop_length <= 0:
            raise ProcessorError(f"hop_length={self.hop_length} must be greater than zero.")
        if waveform.ndim != 1:
            raise ProcessorError(
                f"A waveform has one dimension, this one the shape {waveform.shape}: pass each "
                "channel by itself."
            )
        if np.iscomplexobj(waveform):
            raise ProcessorError("A waveform is real, this one is complex: pass waveform.real.")

    def spectra(self, frames: Tensor, window: Tensor) -> Tensor:
        """The spectra (F, bins), complex, of frames (F, frame_length)."""
        if self.remove_dc_offset:
            frames = frames - frames.mean(dim=-1, keepdim=True)
        if self.preemphasis is not None:
            first = frames[:, :1] * (1.0 - self.preemphasis)
            frames = torch.cat((first, frames[:, 1:] - self.preemphasis * frames[:, :-1]), dim=-1)
        transform = torch.fft.rfft if self.onesided else torch.fft.fft
        return transform(frames * window, n=self.fft_length)


def spectrogram(
    waveform: np.ndarray,
    window: np.ndarray,
    frame_length: int,
    hop_length: int,
    fft_length: int | None = None,
    power: float | None = 1.0,
    center: bool = True,
    pad_mode: str = "reflect",
    onesided: bool = True,
    preemphasis: float | None = None,
    mel_filters: np.ndarray | None = None,
    mel_floor: float = 1e-10,
    log_mel: str | None = None,
    reference: float = 1.0,
    min_value: float = 1e-10,
    db_range: float | None = None,
    remove_dc_offset: bool | None = None,
    dtype: Any = np.float32,
) -> np.ndarray:
    """The spectrogram (bins, frames) of a waveform (T,); lengths are in samples.

    Magnitudes are raised to `power`; with None they stay complex. `center` pads half a frame on
    either side (by numpy's `pad_mode`), so that frame f is around sample ``f * hop_length``.
    `mel_filters` (bins, filters) come next, with `mel_floor` as the least value, and then the
    logarithm: ``log``, ``log10`` or ``dB`` (with `reference`, `min_value` and `db_range` as in
    `power_to_db`), in `dtype`.

    Raises:
        ProcessorError: lengths or options that contradict each other; too short a waveform.
    """
    waveform = np.asarray(waveform)
    framing = Framing(
        frame_length=frame_length,
        hop_length=hop_length,
        fft_length=frame_length if fft_length is None else fft_length,
        preemphasis=preemphasis,
        remove_dc_offset=bool(remove_dc_offset),
        onesided=onesided,
    )
    framing.check(window, waveform)
    _check_steps(power, mel_filters, log_mel)
    samples = _padded(waveform, frame_length // 2 if center else 0, pad_mode, frame_length)
    values = _magnitudes(samples, window, framing, power, mel_filters)
    if mel_filters is not None:
        values = np.maximum(mel_floor, values, out=values)
    if power is None or log_mel is None:
        return values
    if log_mel == "dB":
        convert = amplitude_to_db if power == 1.0 else power_to_db
        values = convert(values, reference, min_value, db_range)
    else:
        values = np.log(values) if log_mel == "log" else np.log10(values)
    return values.astype(dtype)


def spectrogram_batch(
    waveform_list: Sequence[np.ndarray], window: np.ndarray, *args: Any, **kwargs: Any
) -> list[np.ndarray]:
    """`spectrogram` of each waveform, with the same arguments; lengths may differ."""
    return [spectrogram(waveform, window, *args, **kwargs) for waveform in waveform_list]


def istft(
    spectrum: np.ndarray,
    window: np.ndarray,
    hop_length: int,
    center: bool = True,
    length: int | None = None,
) -> np.ndarray:
    """The waveform (T,) of a complex one-sided spectrogram (bins, frames): overlap and add.

    It undoes ``spectrogram(power=None)`` with the same window, hop and `center`, for windows that
    overlap without gaps; `length` cuts or fills the end, where frames end before the sound did.

    Raises:
        ProcessorError: somewhere no window covers the sound.
    """
    bins, count = spectrum.shape
    size = len(window)
    frames = torch.fft.irfft(torch.from_numpy(np.ascontiguousarray(spectrum.T)), n=2 * (bins - 1))
    weights = torch.from_numpy(np.asarray(window, dtype=np.float64))
    frames = frames[:, :size].double() * weights
    total = hop_length * (count - 1) + size
    places = (hop_length * torch.arange(count)[:, None] + torch.arange(size)).reshape(-1)
    sound, cover = torch.zeros(2, total, dtype=torch.float64)
    sound.index_add_(0, places, frames.reshape(-1))
    cover.index_add_(0, places, (weights**2).repeat(count))
    half = size // 2 if center else 0
    inside = slice(half, total - half)
    sound, cover = sound[inside], cover[inside]
    # A window that begins at zero covers the very ends of sound that is not centred: nothing is
    # known of them.
    gaps = cover < 1e-10
    if bool(gaps[1:-1].any()):
        raise ProcessorError(
            f"Windows of {size} samples, {hop_length} apart, leave gaps: use a hop_length below "
            f"{size}."
        )
    result = torch.where(gaps, 0.0, sound / cover.clamp_min(1e-10)).numpy()
    if length is None:
        return result
    return np.pad(result[:length], (0, max(0, length - len(result))))


def _magnitudes(
    samples: np.ndarray,
    window: np.ndarray,
    framing: Framing,
    power: float | None,
    mel_filters: np.ndarray | None,
) -> np.ndarray:
    """Spectra, powers or mel energies of all frames, (bins, frames)."""
    frames = torch.from_numpy(samples).unfold(0, framing.frame_length, framing.hop_length)
    weights = torch.from_numpy(np.asarray(window, dtype=np.float64))
    bank = None if mel_filters is None else Bank(_tensor(mel_filters))
    blocks = []
    for block in frames.split(BLOCK):
        spectra = framing.spectra(block, weights)
        values = spectra.to(torch.complex64) if power is None else raised(spectra, power)
        blocks.append(values.T if bank is None else bank(values))
    return torch.cat(blocks, dim=1).contiguous().numpy()


def raised(spectra: Tensor, power: float) -> Tensor:
    """Magnitudes of complex numbers, to a power; a square needs no root."""
    if power == 2.0:
        return spectra.real.square().addcmul_(spectra.imag, spectra.imag)
    return spectra.abs() if power == 1.0 else spectra.abs().pow(power)


class Bank:
    """A filter bank (bins, filters) in groups of neighbours, each with the bins that it weighs.

    Mel filters are narrow: most of the whole product would be with zeros.
    """

    def __init__(self, filters: Tensor) -> None:
        self.groups = []
        for group in filters.T.chunk(GROUPS):
            heard = torch.nonzero(group.any(dim=0))
            low, high = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, 1)
            self.groups.append((low, high, group[:, low:high].contiguous()))

    def __call__(self, values: Tensor) -> Tensor:
        """Energies (filters, F) of magnitudes (F, bins)."""
        return torch.cat([group @ values[:, low:high].T for low, high, group in self.groups])


def _tensor(mel_filters: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(mel_filters, dtype=np.float64))


def _padded(waveform: np.ndarray, half: int, pad_mode: str, frame_length: int) -> np.ndarray:
    """The waveform in float64 with what centred frames need around it."""
    if waveform.size == 0:
        raise ProcessorError("The waveform has no samples: there is nothing to transform.")
    samples = np.ascontiguousarray(waveform, dtype=np.float64)
    if half:
        samples = np.pad(samples, half, mode=pad_mode)  # type: ignore[call-overload]
    if len(samples) < frame_length:
        raise ProcessorError(
            f"A waveform of {waveform.size} samples holds no frame of frame_length={frame_length}: "
            "pad it, or use center=True."
        )
    return samples


def _check_steps(power: float | None, mel_filters: np.ndarray | None, log_mel: str | None) -> None:
    if power is None and mel_filters is not None:
        raise ProcessorError("Mel filters need magnitudes: pass a power, not power=None.")
    if power is None or log_mel is None:
        return
    if log_mel not in ("log", "log10", "dB"):
        raise ProcessorError(f"log_mel={log_mel!r}: use 'log', 'log10', 'dB' or None.")
    if log_mel == "dB" and power not in (1.0, 2.0):
        raise ProcessorError(
            f"Decibels are of amplitudes (power=1.0) or powers (power=2.0), not of power={power}."
        )
