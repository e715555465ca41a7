"""CLIP's tokenizer against what the reference library recorded, and CLIP's processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dovetail import AutoProcessor, CLIPImageProcessor, CLIPProcessor, CLIPTokenizer
from dovetail.errors import ProcessorError, TokenizerError

FOLDER = Path(__file__).parents[1] / "golden" / "tokenizers"
TEXTS: list[str] = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))
GOLDEN: dict[str, Any] = json.loads((FOLDER / "clip.json").read_text(encoding="utf-8"))


def build() -> CLIPTokenizer:
    return CLIPTokenizer(str(FOLDER / "clip/vocab.json"), str(FOLDER / "clip/merges.txt"))


@pytest.fixture(params=["built", "saved"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> CLIPTokenizer:
    if request.param == "built":
        return build()
    build().save_pretrained(tmp_path)
    return CLIPTokenizer.from_pretrained(tmp_path)


def test_texts(tokenizer: CLIPTokenizer):
    for text in TEXTS:
        encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        found = [
            ids,
            [list(span) for span in encoded["offset_mapping"]],
            encoded["special_tokens_mask"],
            encoded.word_ids(),
            tokenizer.decode(ids),
            tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True),
        ]
        assert found == GOLDEN[f"text {text!r}"], text


def test_pairs_and_special_tokens(tokenizer: CLIPTokenizer):
    pairs = tokenizer(text=TEXTS[2:9], text_pair=TEXTS[5:12], padding=True)
    assert json.loads(json.dumps(dict(pairs))) == GOLDEN["pairs"]
    assert tokenizer.special_tokens_map == GOLDEN["special"]
    assert [len(tokenizer), tokenizer.vocab_size] == GOLDEN["lengths"]


def test_merges_of_another_vocabulary_are_refused(tmp_path: Path):
    (tmp_path / "merges.txt").write_text("#version: 0.2\nthisis notthere</w>\n")
    with pytest.raises(TokenizerError, match="do not belong together"):
        CLIPTokenizer(str(FOLDER / "clip/vocab.json"), str(tmp_path / "merges.txt"))


def processor() -> CLIPProcessor:
    size = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    return CLIPProcessor(CLIPImageProcessor(**size), build())


def picture() -> Any:
    return np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)


def test_texts_and_images_are_prepared_together(tmp_path: Path):
    whole = processor()
    whole.save_pretrained(tmp_path)
    for one in (whole, CLIPProcessor.from_pretrained(tmp_path)):
        both = one(["a dog", "a cat there"], [picture(), picture()], "pt", padding=True)
        assert list(both) == ["input_ids", "attention_mask", "pixel_values"]
        assert both["pixel_values"].shape == (2, 3, 16, 16)
        assert both["input_ids"].shape == both["attention_mask"].shape
        expected = whole.image_processor([picture(), picture()], return_tensors="pt")
        assert torch.equal(both["pixel_values"], expected["pixel_values"])
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), CLIPProcessor)


def test_either_half_alone():
    one = processor()
    assert one.model_input_names == ["input_ids", "attention_mask", "pixel_values"]
    assert list(one(text="a dog")) == ["input_ids", "attention_mask"]
    raw = one(images=picture(), do_normalize=False, do_rescale=False, return_tensors="pt")
    assert list(raw) == ["pixel_values"]
    assert raw["pixel_values"].max() > 100
    with pytest.raises(ProcessorError, match="text, images or both"):
        one()
    with pytest.raises(ProcessorError, match="image_processor and a tokenizer"):
        CLIPProcessor(tokenizer=build())
