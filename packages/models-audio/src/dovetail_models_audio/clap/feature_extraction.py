"""CLAP's features: log-mel spectrograms of ten seconds, of long sound one whole and three parts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor
from dovetail_models_audio.audio.scales import mel_filter_bank
from dovetail_models_audio.audio.spectrograms import spectrogram
from dovetail_models_audio.audio.windows import window_function

PARTS = 3


class ClapFeatureExtractor(SoundFeatureExtractor):
    """Spectrograms (B, 1 or 4, frames, feature_size) as ``input_features``, and ``is_longer``.

    Sound beyond `max_length_s` is handled by `truncation`: ``fusion`` stacks the whole, shrunk, and
    three parts at random places, ``rand_trunc`` takes one part. Shorter sound is repeated as often
    as it fits (``repeatpad``) or until it is long enough (``repeat``); zeros fill the rest.
    """

    model_input_names: ClassVar[list[str]] = ["input_features", "is_longer"]

    def __init__(
        self,
        feature_size: int = 64,
        sampling_rate: int = 48000,
        hop_length: int = 480,
        max_length_s: int = 10,
        fft_window_size: int = 1024,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        frequency_min: float = 0,
        frequency_max: float = 14000,
        top_db: int | None = None,
        truncation: str = "fusion",
        padding: str = "repeatpad",
        **kwargs: Any,
    ) -> None:
        derived = ("mel_filters", "mel_filters_slaney")
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            return_attention_mask=return_attention_mask,
            **{name: value for name, value in kwargs.items() if name not in derived},
        )
        self.hop_length = hop_length
        self.max_length_s = max_length_s
        self.nb_max_samples = max_length_s * sampling_rate
        self.fft_window_size = fft_window_size
        self.nb_frequency_bins = (fft_window_size >> 1) + 1
        self.frequency_min = frequency_min
        self.frequency_max = frequency_max
        self.top_db = top_db
        self.truncation = truncation
        self.padding = padding

    @property
    def mel_filters(self) -> np.ndarray:
        """The bank (bins, feature_size) of ``fusion``, in HTK's scale."""
        return self._bank(None, "htk")

    @property
    def mel_filters_slaney(self) -> np.ndarray:
        """The bank (bins, feature_size) of everything else, in Slaney's."""
        return self._bank("slaney", "slaney")

    def _bank(self, norm: str | None, scale: str) -> np.ndarray:
        edges = (self.frequency_min, self.frequency_max)
        return _bank(
            self.nb_frequency_bins, self.feature_size, *edges, self.sampling_rate, norm, scale
        )

    def __call__(
        self,
        raw_speech: Any,
        truncation: str | None = None,
        padding: str | None = None,
        max_length: int | None = None,
        sampling_rate: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Features of one sound (T,) or several; `max_length` is in samples.

        Random places come from ``numpy.random``, so that ``numpy.random.seed`` repeats them. With
        ``fusion`` at least one sound of a batch counts as longer, as the model was trained.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN, an unknown `truncation`.
        """
        truncation = truncation or self.truncation
        if truncation not in ("fusion", "rand_trunc"):
            raise ProcessorError(f"truncation={truncation!r}: use 'fusion' or 'rand_trunc'.")
        sounds, _ = self.sounds(raw_speech, sampling_rate)
        length = max_length or self.nb_max_samples
        found = [self._input(s, length, truncation, padding or self.padding) for s in sounds]
        longer = [is_longer for _, is_longer in found]
        if truncation == "fusion" and not any(longer):
            longer[np.random.randint(0, len(longer))] = True
        data = {
            "input_features": [features for features, _ in found],
            "is_longer": [[is_longer] for is_longer in longer],
        }
        return BatchFeature(data, tensor_type=return_tensors)

    def _input(
        self, sound: np.ndarray, length: int, truncation: str, padding: str
    ) -> tuple[np.ndarray, bool]:
        """The spectrograms (1 or 4, frames, mels) and whether the sound was too long."""
        longer = len(sound) > length
        if truncation == "fusion":
            mel = self._mel(sound if longer else self._filled(sound, length, padding), fusion=True)
            frames = length // self.hop_length + 1
            if longer and len(mel) != frames:
                return self._fused(mel, frames), True
            return np.stack([mel] * (PARTS + 1)), False
        if longer:
            start = np.random.randint(0, len(sound) - length + 1)
            sound = sound[start : start + length]
        return self._mel(self._filled(sound, length, padding), fusion=False)[None], longer

    def _filled(self, sound: np.ndarray, length: int, padding: str) -> np.ndarray:
        times = length // len(sound)
        if padding == "repeat" and len(sound) < length:
            sound = np.tile(sound, times + 1)[:length]
        elif padding == "repeatpad":
            sound = np.tile(sound, max(1, times))
        return np.pad(sound, (0, length - len(sound)))

    def _mel(self, sound: np.ndarray, *, fusion: bool) -> np.ndarray:
        """Decibels (frames, mels)."""
        values = spectrogram(
            sound,
            window_function(self.fft_window_size, "hann"),
            frame_length=self.fft_window_size,
            hop_length=self.hop_length,
            power=2.0,
            mel_filters=self.mel_filters if fusion else self.mel_filters_slaney,
            log_mel="dB",
        )
        return np.ascontiguousarray(values.T)

    def _fused(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """The whole, shrunk to `frames`, and a part from each third."""
        places = np.array_split(np.arange(len(mel) - frames + 1), PARTS)
        starts = [np.random.choice(third if len(third) else [0]) for third in places]
        whole = functional.interpolate(
            torch.from_numpy(mel)[None, None], size=(frames, self.feature_size), mode="bilinear"
        )
        return np.stack([whole[0, 0].numpy(), *(mel[s : s + frames] for s in starts)])


@lru_cache(maxsize=4)
def _bank(
    bins: int, mels: int, low: float, high: float, rate: int, norm: str | None, scale: str
) -> np.ndarray:
    return mel_filter_bank(bins, mels, low, high, rate, norm=norm, mel_scale=scale)
