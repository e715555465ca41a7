"""Whisper's features: log-mel spectrograms of windows of 30 seconds, scaled to about -1 to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor, standardized
from dovetail_models_audio.audio.scales import mel_filter_bank
from dovetail_models_audio.audio.spectrograms import BLOCK, Bank, raised

HIGHEST_HERTZ = 8000.0
FLOOR = 1e-10
RANGE = 8.0
"""Nothing is further below the loudest value than so many powers of ten."""


class WhisperFeatureExtractor(SoundFeatureExtractor):
    """Log-mel spectrograms (B, feature_size, frames) as ``input_features``.

    `chunk_length` is in seconds, `hop_length` and `n_fft` in samples. Sound is padded or cut to
    `chunk_length` unless the call says otherwise.
    """

    model_input_names: ClassVar[list[str]] = ["input_features"]

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16000,
        hop_length: int = 160,
        chunk_length: int = 30,
        n_fft: int = 400,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            return_attention_mask=return_attention_mask,
            **{name: kwargs[name] for name in kwargs if name != "mel_filters"},
        )
        self.hop_length = hop_length
        self.chunk_length = chunk_length
        self.n_fft = n_fft
        self.n_samples = chunk_length * sampling_rate
        self.nb_max_frames = self.n_samples // hop_length

    @property
    def mel_filters(self) -> np.ndarray:
        """The filter bank (1 + n_fft // 2, feature_size)."""
        return _bank(self.n_fft, self.feature_size, self.sampling_rate).numpy()

    def __call__(
        self,
        raw_speech: Any,
        truncation: bool = True,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        padding: str | None = "max_length",
        max_length: int | None = None,
        sampling_rate: int | None = None,
        do_normalize: bool | None = None,
        device: str | torch.device | None = "cpu",
        return_token_timestamps: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Features of one sound (T,) or several; they are computed on `device`.

        With `return_token_timestamps` ``num_frames`` says how many frames hold sound. The attention
        mask counts frames. `do_normalize` brings each sound to mean zero and variance one first.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN or more than one channel.
        """
        sounds, _ = self.sounds(raw_speech, sampling_rate)
        counts = [len(sound) // self.hop_length for sound in sounds]
        length = max_length or self.n_samples
        if do_normalize:
            # Long sound is cut first, so that what is not heard does not count.
            sounds = standardized([sound[:length] if truncation else sound for sound in sounds])
        padded = self.pad(
            {"input_features": sounds},
            padding=padding if padding is not None else False,
            max_length=length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=bool(return_attention_mask or do_normalize),
        )
        features = [self._log_mel(sound, device) for sound in padded["input_features"]]
        alike = len({feature.shape for feature in features}) == 1
        data: dict[str, Any] = {"input_features": np.stack(features) if alike else features}
        if return_attention_mask or (return_attention_mask is None and self.return_attention_mask):
            masks = [mask[:: self.hop_length] for mask in padded["attention_mask"]]
            data["attention_mask"] = np.stack(masks) if alike else masks
        if return_token_timestamps:
            data["num_frames"] = counts
        return BatchFeature(data, tensor_type=return_tensors)

    def _log_mel(self, sound: np.ndarray, device: Any) -> np.ndarray:
        """Features (feature_size, T // hop_length) of sound (T,)."""
        if len(sound) <= self.n_fft // 2:
            raise ProcessorError(
                f"Sound of {len(sound)} samples is shorter than half a frame of n_fft="
                f"{self.n_fft}: pass padding='max_length'."
            )
        samples = torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32)).to(device)
        bank = _narrow(self.n_fft, self.feature_size, self.sampling_rate, str(device))
        features = log_mel_powers(samples, self.n_fft, self.hop_length, bank, self.feature_size)
        return features.cpu().numpy()


def log_mel_powers(sound: Tensor, n_fft: int, hop_length: int, bank: Bank, mels: int) -> Tensor:
    """Whisper's features (mels, T // hop_length) of sound (T,), float32.

    Frames of exact silence, of which padding is made, are known without a transform.
    """
    frames = len(sound) // hop_length
    half = n_fft // 2
    end = _end_of_sound(sound)
    # Sound near the end is mirrored into the last frames: then all are computed.
    heard = frames if end > len(sound) - n_fft else min(frames, (end + half) // hop_length + 1)
    window = _hann(n_fft).to(sound)
    mirrored = (sound[1 : half + 1].flip(0), sound, sound[-half - 1 : -1].flip(0))
    around = torch.cat(mirrored)
    result = sound.new_full((mels, frames), FLOOR)
    cut = around.unfold(0, n_fft, hop_length)[:heard]
    for start in range(0, heard, BLOCK):
        spectra = torch.fft.rfft(cut[start : start + BLOCK] * window)
        powers = bank(raised(spectra, 2.0))
        result[:, start : start + powers.shape[1]] = powers
    result = result.clamp_min_(FLOOR).log10_()
    return result.clamp_min_(result.max() - RANGE).add_(4.0).div_(4.0)


def _end_of_sound(sound: Tensor) -> int:
    """How many samples there are before nothing but zeros."""
    if bool(sound[-1]):
        return len(sound)
    return len(sound) - int((sound.flip(0) != 0).to(torch.uint8).argmax())


@lru_cache(maxsize=4)
def _hann(length: int) -> Tensor:
    return torch.hann_window(length)


@lru_cache(maxsize=4)
def _bank(n_fft: int, mels: int, sampling_rate: int) -> Tensor:
    bank = mel_filter_bank(
        1 + n_fft // 2, mels, 0.0, HIGHEST_HERTZ, sampling_rate, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank)


@lru_cache(maxsize=4)
def _narrow(n_fft: int, mels: int, sampling_rate: int, device: str) -> Bank:
    return Bank(_bank(n_fft, mels, sampling_rate).to(device, torch.float32))
