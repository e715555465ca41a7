"""The base of the families' feature extractors: sound in any usual form becomes checked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.logging import get_logger
from dovetail.processors import BatchFeature, SequenceFeatureExtractor

logger = get_logger("dovetail.audio")

VARIANCE_EPSILON = 1e-7


class SoundFeatureExtractor(SequenceFeatureExtractor):
    """Takes one sound (T,) or a batch: a list of sounds, or an array (B, T)."""

    def sounds(self, raw: Any, sampling_rate: int | None) -> tuple[list[np.ndarray], bool]:
        """Each sound as a float32 array, (T,) or (C, T), and whether a batch was given.

        Raises:
            ProcessorError: another sampling rate, no samples, NaN, or too many channels.
        """
        self._check_rate(sampling_rate)
        batched = _is_batch(raw)
        items = [_samples(item) for item in (raw if batched else [raw])]
        if not items:
            raise ProcessorError("raw_speech is an empty list: pass one sound at least.")
        for index, item in enumerate(items):
            self._check_sound(item, f"raw_speech[{index}]" if batched else "raw_speech")
        return items, batched

    def pad_samples(
        self, sounds: list[np.ndarray], *, normalize: bool, **options: Any
    ) -> BatchFeature:
        """Sounds (T,) cut and padded as in `pad`, as ``input_values``; standardized on request.

        Models that take no attention mask were trained on what is standardized with its padding.
        """
        mask = options.get("return_attention_mask")
        with_mask = self.return_attention_mask if mask is None else mask
        if normalize and with_mask:
            end = options.get("max_length") if options.get("truncation") else None
            sounds = standardized([sound[:end] for sound in sounds])
        tensor_type = options.pop("return_tensors", None)
        padded = self.pad({"input_values": sounds}, **options)
        if normalize and not with_mask:
            padded["input_values"] = standardized(padded["input_values"])
        return padded.convert_to_tensors(tensor_type)

    def _check_rate(self, sampling_rate: int | None) -> None:
        if sampling_rate is None:
            logger.warning_once(
                f"{type(self).__name__} was not told the sampling_rate of its sound and takes it "
                f"for {self.sampling_rate} Hz. Pass sampling_rate, so that another one is noticed."
            )
        elif sampling_rate != self.sampling_rate:
            raise ProcessorError(
                f"The sound has sampling_rate={sampling_rate}, {type(self).__name__} was made for "
                f"{self.sampling_rate} Hz. Resample it: dovetail.resample(sound, {sampling_rate}, "
                f"{self.sampling_rate})."
            )

    def _check_sound(self, sound: np.ndarray, where: str) -> None:
        if sound.ndim != 1:
            raise ProcessorError(
                f"{where} has the shape {sound.shape}; {type(self).__name__} takes one channel, "
                "(samples,). Average the channels, or read the file with dovetail.load_audio."
            )
        check_samples(sound, where)


def check_samples(sound: np.ndarray, where: str) -> None:
    """Refuse what is empty, NaN or infinite."""
    if not sound.size:
        raise ProcessorError(f"{where} has no samples: leave it out of the batch.")
    if not np.isfinite(sound).all():
        raise ProcessorError(f"{where} holds NaN or infinite samples: mend the recording.")


def standardized(sounds: list[np.ndarray]) -> list[np.ndarray]:
    """Each sound with mean zero and variance one."""
    return [(s - s.mean()) / np.sqrt(s.var() + VARIANCE_EPSILON) for s in sounds]


def _is_batch(raw: Any) -> bool:
    if isinstance(raw, list | tuple):
        return not raw or np.ndim(raw[0]) > 0
    return np.ndim(raw) > 1


def _samples(item: Any) -> np.ndarray:
    try:
        return np.asarray(item, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ProcessorError(
            f"A sound is an array or a list of numbers, not {type(item).__name__} ({error}). Read "
            "files with dovetail.load_audio."
        ) from error
