"""Text to any labels the caller thinks of, through a model of natural language inference."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from dovetail import logging
from dovetail.errors import PipelineError, TokenizerError
from dovetail.pipelines import ArgumentHandler, ChunkPipeline
from dovetail_models_text.pipelines.text_input import require_text

logger = logging.get_logger(__name__)


class ZeroShotClassificationArgumentHandler(ArgumentHandler):
    """Sequences and labels as pairs of premise and hypothesis."""

    def __call__(
        self, sequences: str | list[str], labels: str | list[str], hypothesis_template: str
    ) -> tuple[list[list[str]], list[str]]:
        """(pairs, sequences); `PipelineError` where there is nothing to pair."""
        labels = self._parse_labels(labels or [])
        if not labels or not sequences:
            raise PipelineError(
                "Zero-shot classification needs at least one label and one sequence; got "
                f"labels={labels!r} and sequences={sequences!r}."
            )
        if hypothesis_template.format(labels[0]) == hypothesis_template:
            raise PipelineError(
                f"hypothesis_template={hypothesis_template!r} has no place for the label: write "
                f"{{}} where it belongs."
            )
        sequences = [sequences] if isinstance(sequences, str) else sequences
        pairs = [
            [sequence, hypothesis_template.format(label)]
            for sequence in sequences
            for label in labels
        ]
        return pairs, sequences

    def _parse_labels(self, labels: str | list[str]) -> list[str]:
        """The labels of a list, or of a text that separates them by commas."""
        if not isinstance(labels, str):
            return labels
        return [name for part in labels.split(",") if (name := part.strip())]


class ZeroShotClassificationPipeline(ChunkPipeline):
    """Scores of `candidate_labels`: how strongly the text entails "This example is LABEL."
    (`hypothesis_template`).

    Labels are a list or a text with commas. By default the scores of all labels add up to 1; with
    `multi_label` each label is judged by itself, entailment against contradiction. The result is
    ``{"sequence", "labels", "scores"}``, best label first.
    """

    default_input_names = "sequences"

    def __init__(
        self, args_parser: ArgumentHandler | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self._args_parser = args_parser or ZeroShotClassificationArgumentHandler()
        super().__init__(*args, **kwargs)
        if self.entailment_id == -1:
            logger.warning(
                "No label of the model begins with 'entail' (they are %s): its last output is "
                "taken for entailment. "
                "Set label2id in the model's config.",
                list(self.model.config.label2id),
            )

    @property
    def entailment_id(self) -> int:
        """The output that stands for entailment; -1 when no label says so."""
        outputs = self.model.config.label2id
        return next((outputs[name] for name in outputs if name.lower().startswith("entail")), -1)

    def _sanitize_parameters(
        self,
        candidate_labels: str | list[str] | None = None,
        hypothesis_template: str | None = None,
        multi_label: bool | None = None,
        multi_class: bool | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if multi_class is not None:
            warnings.warn(
                "multi_class is deprecated: write multi_label.", FutureWarning, stacklevel=3
            )
            multi_label = multi_class
        preprocess: dict[str, Any] = {}
        if candidate_labels is not None:
            preprocess["candidate_labels"] = self._args_parser._parse_labels(candidate_labels)  # type: ignore[attr-defined]
        if hypothesis_template is not None:
            preprocess["hypothesis_template"] = hypothesis_template
        return preprocess, {}, {} if multi_label is None else {"multi_label": multi_label}

    def __call__(self, sequences: str | list[str], *args: Any, **kwargs: Any) -> Any:
        """Classify one text or each of a list; a second positional argument is
        `candidate_labels`."""
        if len(args) > 1 or (args and "candidate_labels" in kwargs):
            raise PipelineError(
                "Zero-shot classification takes the sequences and their candidate_labels; these "
                f"arguments are too many: {args!r}."
            )
        if args:
            kwargs["candidate_labels"] = args[0]
        return super().__call__(sequences, **kwargs)

    def preprocess(
        self,
        inputs: str,
        candidate_labels: list[str] | None = None,
        hypothesis_template: str = "This example is {}.",
    ) -> Iterator[dict[str, Any]]:
        """One pair of premise and hypothesis per label."""
        require_text(inputs, "zero-shot-classification")
        pairs, sequences = self._args_parser(inputs, candidate_labels, hypothesis_template)
        for index, (label, pair) in enumerate(zip(candidate_labels or (), pairs, strict=True)):
            yield {
                "candidate_label": label,
                "sequence": sequences[0],
                "is_last": index == len(pairs) - 1,
                **self._parse_and_tokenize([pair]),
            }

    def _parse_and_tokenize(
        self,
        sequence_pairs: list[list[str]],
        padding: bool | str = True,
        add_special_tokens: bool = True,
        truncation: bool | str = "only_first",
        **kwargs: Any,
    ) -> Any:
        """Tokenize pairs, cutting the premise where a pair is too long for the model."""
        if self.tokenizer.pad_token is None:
            logger.warning("The tokenizer has no padding token: its end-of-sequence token is used.")
            self.tokenizer.pad_token = self.tokenizer.eos_token
        encode = partial(
            self.tokenizer,
            sequence_pairs,
            add_special_tokens=add_special_tokens,
            return_tensors="pt",
            padding=padding,
        )
        try:
            return encode(truncation=truncation)
        except TokenizerError as error:
            if "too short" not in str(error):
                raise
            return encode(truncation=False)  # the hypothesis alone is too long

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        tensors = {name: inputs[name] for name in self.tokenizer.model_input_names}
        aside = {name: inputs[name] for name in ("candidate_label", "sequence", "is_last")}
        return {**aside, "logits": self.model(**tensors, **self._without_cache)["logits"]}

    def postprocess(
        self, model_outputs: list[dict[str, Any]], multi_label: bool = False
    ) -> dict[str, Any]:
        """Scores of all labels from their logits (1, 3) each."""
        labels = [output["candidate_label"] for output in model_outputs]
        logits = torch.cat([output["logits"] for output in model_outputs]).float()  # (labels, 3)
        entailment = self.entailment_id
        if multi_label or len(labels) == 1:
            contradiction = -1 if entailment == 0 else 0
            scores = logits[:, [contradiction, entailment]].softmax(-1)[:, 1]
        else:
            scores = logits[:, entailment].softmax(0)
        order = scores.numpy().argsort()[::-1].tolist()
        return {
            "sequence": model_outputs[0]["sequence"],
            "labels": [labels[index] for index in order],
            "scores": scores[order].tolist(),
        }
