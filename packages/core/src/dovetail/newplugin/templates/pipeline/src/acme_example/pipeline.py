"""The task: how alike two texts are.

B batch, T length, D width.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from dovetail.pipelines import Pipeline


class AcmeExamplePipeline(Pipeline):
    """Cosine similarity of the mean hidden states of two texts.

    The input is ``{"text": ..., "text_pair": ...}``, the result ``{"score": float}``. `digits`
    rounds the score.
    """

    def _sanitize_parameters(
        self, digits: int | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Sort arguments into those of preprocess, _forward and postprocess."""
        if digits is not None and digits < 0:
            raise ValueError(f"digits={digits} must not be negative.")
        return {}, {}, {} if digits is None else {"digits": digits}

    def preprocess(self, inputs: dict[str, str]) -> dict[str, Any]:
        """Tokenize both texts."""
        return {
            name: dict(self.tokenizer(inputs[name], return_tensors="pt"))
            for name in ("text", "text_pair")
        }

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Tensor]:
        return {name: self._embed(**model_inputs[name]) for name in ("text", "text_pair")}

    def _embed(self, attention_mask: Tensor, **inputs: Tensor) -> Tensor:
        states = self.model(attention_mask=attention_mask, **inputs).last_hidden_state  # (B, T, D)
        weights = attention_mask[..., None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)  # (B, D)

    def postprocess(self, model_outputs: dict[str, Tensor], digits: int = 4) -> dict[str, float]:
        """The score, rounded."""
        score = F.cosine_similarity(model_outputs["text"], model_outputs["text_pair"])
        return {"score": round(score.item(), digits)}
