"""Wav2Vec 2.0's features: the samples themselves, each sound with mean zero and variance one."""

from __future__ import annotations

from typing import Any, ClassVar

from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor


class Wav2Vec2FeatureExtractor(SoundFeatureExtractor):
    """Samples (B, T) as ``input_values``.

    `do_normalize` standardizes each sound; models whose encoder has layer norms want the attention
    mask too (`return_attention_mask`).
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16000,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        do_normalize: bool = True,
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

    def __call__(
        self,
        raw_speech: Any,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """One sound (T,) or several, padded and cut as in `pad`.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN or more than one channel.
        """
        sounds, _ = self.sounds(raw_speech, sampling_rate)
        return self.pad_samples(
            sounds,
            normalize=self.do_normalize,
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
            return_tensors=return_tensors,
        )
