"""The task on a tiny model, found through Dovetail's registry."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from acme_example.pipeline import AcmeExamplePipeline
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from dovetail import pipeline
from dovetail.tokenizers import PreTrainedTokenizerFast

WORDS = ["[UNK]", "a", "cat", "dog", "sleeps", "runs"]


class TinyModel(nn.Module):
    """Word embeddings in place of a real model."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embeddings = nn.Embedding(len(WORDS), 16)

    def forward(self, input_ids, attention_mask, **kwargs):
        """Hidden states (B, T, D)."""
        return SimpleNamespace(last_hidden_state=self.embeddings(input_ids))


@pytest.fixture
def similarity():
    """The pipeline, asked for by name."""
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    return pipeline("acme-example", model=TinyModel(), tokenizer=tokenizer)


def test_a_text_is_like_itself_and_less_like_another(similarity):
    """Equal texts score 1."""
    assert isinstance(similarity, AcmeExamplePipeline)
    assert similarity({"text": "a cat sleeps", "text_pair": "a cat sleeps"}) == {"score": 1.0}
    assert similarity({"text": "a cat sleeps", "text_pair": "dog runs"})["score"] < 1.0


def test_a_list_gives_a_list_and_digits_round(similarity):
    """Every pipeline takes lists, and arguments at the call."""
    pairs = [{"text": "a cat", "text_pair": "a dog"}] * 2
    first, second = similarity(pairs, digits=1)
    assert first == second
    assert first["score"] == round(first["score"], 1)
    with pytest.raises(ValueError, match="digits=-1"):
        similarity(pairs, digits=-1)
