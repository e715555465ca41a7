"""Text to labelled tokens or named entities."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from dovetail.errors import PipelineError
from dovetail.pipelines import ArgumentHandler, ChunkPipeline
from dovetail_models_text.pipelines.entities import (
    AggregationStrategy,
    Entity,
    drop_overlaps,
    group_adjacent,
    label_tokens,
    label_words,
)
from dovetail_models_text.pipelines.text_input import require_text

Offsets = list[tuple[int, int]]


class TokenClassificationArgumentHandler(ArgumentHandler):
    """Inputs as a list, and the offsets that the caller knows, one list per input."""

    def __call__(self, inputs: Any, **kwargs: Any) -> tuple[Any, list[Offsets] | None]:
        """(inputs, offsets or None)."""
        if isinstance(inputs, str):
            inputs = [inputs]
        elif isinstance(inputs, Dataset | Iterator):
            return inputs, None
        if not isinstance(inputs, list | tuple) or not inputs:
            raise PipelineError(
                "The 'token-classification' pipeline needs at least one input: a string or a "
                f"list of strings; got {inputs!r}."
            )
        offsets = kwargs.get("offset_mapping")
        if not offsets:
            return list(inputs), None
        offsets = [offsets] if isinstance(offsets[0], tuple) else offsets
        if len(offsets) != len(inputs):
            raise PipelineError(
                f"offset_mapping has {len(offsets)} entries for {len(inputs)} inputs: give one "
                "per input."
            )
        return list(inputs), offsets


class TokenClassificationPipeline(ChunkPipeline):
    """Entities of a text, from a token classifier.

    `aggregation_strategy` is one of `AggregationStrategy`; `ignore_labels` (default ``["O"]``) are
    left out. With `stride`, a text longer than the model takes is read in windows that overlap by
    so many tokens.
    """

    default_input_names = "sequences"

    def __init__(
        self, args_parser: ArgumentHandler | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self._args_parser = args_parser or TokenClassificationArgumentHandler()
        super().__init__(*args, **kwargs)

    def _sanitize_parameters(
        self,
        ignore_labels: list[str] | None = None,
        grouped_entities: bool | None = None,
        ignore_subwords: bool | None = None,
        aggregation_strategy: str | AggregationStrategy | None = None,
        offset_mapping: Any = None,
        stride: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess: dict[str, Any] = (
            {} if offset_mapping is None else {"offset_mapping": offset_mapping}
        )
        postprocess: dict[str, Any] = (
            {} if ignore_labels is None else {"ignore_labels": ignore_labels}
        )
        if grouped_entities is not None or ignore_subwords is not None:
            aggregation_strategy = _from_old_flags(bool(grouped_entities), bool(ignore_subwords))
        if aggregation_strategy is not None:
            postprocess["aggregation_strategy"] = self._strategy(aggregation_strategy)
        if stride is not None:
            if (
                postprocess.get("aggregation_strategy", AggregationStrategy.NONE)
                is AggregationStrategy.NONE
            ):
                raise PipelineError(
                    f"stride={stride} splits a text into windows, which "
                    "aggregation_strategy='none' cannot join: "
                    "choose another strategy."
                )
            preprocess["tokenizer_params"] = self._windows(stride)
        return preprocess, {}, postprocess

    def _strategy(self, name: str) -> AggregationStrategy:
        try:
            strategy = AggregationStrategy(name.lower())
        except ValueError:
            allowed = ", ".join(AggregationStrategy)
            raise PipelineError(f"aggregation_strategy={name!r} is none of: {allowed}.") from None
        if strategy.needs_words and not self.tokenizer.is_fast:
            raise PipelineError(
                f"aggregation_strategy={strategy.value!r} needs a tokenizer that knows words (a "
                "fast one): use 'simple' with this one."
            )
        return strategy

    def _windows(self, stride: int) -> dict[str, Any]:
        limit = self.tokenizer.model_max_length
        if not 0 <= stride < limit:
            raise PipelineError(
                f"stride={stride} must be at least 0 and less than the tokenizer's "
                f"model_max_length={limit}."
            )
        if not self.tokenizer.is_fast:
            raise PipelineError(
                "stride needs a fast tokenizer, which knows where each token lies in the text."
            )
        return {"return_overflowing_tokens": True, "padding": True, "stride": stride}

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """The entities of one text, or a list of them for each text of a list."""
        _, offsets = self._args_parser(inputs, **kwargs)
        if offsets:
            kwargs["offset_mapping"] = offsets
        return super().__call__(inputs, **kwargs)

    def preprocess(
        self, sentence: str, offset_mapping: Any = None, **preprocess_params: Any
    ) -> Iterator[dict[str, Any]]:
        """Tokenize one text, into several windows where a stride is set."""
        require_text(sentence, "token-classification")
        limit = self.tokenizer.model_max_length
        encoded = self.tokenizer(
            sentence,
            return_tensors="pt",
            truncation=bool(limit and limit > 0),
            return_special_tokens_mask=True,
            return_offsets_mapping=self.tokenizer.is_fast,
            **preprocess_params.pop("tokenizer_params", {}),
        )
        encoded.pop("overflow_to_sample_mapping", None)
        windows = len(encoded["input_ids"])
        for index in range(windows):
            chunk = {name: values[index : index + 1] for name, values in encoded.items()}
            if offset_mapping is not None:
                chunk["offset_mapping"] = offset_mapping
            chunk["sentence"] = sentence if index == 0 else None
            yield {**chunk, "is_last": index == windows - 1}

    def _forward(self, model_inputs: Any) -> dict[str, Any]:
        kept = ("special_tokens_mask", "offset_mapping", "sentence", "is_last")
        aside = {name: model_inputs[name] for name in kept if name in model_inputs}
        tensors = {name: value for name, value in model_inputs.items() if name not in aside}
        output = self.model(**tensors)
        return {
            "logits": output["logits"] if isinstance(output, dict) else output[0],
            **aside,
            **tensors,
        }

    def postprocess(
        self,
        all_outputs: list[dict[str, Any]],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.NONE,
        ignore_labels: list[str] | None = None,
    ) -> list[Entity]:
        """Entities of all windows, logits (1, T, labels) each."""
        ignored = ["O"] if ignore_labels is None else ignore_labels
        sentence = all_outputs[0]["sentence"]
        found: list[Entity] = []
        for output in all_outputs:
            offsets = output.get("offset_mapping")
            tokens = self.gather_pre_entities(
                sentence,
                output["input_ids"][0].numpy(),
                output["logits"][0].float().softmax(-1).numpy(),
                None if offsets is None else offsets[0],
                output["special_tokens_mask"][0].numpy(),
                aggregation_strategy,
            )
            entities = self.aggregate(tokens, aggregation_strategy)
            found += [e for e in entities if e.get("entity", e.get("entity_group")) not in ignored]
        return drop_overlaps(found) if len(all_outputs) > 1 else found

    def gather_pre_entities(
        self,
        sentence: str,
        input_ids: np.ndarray,
        scores: np.ndarray,
        offset_mapping: Any,
        special_tokens_mask: np.ndarray,
        aggregation_strategy: AggregationStrategy,
    ) -> list[Entity]:
        """Tokens with the scores of all labels (T, labels), special tokens left out."""
        words = self.tokenizer.convert_ids_to_tokens(input_ids.tolist())
        spans = (
            [(None, None)] * len(words)
            if offset_mapping is None
            else np.asarray(offset_mapping).tolist()
        )
        tokens = []
        for index in np.flatnonzero(special_tokens_mask == 0).tolist():
            word, (start, end) = words[index], spans[index]
            is_piece = False
            if start is not None and end is not None:
                is_piece = self._is_piece(word, sentence, start, end, aggregation_strategy)
                if input_ids[index] == self.tokenizer.unk_token_id:
                    word, is_piece = sentence[start:end], False
            tokens.append(
                {
                    "word": word,
                    "scores": scores[index],
                    "start": start,
                    "end": end,
                    "index": index,
                    "is_subword": is_piece,
                }
            )
        return tokens

    def _is_piece(
        self, word: str, sentence: str, start: int, end: int, strategy: AggregationStrategy
    ) -> bool:
        """Whether a token continues the word before it."""
        if getattr(
            getattr(self.tokenizer, "_tokenizer", None) and self.tokenizer._tokenizer.model,
            "continuing_subword_prefix",
            None,
        ):
            return len(word) != end - start
        if strategy.needs_words:
            warnings.warn(
                "This tokenizer does not mark pieces of words: a token that follows no space "
                "counts as one.",
                UserWarning,
                stacklevel=2,
            )
        return start > 0 and " " not in sentence[start - 1 : start + 1]

    def aggregate(
        self, pre_entities: list[Entity], aggregation_strategy: AggregationStrategy
    ) -> list[Entity]:
        """Tokens to entities by the chosen strategy."""
        labels = self.model.config.id2label
        join = self.tokenizer.convert_tokens_to_string
        if aggregation_strategy.needs_words:
            entities = label_words(pre_entities, labels, aggregation_strategy, join)
        else:
            entities = label_tokens(pre_entities, labels)
        return (
            entities
            if aggregation_strategy is AggregationStrategy.NONE
            else group_adjacent(entities, join)
        )


def _from_old_flags(grouped_entities: bool, ignore_subwords: bool) -> AggregationStrategy:
    """The strategy that two retired arguments stood for."""
    if not grouped_entities:
        strategy = AggregationStrategy.NONE
    else:
        strategy = AggregationStrategy.FIRST if ignore_subwords else AggregationStrategy.SIMPLE
    warnings.warn(
        "grouped_entities and ignore_subwords are deprecated: use "
        f"aggregation_strategy={strategy.value!r}.",
        FutureWarning,
        stacklevel=4,
    )
    return strategy


NerPipeline = TokenClassificationPipeline
