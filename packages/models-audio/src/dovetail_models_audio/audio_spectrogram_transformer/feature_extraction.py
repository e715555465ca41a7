"""AST's features: Kaldi's filter-bank energies of a fixed number of frames."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor
from dovetail_models_audio.audio.kaldi import log_energies


class ASTFeatureExtractor(SoundFeatureExtractor):
    """Energies (B, max_length, num_mel_bins) as ``input_values``.

    `do_normalize` subtracts `mean` and divides by twice `std`, the figures of the training data.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        max_length: int = 1024,
        padding_value: float = 0.0,
        do_normalize: bool = True,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        return_attention_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            return_attention_mask=return_attention_mask,
            **kwargs,
        )
        self.num_mel_bins = num_mel_bins
        self.max_length = max_length
        self.do_normalize = do_normalize
        self.mean = mean
        self.std = std

    def __call__(
        self,
        raw_speech: Any,
        sampling_rate: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Energies of one sound (T,) or several, each filled with zeros or cut to `max_length`.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN or more than one channel.
        """
        sounds, _ = self.sounds(raw_speech, sampling_rate)
        features = [self._features(sound) for sound in sounds]
        return BatchFeature({"input_values": features}, tensor_type=return_tensors)

    def _features(self, sound: np.ndarray) -> np.ndarray:
        energies = log_energies(sound, self.sampling_rate, self.num_mel_bins, "hanning")
        missing = max(0, self.max_length - len(energies))
        energies = np.pad(energies[: self.max_length], ((0, missing), (0, 0)))
        return (energies - self.mean) / (2 * self.std) if self.do_normalize else energies
