"""LayoutLM passes the battery for encoders, and reads where words stand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    AutoModelForDocumentQuestionAnswering,
    LayoutLMConfig,
    LayoutLMForMaskedLM,
    LayoutLMForQuestionAnswering,
    LayoutLMForSequenceClassification,
    LayoutLMForTokenClassification,
    LayoutLMModel,
    LayoutLMTokenizer,
    LayoutLMTokenizerFast,
)
from dovetail.testing.conformance import EncoderConformance


class TestLayoutLM(EncoderConformance):
    config_class = LayoutLMConfig
    model_classes = (
        LayoutLMModel,
        LayoutLMForMaskedLM,
        LayoutLMForSequenceClassification,
        LayoutLMForTokenClassification,
        LayoutLMForQuestionAnswering,
    )
    sizes = {  # noqa: RUF012
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 64,
        "max_2d_position_embeddings": 50,
    }
    unused = (r"For(MaskedLM|TokenClassification|QuestionAnswering)\.layoutlm\.pooler",)


def model(model_class: Any = LayoutLMModel) -> Any:
    return TestLayoutLM().build(model_class)


IDS = torch.tensor([[7, 8, 9], [10, 11, 12]])


def boxes(*box: int) -> torch.Tensor:
    return torch.tensor(box).expand(2, 3, 4)


def test_boxes_matter_and_none_are_all_in_the_corner():
    body = model()
    with torch.no_grad():
        absent, corner, elsewhere = (
            body(IDS, bbox)[0] for bbox in (None, boxes(0, 0, 0, 0), boxes(1, 2, 30, 40))
        )
    assert torch.equal(absent, corner)
    assert not torch.allclose(absent, elsewhere)


def test_boxes_stand_second_in_heads_too():
    head = model(LayoutLMForTokenClassification)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.no_grad():
        named = head(input_ids=IDS, bbox=boxes(1, 2, 3, 4), attention_mask=mask).logits
        assert torch.equal(head(IDS, boxes(1, 2, 3, 4), mask).logits, named)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 50, 10), "coordinates from 0 to 50, outside 0 to 49"),
        ((-1, 0, 5, 4), "coordinates from -1"),
        ((10, 0, 5, 4), "a width from -5"),
        ((0, 10, 5, 4), "a height from -6"),
    ],
)
def test_boxes_off_the_page_are_refused(box: tuple[int, ...], message: str):
    with pytest.raises(IndexError, match=message):
        model()(IDS, boxes(*box))


def test_each_token_needs_a_box():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), a box for each token"):
        model()(IDS, torch.zeros(2, 4, 4).long())


def test_auto_class_and_tokenizer_names(tmp_path: Any):
    model(LayoutLMForQuestionAnswering).save_pretrained(tmp_path)
    loaded = AutoModelForDocumentQuestionAnswering.from_pretrained(tmp_path)
    assert type(loaded) is LayoutLMForQuestionAnswering
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nin\n##voice\n")
    tokenizer = LayoutLMTokenizerFast(str(tmp_path / "vocab.txt"))
    assert isinstance(tokenizer, LayoutLMTokenizer)
    assert tokenizer("Invoice").input_ids == [2, 5, 6, 3]
