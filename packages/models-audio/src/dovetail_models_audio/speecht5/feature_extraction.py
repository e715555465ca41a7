"""SpeechT5's features: samples for what goes in, log-mel frames for what is to come out."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor
from dovetail_models_audio.audio.scales import mel_filter_bank
from dovetail_models_audio.audio.spectrograms import spectrogram
from dovetail_models_audio.audio.windows import optimal_fft_length, window_function


class SpeechT5FeatureExtractor(SoundFeatureExtractor):
    """Samples (B, T) as ``input_values``; of a target, log-mel frames (B, frames, num_mel_bins).

    `hop_length` and `win_length` are in milliseconds, `fmin` and `fmax` in hertz.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16000,
        padding_value: float = 0.0,
        do_normalize: bool = False,
        num_mel_bins: int = 80,
        hop_length: int = 16,
        win_length: int = 64,
        win_function: str = "hann_window",
        frame_signal_scale: float = 1.0,
        fmin: float = 80,
        fmax: float = 7600,
        mel_floor: float = 1e-10,
        reduction_factor: int = 2,
        return_attention_mask: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            return_attention_mask=return_attention_mask,
            **kwargs,
        )
        self.do_normalize = do_normalize
        self.num_mel_bins = num_mel_bins
        self.hop_length = hop_length
        self.win_length = win_length
        self.win_function = win_function
        self.frame_signal_scale = frame_signal_scale
        self.fmin = fmin
        self.fmax = fmax
        self.mel_floor = mel_floor
        self.reduction_factor = reduction_factor

    @property
    def sample_size(self) -> int:
        """Samples of a frame."""
        return self.win_length * self.sampling_rate // 1000

    @property
    def sample_stride(self) -> int:
        """Samples from one frame to the next."""
        return self.hop_length * self.sampling_rate // 1000

    @property
    def n_fft(self) -> int:
        """Samples of a transform."""
        return optimal_fft_length(self.sample_size)

    @property
    def n_freqs(self) -> int:
        """Bins of a spectrum."""
        return self.n_fft // 2 + 1

    @property
    def window(self) -> np.ndarray:
        """The window (sample_size,)."""
        return window_function(self.sample_size, self.win_function, periodic=True)

    @property
    def mel_filters(self) -> np.ndarray:
        """The filter bank (n_freqs, num_mel_bins)."""
        return _bank(self.n_freqs, self.num_mel_bins, self.fmin, self.fmax, self.sampling_rate)

    def __call__(
        self,
        audio: Any = None,
        audio_target: Any = None,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Samples of `audio`, frames of `audio_target`, each one sound (T,) or several.

        Of both, the target's frames are ``labels`` and its mask ``decoder_attention_mask``.

        Raises:
            ProcessorError: neither is given; another sampling rate, no samples, NaN, two channels.
        """
        if audio is None and audio_target is None:
            raise ProcessorError("Pass audio, audio_target or both.")
        options: dict[str, Any] = {
            "padding": padding,
            "max_length": max_length,
            "truncation": truncation,
            "pad_to_multiple_of": pad_to_multiple_of,
            "return_attention_mask": return_attention_mask,
            "return_tensors": return_tensors,
        }
        target = None
        if audio_target is not None:
            sounds, _ = self.sounds(audio_target, sampling_rate)
            target = self.pad({"input_values": [self._frames(s) for s in sounds]}, **options)
        if audio is None:
            return target or BatchFeature()
        sounds, _ = self.sounds(audio, sampling_rate)
        inputs = self.pad_samples(sounds, normalize=self.do_normalize, **options)
        if target is not None:
            inputs["labels"] = target["input_values"]
            if "attention_mask" in target:
                inputs["decoder_attention_mask"] = target["attention_mask"]
        return inputs

    def _frames(self, sound: np.ndarray) -> np.ndarray:
        """Log-mel frames (frames, num_mel_bins)."""
        values = spectrogram(
            sound,
            self.window,
            frame_length=self.sample_size,
            hop_length=self.sample_stride,
            fft_length=self.n_fft,
            mel_filters=self.mel_filters,
            mel_floor=self.mel_floor,
            log_mel="log10",
        )
        return np.ascontiguousarray(values.T)


@lru_cache(maxsize=4)
def _bank(bins: int, mels: int, low: float, high: float, rate: int) -> np.ndarray:
    return mel_filter_bank(bins, mels, low, high, rate, norm="slaney", mel_scale="slaney")
