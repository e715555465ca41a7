"""SigLIP's tokenizer against what the reference library recorded, and SigLIP's processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dovetail import AutoProcessor, SiglipImageProcessor, SiglipProcessor, SiglipTokenizer
from dovetail.errors import ProcessorError, TokenizerError

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
GOLDEN: dict[str, Any] = json.loads((FOLDER / "siglip.json").read_text(encoding="utf-8"))
TEXTS = [value for name, value in GOLDEN.items() if name.startswith("text ")]


def build(**options: Any) -> SiglipTokenizer:
    return SiglipTokenizer(str(FOLDER / "unigram.model"), **options)


@pytest.fixture(params=["built", "saved"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> SiglipTokenizer:
    if request.param == "built":
        return build()
    build().save_pretrained(tmp_path)
    return SiglipTokenizer.from_pretrained(tmp_path)


def test_texts(tokenizer: SiglipTokenizer):
    for text, ids, bare, decoded, words in TEXTS:
        found = tokenizer(text)["input_ids"]
        assert found == ids, text
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == bare, text
        assert tokenizer.decode(ids) == decoded, text
        assert tokenizer.decode(ids, skip_special_tokens=True) == words, text


def test_pairs_and_sizes(tokenizer: SiglipTokenizer):
    first, second = ([text for text, *_ in TEXTS[start : start + 7]] for start in (2, 5))
    assert dict(tokenizer(first, second, padding=True)) == GOLDEN["pairs"]
    cut = tokenizer(first, second, padding="max_length", truncation=True, max_length=16)
    assert dict(cut) == GOLDEN["cut"]
    assert tokenizer.special_tokens_map == GOLDEN["special"]
    assert [len(tokenizer), tokenizer.vocab_size] == GOLDEN["lengths"]
    assert tokenizer.model_max_length == 64


def test_offsets_are_those_of_the_text_as_given():
    encoded = build()("  A, Dog!", return_offsets_mapping=True)
    spans = [text for start, end in encoded["offset_mapping"] if (text := "  A, Dog!"[start:end])]
    assert spans[-1] == "g"
    assert "".join(spans).replace(",", "").split() == ["A", "Dog"]


def test_case_is_kept_on_request():
    tokenizer = build(do_lower_case=False)
    assert tokenizer.decode(tokenizer("The Dog")["input_ids"], skip_special_tokens=True) != (
        "the dog"
    )
    assert tokenizer("x</S>")["input_ids"].count(tokenizer.eos_token_id) == 1


def test_what_is_no_vocabulary_is_refused(tmp_path: Path):
    (tmp_path / "spiece.model").write_bytes(b"no model")
    with pytest.raises(TokenizerError, match="SentencePiece"):
        SiglipTokenizer(str(tmp_path / "spiece.model"))


def picture() -> Any:
    return np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)


def test_texts_and_images_are_prepared_together(tmp_path: Path):
    whole = SiglipProcessor(SiglipImageProcessor(size={"height": 16, "width": 16}), build())
    whole.save_pretrained(tmp_path)
    for one in (whole, AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(one, SiglipProcessor)
        both = one(["a dog", "a cat"], [picture(), picture()], padding="max_length")
        assert both["pixel_values"].shape == (2, 3, 16, 16)
        assert both["input_ids"].shape == (2, 64)
        alone = one(images=picture())
        assert list(alone) == ["pixel_values"]
        assert torch.equal(alone["pixel_values"][0], both["pixel_values"][0])
        assert one(text="a dog", return_tensors=None)["input_ids"] == build()("a dog")["input_ids"]
        cut = one("a dog and a cat and more", truncation=True, max_length=3)
        assert cut["input_ids"].shape == (1, 3)
    with pytest.raises(ProcessorError, match="text, images or both"):
        whole()
