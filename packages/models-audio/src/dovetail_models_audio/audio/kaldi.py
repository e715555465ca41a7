"""Filter-bank energies and cepstra as Kaldi computes them, in torch.

Source: Kaldi's `feature-fbank` and `feature-mfcc`; arguments as in torchaudio's compliance module.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dovetail.errors import ProcessorError
from dovetail_models_audio.audio.cepstra import dct_matrix, lifter_weights
from dovetail_models_audio.audio.scales import mel_filter_bank
from dovetail_models_audio.audio.spectrograms import BLOCK, raised
from dovetail_models_audio.audio.torchaudio import torchaudio_module
from dovetail_models_audio.audio.windows import optimal_fft_length, window_function

EPSILON = torch.finfo(torch.float32).eps
WINDOWS = {"hamming": "hamming", "hanning": "hann", "povey": "povey", "rectangular": "boxcar"}


@dataclass(frozen=True, kw_only=True)
class FbankOptions:
    """How `fbank` cuts and weighs: lengths in milliseconds, frequencies in hertz.

    `high_freq` counts from Nyquist where it is not positive. Without `snip_edges` sound is mirrored
    at its ends. `use_energy` puts the log energy of each frame first, `raw_energy` takes it before
    preemphasis and window, and `energy_floor` is its least value. `dither` adds so much noise.
    """

    blackman_coeff: float = 0.42
    channel: int = -1
    dither: float = 0.0
    energy_floor: float = 1.0
    frame_length: float = 25.0
    frame_shift: float = 10.0
    high_freq: float = 0.0
    low_freq: float = 20.0
    num_mel_bins: int = 23
    preemphasis_coefficient: float = 0.97
    raw_energy: bool = True
    remove_dc_offset: bool = True
    round_to_power_of_two: bool = True
    sample_frequency: float = 16000.0
    snip_edges: bool = True
    subtract_mean: bool = False
    use_energy: bool = False
    use_log_fbank: bool = True
    use_power: bool = True
    window_type: str = "povey"

    @property
    def window_size(self) -> int:
        """Samples of a frame."""
        return int(self.sample_frequency * self.frame_length * 0.001)

    @property
    def window_shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_frequency * self.frame_shift * 0.001)

    @property
    def fft_length(self) -> int:
        """Samples of a transform."""
        return (
            optimal_fft_length(self.window_size) if self.round_to_power_of_two else self.window_size
        )


def fbank(waveform: Tensor, **options: Any) -> Tensor:
    """Log mel energies (frames, num_mel_bins) of a waveform (C, T) or (T,); see `FbankOptions`.

    Raises:
        ProcessorError: an unknown option or window, or a frame longer than the sound.
    """
    chosen = _options(options)
    library = torchaudio_module("compliance.kaldi")
    if library is None:
        return plain_fbank(waveform, chosen)
    return library.fbank(_channels(waveform), **asdict(chosen))


def mfcc(
    waveform: Tensor, num_ceps: int = 13, cepstral_lifter: float = 22.0, **options: Any
) -> Tensor:
    """Cepstra (frames, num_ceps) of a waveform (C, T) or (T,); options as in `fbank`.

    With ``use_energy`` the log energy takes the place of the first coefficient.
    """
    chosen = _options({**options, "use_log_fbank": True, "use_power": True, "subtract_mean": False})
    if not 0 < num_ceps <= chosen.num_mel_bins:
        raise ProcessorError(
            f"num_ceps={num_ceps} must be from 1 to num_mel_bins={chosen.num_mel_bins}."
        )
    energies = plain_fbank(waveform, chosen)
    bands = energies[:, 1:] if chosen.use_energy else energies
    cepstra = bands @ dct_matrix(num_ceps, chosen.num_mel_bins).to(bands)
    if cepstral_lifter:
        cepstra = cepstra * lifter_weights(num_ceps, cepstral_lifter).to(bands)
    if chosen.use_energy:
        cepstra[:, 0] = energies[:, 0]
    return cepstra - cepstra.mean(dim=0) if options.get("subtract_mean") else cepstra


def plain_fbank(waveform: Tensor, options: FbankOptions) -> Tensor:
    """`fbank` without torchaudio."""
    channels = _channels(waveform)
    sound = channels[max(options.channel, 0)]
    window = _window(options).to(sound)
    filters = _filters(options).to(sound)
    blocks = [_energies(f, window, filters, options) for f in _frames(sound, options).split(BLOCK)]
    features = torch.cat(blocks)
    return features - features.mean(dim=0) if options.subtract_mean else features


def _energies(frames: Tensor, window: Tensor, filters: Tensor, options: FbankOptions) -> Tensor:
    if options.dither:
        frames = frames + options.dither * torch.randn_like(frames)
    if options.remove_dc_offset:
        frames = frames - frames.mean(dim=1, keepdim=True)
    energy = _log_energy(frames, options)
    if options.preemphasis_coefficient:
        before = torch.cat((frames[:, :1], frames[:, :-1]), dim=1)
        frames = frames - options.preemphasis_coefficient * before
    frames = frames * window
    if not options.raw_energy:
        energy = _log_energy(frames, options)
    spectra = torch.fft.rfft(frames, n=options.fft_length)[:, : len(filters)]
    bands = raised(spectra, 2.0 if options.use_power else 1.0) @ filters
    if options.use_log_fbank:
        bands = bands.clamp_min(EPSILON).log()
    return torch.cat((energy[:, None], bands), dim=1) if options.use_energy else bands


def _log_energy(frames: Tensor, options: FbankOptions) -> Tensor:
    energy = frames.square().sum(dim=1).clamp_min(EPSILON).log()
    return energy.clamp_min(math.log(options.energy_floor)) if options.energy_floor else energy


def _frames(sound: Tensor, options: FbankOptions) -> Tensor:
    """Frames (F, window_size): those that fit, or one for each shift with the ends mirrored."""
    size, shift = options.window_size, options.window_shift
    if size < 2 or shift < 1 or len(sound) < size:
        raise ProcessorError(
            f"A frame of {size} samples every {shift} does not fit {len(sound)} samples of sound: "
            "frame_length and frame_shift are in milliseconds; sound must last a frame at least."
        )
    if not options.snip_edges:
        count = (len(sound) + shift // 2) // shift
        before = size // 2 - shift // 2
        after = max(0, (count - 1) * shift + size - before - len(sound))
        mirrored = sound.flip(0)
        sound = torch.cat((mirrored[len(sound) - before :], sound, mirrored[:after]))
        return sound.unfold(0, size, shift)[:count]
    return sound.unfold(0, size, shift)


@lru_cache(maxsize=16)
def _filters(options: FbankOptions) -> Tensor:
    """The mel bank (fft_length / 2, num_mel_bins): the bin at Nyquist has no weight."""
    nyquist = options.sample_frequency / 2
    high = options.high_freq if options.high_freq > 0 else options.high_freq + nyquist
    if not 0 <= options.low_freq < high <= nyquist:
        raise ProcessorError(
            f"low_freq={options.low_freq} and high_freq={options.high_freq} must lie in this order "
            f"between 0 and {nyquist} hertz."
        )
    rate: Any = options.sample_frequency
    bins = options.fft_length // 2
    with warnings.catch_warnings():  # models were trained on banks with empty filters, AST for one
        warnings.filterwarnings("ignore", "Some of .* mel filters")
        bank = mel_filter_bank(
            bins,
            options.num_mel_bins,
            options.low_freq,
            high,
            rate,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return torch.from_numpy(bank)


@lru_cache(maxsize=16)
def _window(options: FbankOptions) -> Tensor:
    kind, size = options.window_type, options.window_size
    if kind in WINDOWS:
        return torch.from_numpy(window_function(size, WINDOWS[kind], periodic=False))
    if kind != "blackman":
        known = ", ".join(sorted([*WINDOWS, "blackman"]))
        raise ProcessorError(f"window_type={kind!r}: use one of {known}.")
    turn = 2 * np.pi * np.arange(size) / (size - 1)
    middle = options.blackman_coeff
    return torch.from_numpy(middle - 0.5 * np.cos(turn) + (0.5 - middle) * np.cos(2 * turn))


def _options(options: dict[str, Any]) -> FbankOptions:
    known = FbankOptions.__dataclass_fields__
    if unknown := sorted(set(options) - set(known)):
        raise ProcessorError(
            f"fbank has no option {', '.join(unknown)}. It has {', '.join(known)}."
        )
    return FbankOptions(**options)


def _channels(waveform: Tensor) -> Tensor:
    if waveform.ndim not in (1, 2) or waveform.shape[-1] == 0:
        raise ProcessorError(
            f"A waveform is (channels, samples) or (samples,), not {tuple(waveform.shape)}."
        )
    return waveform[None] if waveform.ndim == 1 else waveform


def log_energies(
    sound: np.ndarray, sampling_rate: int, num_mel_bins: int, window_type: str
) -> np.ndarray:
    """Float32 `fbank` (frames, num_mel_bins) of sound (T,), computed in float64.

    The logarithm of a quiet band makes much of rounding.
    """
    energies = fbank(
        torch.from_numpy(sound.astype(np.float64)),
        sample_frequency=float(sampling_rate),
        num_mel_bins=num_mel_bins,
        window_type=window_type,
    )
    return energies.numpy().astype(np.float32)
