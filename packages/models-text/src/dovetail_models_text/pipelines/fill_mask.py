"""A text with masked tokens to the tokens that a masked language model puts there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dovetail import logging
from dovetail.errors import PipelineError
from dovetail.pipelines import Pipeline, PipelineException
from dovetail_models_text.pipelines.text_input import require_text

logger = logging.get_logger(__name__)


class FillMaskPipeline(Pipeline):
    """The `top_k` likeliest tokens for each mask of a text (default 5), with the filled-in
    sequence.

    `targets` restricts the choice to these words; `tokenizer_kwargs` go to the tokenizer. With one
    mask the result is a list of ``{"score", "token", "token_str", "sequence"}``, with several
    masks a list of such lists.
    """

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        targets: str | list[str] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if self.tokenizer.mask_token_id is None:
            raise self._error(
                "the tokenizer has no mask token; take one that belongs to a masked language model."
            )
        preprocess = {} if tokenizer_kwargs is None else {"tokenizer_kwargs": tokenizer_kwargs}
        postprocess: dict[str, Any] = {}
        if targets is not None:
            postprocess["target_ids"] = self.get_target_ids(targets, top_k)
        if top_k is not None:
            postprocess["top_k"] = top_k
        return preprocess, {}, postprocess

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Fill the masks of one text or of each text of a list (a list of one counts as one
        text)."""
        outputs = super().__call__(inputs, *args, **kwargs)
        return outputs[0] if isinstance(inputs, list) and len(inputs) == 1 else outputs

    def preprocess(
        self,
        inputs: str,
        return_tensors: str | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
        **preprocess_parameters: Any,
    ) -> Any:
        """Tokenize one text and check that it holds a mask."""
        require_text(inputs, "fill-mask")
        model_inputs = self.tokenizer(
            inputs, return_tensors=return_tensors or "pt", **(tokenizer_kwargs or {})
        )
        self.ensure_exactly_one_mask_token(model_inputs)
        return model_inputs

    def ensure_exactly_one_mask_token(self, model_inputs: Any) -> None:
        """Raise `PipelineException` for a sequence without any mask token."""
        for input_ids in model_inputs["input_ids"]:
            if not self.get_masked_index(input_ids).size:
                raise self._error(
                    f"the input holds no mask token: write {self.tokenizer.mask_token} where a "
                    "word is to be guessed."
                )

    def get_masked_index(self, input_ids: Tensor) -> np.ndarray:
        """The positions of mask tokens in `input_ids` (T,)."""
        return torch.nonzero(input_ids == self.tokenizer.mask_token_id, as_tuple=False).numpy()

    def _error(self, reason: str) -> PipelineException:
        return PipelineException(
            "fill-mask", getattr(self.model, "base_model_prefix", ""), f"fill-mask: {reason}"
        )

    def _forward(self, model_inputs: Any) -> Any:
        return {
            "logits": self.model(**model_inputs)["logits"],
            "input_ids": model_inputs["input_ids"],
        }

    def postprocess(
        self, model_outputs: Any, top_k: int = 5, target_ids: np.ndarray | None = None
    ) -> Any:
        """The best tokens for each mask from logits (1, T, V)."""
        input_ids = model_outputs["input_ids"][0]
        positions = torch.nonzero(input_ids == self.tokenizer.mask_token_id).flatten()
        probabilities = model_outputs["logits"][0, positions].softmax(-1)  # (masks, V)
        if target_ids is not None:
            targets = torch.as_tensor(target_ids)
            probabilities = probabilities[:, targets]
        scores, choices = probabilities.topk(min(top_k, probabilities.shape[-1]))
        tokens = choices if target_ids is None else targets[choices]
        results = [
            self._filled(
                input_ids, position, row_scores.tolist(), row_tokens.tolist(), len(positions) == 1
            )
            for position, row_scores, row_tokens in zip(positions, scores, tokens, strict=True)
        ]
        return results[0] if len(results) == 1 else results

    def _filled(
        self,
        input_ids: Tensor,
        position: Tensor,
        scores: list[float],
        tokens: list[int],
        alone: bool,
    ) -> list[dict[str, Any]]:
        """The results for one mask; other masks stay visible in the sequence."""
        results = []
        for score, token in zip(scores, tokens, strict=True):
            filled = input_ids.clone()
            filled[position] = token
            if self.tokenizer.pad_token_id is not None:
                filled = filled[filled != self.tokenizer.pad_token_id]
            results.append(
                {
                    "score": score,
                    "token": token,
                    "token_str": self.tokenizer.decode([token]),
                    "sequence": self.tokenizer.decode(filled, skip_special_tokens=alone),
                }
            )
        return results

    def get_target_ids(self, targets: str | list[str], top_k: int | None = None) -> np.ndarray:
        """The ids of the words to choose from; a word outside the vocabulary stands for its first
        piece."""
        words = [targets] if isinstance(targets, str) else targets
        vocabulary = self.tokenizer.get_vocab()
        ids = {token for word in words if (token := self._target_id(word, vocabulary)) is not None}
        if not ids:
            raise PipelineError(
                f"targets={targets!r} names no token: give at least one word of the vocabulary."
            )
        return np.array(sorted(ids))

    def _target_id(self, word: str, vocabulary: dict[str, int]) -> int | None:
        if word in vocabulary:
            return vocabulary[word]
        pieces: Iterable[int] = self.tokenizer(word, add_special_tokens=False)["input_ids"]
        first = next(iter(pieces), None)
        logger.warning(
            "The target %r is not in the vocabulary: %s.",
            word,
            "left out"
            if first is None
            else f"its first piece {self.tokenizer.convert_ids_to_tokens(first)!r} is used",
        )
        return first
