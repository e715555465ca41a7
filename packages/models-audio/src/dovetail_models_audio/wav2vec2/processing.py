"""Wav2Vec 2.0's processor: sounds, and the texts that are said in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from dovetail.errors import ProcessorError
from dovetail.processors import ProcessorMixin


class Wav2Vec2Processor(ProcessorMixin):
    """A `Wav2Vec2FeatureExtractor` and a `Wav2Vec2CTCTokenizer` as one object."""

    attributes: ClassVar[list[str]] = ["feature_extractor", "tokenizer"]
    feature_extractor_class = "Wav2Vec2FeatureExtractor"
    tokenizer_class = "AutoTokenizer"
    feature_extractor: Any
    tokenizer: Any

    def __init__(self, feature_extractor: Any, tokenizer: Any) -> None:
        super().__init__(feature_extractor, tokenizer)
        self._reads_target = False

    def __call__(
        self,
        audio: Any = None,
        text: Any = None,
        images: Any = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> Any:
        """``input_values`` of `audio`, ids of `text`, or of both, with the ids as ``labels``.

        `sampling_rate` is that of the sounds; other `kwargs` go to both parts.

        Raises:
            ProcessorError: there is neither, or there are pictures.
        """
        audio = kwargs.pop("raw_speech", audio)
        if images is not None or videos is not None:
            raise ProcessorError("Wav2Vec2Processor takes sounds and texts alone.")
        if audio is None and text is None:
            raise ProcessorError("Wav2Vec2Processor needs audio, text or both; got neither.")
        rate = {"sampling_rate": kwargs.pop("sampling_rate", None)}
        if self._reads_target:
            return self.tokenizer(audio if text is None else text, **kwargs)
        if audio is None:
            return self.tokenizer(text, **kwargs)
        inputs = self.feature_extractor(audio, **rate, **kwargs)
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **kwargs)["input_ids"]
        return inputs

    def pad(self, *args: Any, **kwargs: Any) -> Any:
        """Pad `input_features` by the feature extractor, `labels` by the tokenizer, or both, as
        one batch with the labels in it."""
        features = kwargs.pop("input_features", args[0] if args else None)
        labels = kwargs.pop("labels", None)
        if self._reads_target:
            return self.tokenizer.pad(features, *args[1:], **kwargs)
        padded = (
            None if features is None else self.feature_extractor.pad(features, *args[1:], **kwargs)
        )
        if labels is None:
            return padded
        targets = self.tokenizer.pad(labels, **kwargs)
        if padded is None:
            return targets
        padded["labels"] = targets["input_ids"]
        return padded

    @contextmanager
    def as_target_processor(self) -> Iterator[None]:
        """Retired: within the block calls encode texts; pass `text` instead."""
        warnings.warn(
            "as_target_processor is retired: pass text= (or labels= to pad).",
            FutureWarning,
            stacklevel=3,
        )
        self._reads_target = True
        try:
            yield
        finally:
            self._reads_target = False
