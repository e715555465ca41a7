"""Speech2Text's features: Kaldi's filter-bank energies, normalized over each utterance."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor
from dovetail_models_audio.audio.kaldi import log_energies

FULL_SCALE = 2**15
"""Kaldi counts in whole numbers of 16 bits."""


class Speech2TextFeatureExtractor(SoundFeatureExtractor):
    """Energies (B, frames, num_mel_bins) as ``input_features``, with an attention mask.

    `do_ceptral_normalize` brings each band of an utterance to mean zero (`normalize_means`) and
    variance one (`normalize_vars`).
    """

    model_input_names: ClassVar[list[str]] = ["input_features", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16000,
        num_mel_bins: int = 80,
        padding_value: float = 0.0,
        do_ceptral_normalize: bool = True,
        normalize_means: bool = True,
        normalize_vars: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            **{"return_attention_mask": True, **kwargs},
        )
        self.num_mel_bins = num_mel_bins
        self.do_ceptral_normalize = do_ceptral_normalize
        self.normalize_means = normalize_means
        self.normalize_vars = normalize_vars

    def __call__(
        self,
        raw_speech: Any,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
        return_attention_mask: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Energies of one sound (T,) or several, padded and cut (in frames) as in `pad`.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN or more than one channel.
        """
        sounds, _ = self.sounds(raw_speech, sampling_rate)
        features = [self._energies(sound) for sound in sounds]
        if truncation and max_length is not None:
            features = [energies[:max_length] for energies in features]
        if self.do_ceptral_normalize:
            features = [self._normalized(energies) for energies in features]
        return self.pad(
            {"input_features": features},
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )

    def _energies(self, sound: np.ndarray) -> np.ndarray:
        return log_energies(sound * FULL_SCALE, self.sampling_rate, self.num_mel_bins, "povey")

    def _normalized(self, energies: np.ndarray) -> np.ndarray:
        if self.normalize_means:
            energies = energies - energies.mean(axis=0)
        if self.normalize_vars:
            deviation = energies.std(axis=0)
            # A single frame or silence does not vary: it stays as it is.
            energies = energies / np.where(deviation > 0, deviation, 1.0)
        return energies
