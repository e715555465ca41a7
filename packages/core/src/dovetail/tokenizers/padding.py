"""Padding features that are already ids, and the one place that knows what fills which feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.errors import TokenizerError
from dovetail.tokenizers.encoding import BatchEncoding
from dovetail.tokenizers.special_tokens import SpecialTokensMixin
from dovetail.tokenizers.strategies import (
    LengthPlan,
    PaddingStrategy,
    TensorType,
    TruncationStrategy,
    read_lengths,
)


class PaddingMixin(SpecialTokensMixin):
    """`pad` of a tokenizer."""

    model_input_names: list[str]
    padding_side: str

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str | PaddingStrategy = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | TensorType | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad one encoded sequence, a batch of them, or a list of separately encoded ones.

        Tensors come back as tensors of the same kind unless `return_tensors` says otherwise.
        Features that padding has no value for (labels) stay as they are.

        Raises:
            TokenizerError: when the first of `model_input_names` is missing or features do not fit
            together.
        """
        features = _as_features(encoded_inputs)
        main = self.model_input_names[0]
        if main not in features:
            raise TokenizerError(
                f"What is to be padded lacks {main!r}: it has {sorted(features) or 'nothing'}. "
                "Pass what the tokenizer returned."
            )
        if len(features[main]) == 0:
            return BatchEncoding(
                features | ({"attention_mask": []} if return_attention_mask else {})
            )
        if return_attention_mask is None:
            return_attention_mask = "attention_mask" in self.model_input_names
        return_tensors = return_tensors or _kind(features[main])
        features = {name: _plain(value) for name, value in features.items()}
        plan = read_lengths(self, padding, None, max_length, pad_to_multiple_of, verbose, {})  # type: ignore[arg-type]
        single = not isinstance(features[main][0], list | tuple)
        if single:
            features = {name: [value] for name, value in features.items()}
        padded = self._pad_rows(features, plan, padding_side, return_attention_mask)
        if single:
            padded = {name: value[0] for name, value in padded.items()}
        return BatchEncoding(padded, tensor_type=return_tensors)

    def _pad_rows(
        self,
        features: dict[str, Any],
        plan: LengthPlan,
        padding_side: str | None,
        return_attention_mask: bool,
    ) -> dict[str, Any]:
        main = self.model_input_names[0]
        lengths = [len(row) for row in features[main]]
        for name, rows in features.items():
            if len(rows) != len(lengths):
                raise TokenizerError(
                    f"{name} has {len(rows)} rows where {main} has {len(lengths)}: they must be as "
                    "many."
                )
        padded = dict(features)
        if return_attention_mask and "attention_mask" not in padded:
            padded["attention_mask"] = [[1] * length for length in lengths]
        target = padded_length(plan, max(lengths))
        side = padding_side or self.padding_side
        if side not in ("left", "right"):
            raise TokenizerError(f"padding_side={side!r} cannot be: choose 'left' or 'right'.")
        for name, filler in self._fillers().items():
            if name in padded:
                rows = zip(padded[name], lengths, strict=True)
                padded[name] = [fill(row, filler, target - length, side) for row, length in rows]
        return padded

    def _fillers(self) -> dict[str, int | None]:
        return {
            self.model_input_names[0]: self.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": self.pad_token_type_id,
            "special_tokens_mask": 1,
        }


def padded_length(plan: LengthPlan, longest: int) -> int:
    """The length that rows get under `plan`, the longest of them having `longest` tokens."""
    if plan.padding is PaddingStrategy.DO_NOT_PAD:
        return 0
    length = longest if plan.padding is PaddingStrategy.LONGEST else plan.max_length or 0
    multiple = plan.pad_to_multiple_of or 1
    return -(-length // multiple) * multiple


def fill(row: Sequence[Any], filler: Any, missing: int, side: str) -> list[Any]:
    """`row` with `missing` times `filler` at one side."""
    if missing <= 0:
        return list(row)
    padding = [filler] * missing
    return [*row, *padding] if side == "right" else [*padding, *row]


def no_truncation(plan: LengthPlan) -> bool:
    """Whether `plan` leaves every length as it is."""
    return plan.truncation is TruncationStrategy.DO_NOT_TRUNCATE or plan.max_length is None


def _as_features(inputs: Any) -> dict[str, Any]:
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], Mapping):
        names = inputs[0].keys()
        for index, one in enumerate(inputs):
            if one.keys() != names:
                raise TokenizerError(
                    f"Row {index} has the features {sorted(one)} where row 0 has {sorted(names)}: "
                    "all must have the same."
                )
        return {name: [one[name] for one in inputs] for name in names}
    if not isinstance(inputs, Mapping):
        raise TokenizerError(
            "Only encoded sequences can be padded (a mapping of features, or a list of such), not "
            f"{type(inputs).__name__}."
        )
    return dict(inputs)


def _kind(value: Any) -> TensorType | None:
    """Which kind of array `value`, or its first row, is."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    if not hasattr(value, "tolist"):
        return None
    return TensorType.NUMPY if type(value).__module__.startswith("numpy") else TensorType.PYTORCH


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return (
        [_plain(one) for one in value]
        if isinstance(value, list | tuple) and hasattr(value[0], "tolist")
        else value
    )
