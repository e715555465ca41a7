"""Padding and truncating sequences of samples or frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dovetail.errors import ProcessorError
from dovetail.processors.features import BatchFeature
from dovetail.processors.preprocessor import FeatureExtractionMixin

Features = BatchFeature | Mapping[str, Any] | Sequence[BatchFeature] | Sequence[Mapping[str, Any]]


class SequenceFeatureExtractor(FeatureExtractionMixin):
    """Base of feature extractors for sound.

    `feature_size` is the width of a frame (1 for raw samples), `sampling_rate` in hertz,
    `padding_value` what is put after (or, with ``padding_side="left"``, before) a shorter
    sequence. A subclass sets `model_input_names`, the padded input first.
    """

    model_input_names: ClassVar[list[str]]

    def __init__(
        self, feature_size: int, sampling_rate: int, padding_value: float, **kwargs: Any
    ) -> None:
        self.feature_size = feature_size
        self.sampling_rate = sampling_rate
        self.padding_value = padding_value
        self.padding_side: str = kwargs.pop("padding_side", "right")
        self.return_attention_mask: bool = kwargs.pop("return_attention_mask", True)
        super().__init__(**kwargs)

    def pad(
        self,
        processed_features: Features,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Pad a batch, given as a mapping to lists or a list of mappings, to one length along time.

        `padding` is True or ``"longest"``, ``"max_length"``, or False. Items are (T,), or (T,
        feature_size); the mask is 1 at real samples.

        Raises:
            ProcessorError: the main input is absent, or a length is needed that was not given.
        """
        columns = _columns(processed_features)
        main = self.model_input_names[0]
        if main not in columns:
            raise ProcessorError(
                f"Items to pad need the key {main!r} (the first of model_input_names); these "
                f"have {sorted(columns)}."
            )
        with_mask = (
            self.return_attention_mask if return_attention_mask is None else return_attention_mask
        )
        if len(columns[main]) == 0:
            return BatchFeature({**columns, "attention_mask": []} if with_mask else columns)
        tensor_type = return_tensors or _tensor_type(columns[main])
        items = [
            {name: _array(values[index]) for name, values in columns.items()}
            for index in range(len(columns[main]))
        ]
        strategy = self._strategy(padding, max_length, truncation)
        if truncation and max_length is not None:
            items = [
                self._truncated(item, _rounded(max_length, pad_to_multiple_of)) for item in items
            ]
        if strategy == "longest":
            max_length = max(len(item[main]) for item in items)
        length = _rounded(max_length, pad_to_multiple_of) if strategy != "do_not_pad" else None
        padded = [self._padded(item, length, with_mask) for item in items]
        return BatchFeature(
            {name: [item[name] for item in padded] for name in padded[0]}, tensor_type
        )

    def _strategy(self, padding: bool | str, max_length: int | None, truncation: bool) -> str:
        named = {True: "longest", False: "do_not_pad"}
        strategy = (
            named[padding] if isinstance(padding, bool) else str(getattr(padding, "value", padding))
        )
        if strategy not in ("longest", "max_length", "do_not_pad"):
            raise ProcessorError(
                f"padding={padding!r}: use True, False, 'longest', 'max_length' or 'do_not_pad'."
            )
        if max_length is None and (strategy == "max_length" or truncation):
            raise ProcessorError("padding='max_length' and truncation=True need max_length.")
        if strategy != "do_not_pad" and self.padding_value is None:
            raise ProcessorError(
                f"{type(self).__name__} has no padding_value: set one, for instance 0.0."
            )
        return strategy

    def _truncated(self, item: dict[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
        cut = {self.model_input_names[0], "attention_mask"}
        return {name: value[:length] if name in cut else value for name, value in item.items()}

    def _padded(
        self, item: dict[str, np.ndarray], length: int | None, with_mask: bool
    ) -> dict[str, np.ndarray]:
        main = self.model_input_names[0]
        values = item[main]
        if with_mask and "attention_mask" not in item:
            item["attention_mask"] = np.ones(len(values), dtype=np.int32)
        missing = 0 if length is None else length - len(values)
        if missing > 0:
            around = (0, missing) if self.padding_side == "right" else (missing, 0)
            if with_mask:
                item["attention_mask"] = np.pad(item["attention_mask"], around)
            widths = [around, *[(0, 0)] * (values.ndim - 1)]
            item[main] = np.pad(values, widths, constant_values=self.padding_value)
        return item


def _columns(features: Features) -> dict[str, Any]:
    if isinstance(features, Mapping):
        return dict(features)
    rows = list(features)
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _tensor_type(values: Any) -> str | None:
    """The framework of what came in; plain numbers stay arrays."""
    first = values[0]
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return "pt" if type(first).__module__.startswith("torch") else None


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _rounded(length: int | None, multiple: int | None) -> int:
    """`length`, rounded up to a multiple."""
    length = length or 0
    return -(-length // multiple) * multiple if multiple else length
