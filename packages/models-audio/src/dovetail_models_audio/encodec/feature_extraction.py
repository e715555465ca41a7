"""EnCodec's features: the samples of one or two channels, padded to whole chunks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.processors import BatchFeature
from dovetail_models_audio.audio.extraction import SoundFeatureExtractor, check_samples


class EncodecFeatureExtractor(SoundFeatureExtractor):
    """Samples (B, feature_size, T) as ``input_values``, and ``padding_mask``.

    `feature_size` is the number of channels; a stereo sound is (2, T). With `chunk_length_s` and
    `overlap` lengths are made such that chunks of so many seconds, overlapping so far, fill them.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "padding_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 24000,
        padding_value: float = 0.0,
        chunk_length_s: float | None = None,
        overlap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            feature_size=feature_size,
            sampling_rate=sampling_rate,
            padding_value=padding_value,
            **kwargs,
        )
        self.chunk_length_s = chunk_length_s
        self.overlap = overlap

    @property
    def chunk_length(self) -> int | None:
        """Samples of a chunk."""
        return (
            None if self.chunk_length_s is None else int(self.chunk_length_s * self.sampling_rate)
        )

    @property
    def chunk_stride(self) -> int | None:
        """Samples from one chunk to the next."""
        if self.chunk_length is None or self.overlap is None:
            return None
        return max(1, int((1.0 - self.overlap) * self.chunk_length))

    def __call__(
        self,
        raw_audio: Any,
        padding: bool | str | None = None,
        truncation: bool | None = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
    ) -> BatchFeature:
        """One sound, (T,) or (2, T), or a list of several; they are padded unless told otherwise.

        Raises:
            ProcessorError: both padding and truncation, another sampling rate, no samples, NaN, or
                another number of channels.
        """
        if padding and truncation:
            raise ProcessorError(
                "padding and truncation contradict each other: chunks are either filled or cut."
            )
        padding = True if padding is None else padding
        alone = self.feature_size == 2 and not isinstance(raw_audio, list | tuple)
        sounds, _ = self.sounds([raw_audio] if alone else raw_audio, sampling_rate)
        sounds = [sound.T for sound in sounds]  # time first, which is what is padded
        if max_length is None and self.chunk_length is not None and self.chunk_stride is not None:
            if truncation:
                shortest = min(map(len, sounds))
                max_length = self._chunks(shortest // self.chunk_stride)
            elif padding:
                max_length = self._chunks(-(-max(map(len, sounds)) // self.chunk_stride))
                padding = "max_length"
        padded = self.pad(
            {"input_values": sounds},
            max_length=max_length,
            truncation=bool(truncation),
            padding=padding,
            return_attention_mask=bool(padding),
        )
        if padding:
            padded["padding_mask"] = np.stack(padded.pop("attention_mask"))
        padded["input_values"] = [np.atleast_2d(sound.T) for sound in padded["input_values"]]
        return padded.convert_to_tensors(return_tensors)

    def _chunks(self, count: int) -> int:
        """Samples of so many chunks."""
        return (count - 1) * (self.chunk_stride or 0) + (self.chunk_length or 0)

    def _check_sound(self, sound: np.ndarray, where: str) -> None:
        mono = sound.ndim == 1 and self.feature_size == 1
        if not mono and not (sound.ndim == 2 and sound.shape[0] == self.feature_size == 2):
            wanted = "(samples,)" if self.feature_size == 1 else "(2, samples)"
            raise ProcessorError(
                f"{where} has the shape {sound.shape}; with feature_size={self.feature_size} a "
                f"sound is {wanted}. Convert its channels."
            )
        check_samples(sound, where)
