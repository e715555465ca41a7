"""The processor bases; numbers come from the reference library."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import dovetail
from dovetail import BaseImageProcessor, BatchFeature, ProcessorMixin, SequenceFeatureExtractor
from dovetail.errors import ProcessorError
from dovetail.processors import ProcessingKwargs


class Tones(SequenceFeatureExtractor):
    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]


class Pictures(BaseImageProcessor):
    def __init__(self, size: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def preprocess(self, images: Any, **kwargs: Any) -> BatchFeature:
        return BatchFeature({"pixel_values": [np.asarray(images)]}, kwargs.get("return_tensors"))


@pytest.fixture
def tones() -> Tones:
    return Tones(feature_size=1, sampling_rate=8000, padding_value=0.5)


ITEMS = [{"input_values": [1.0, 2.0, 3.0]}, {"input_values": [4.0]}]


def lists(batch: BatchFeature) -> dict[str, Any]:
    return {
        name: [np.asarray(value).tolist() for value in values] for name, values in batch.items()
    }


@pytest.mark.parametrize(
    ("arguments", "values", "mask"),
    [
        ({}, [[1, 2, 3], [4, 0.5, 0.5]], [[1, 1, 1], [1, 0, 0]]),
        (
            {"padding": "max_length", "max_length": 5},
            [[1, 2, 3, 0.5, 0.5], [4, 0.5, 0.5, 0.5, 0.5]],
            [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
        ),
        ({"max_length": 2, "truncation": True}, [[1, 2], [4, 0.5]], [[1, 1], [1, 0]]),
        (
            {"pad_to_multiple_of": 4},
            [[1, 2, 3, 0.5], [4, 0.5, 0.5, 0.5]],
            [[1, 1, 1, 0], [1, 0, 0, 0]],
        ),
        ({"padding": False}, [[1, 2, 3], [4]], [[1, 1, 1], [1]]),
        (
            {"padding": False, "max_length": 2, "truncation": True},
            [[1, 2], [4]],
            [[1, 1], [1]],
        ),
        (
            {
                "padding": "max_length",
                "max_length": 2,
                "truncation": True,
                "pad_to_multiple_of": 4,
            },
            [[1, 2, 3, 0.5], [4, 0.5, 0.5, 0.5]],
            [[1, 1, 1, 0], [1, 0, 0, 0]],
        ),
    ],
)
def test_padding_equals_the_reference(tones, arguments, values, mask):
    assert lists(tones.pad(ITEMS, **arguments)) == {"input_values": values, "attention_mask": mask}


def test_padding_makes_tensors(tones):
    arrays = tones.pad(ITEMS, return_tensors="np")
    assert arrays.input_values.dtype == np.float32
    assert arrays.attention_mask.dtype == np.int32
    tensors = tones.pad(ITEMS, return_tensors="pt")
    assert tensors.input_values.dtype is torch.float32
    assert tensors.attention_mask.shape == (2, 3)
    same_kind = tones.pad({"input_values": [torch.ones(2), torch.ones(1)]})
    assert isinstance(same_kind.input_values, torch.Tensor)


def test_frames_are_padded_along_time():
    frames = Tones(feature_size=2, sampling_rate=1, padding_value=0.0, padding_side="left")
    batch = frames.pad({"input_values": [np.ones((2, 2)), np.ones((1, 2))]})
    assert lists(batch) == {
        "input_values": [[[1, 1], [1, 1]], [[0, 0], [1, 1]]],
        "attention_mask": [[1, 1], [0, 1]],
    }


@pytest.mark.parametrize(
    ("items", "arguments", "message"),
    [
        ([{"other": [1]}], {}, "need the key 'input_values'"),
        (ITEMS, {"padding": "max_length"}, "need max_length"),
        (ITEMS, {"truncation": True}, "need max_length"),
        (ITEMS, {"padding": "sideways"}, "padding='sideways'"),
        (ITEMS, {"padding": False, "return_tensors": "pt"}, "'input_values' cannot become one"),
        (ITEMS, {"return_tensors": "tf"}, "use 'pt' or 'np'"),
    ],
)
def test_padding_that_cannot_be(tones, items, arguments, message):
    with pytest.raises(ProcessorError, match=message):
        tones.pad(items, **arguments)


def test_settings_are_saved_as_the_reference_does(tones, tmp_path: Path):
    expected = {
        "feature_extractor_type": "Tones",
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.5,
        "return_attention_mask": True,
        "sampling_rate": 8000,
    }
    assert json.loads(tones.to_json_string()) == expected
    assert tones.save_pretrained(tmp_path) == [str(tmp_path / "preprocessor_config.json")]
    again = Tones.from_pretrained(tmp_path, sampling_rate=16000)
    assert again.to_dict() == {**expected, "sampling_rate": 16000}
    again, unused = Tones.from_pretrained(tmp_path, volume=3, return_unused_kwargs=True)
    assert unused == {"volume": 3}
    assert again.to_dict() == expected
    assert "Tones" in repr(again)
    assert Tones.from_json_file(tmp_path / "preprocessor_config.json").to_dict() == expected


def test_unknown_settings_and_arrays_survive(tmp_path: Path):
    made = Tones(1, 8000, 0.0, window=np.ones(2, dtype=np.float32), nested={"a": np.int64(3)})
    made.save_pretrained(tmp_path)
    again = Tones.from_pretrained(tmp_path)
    assert (again.window, again.nested) == ([1.0, 1.0], {"a": 3})


def test_damaged_settings_are_named(tmp_path: Path):
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(ProcessorError, match=r"preprocessor_config\.json is not valid JSON"):
        Tones.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="is no folder"):
        Tones.from_pretrained(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProcessorError, match="is a file"):
        Tones(1, 1, 0.0).save_pretrained(tmp_path / "file")


def test_batch_feature_is_a_mapping_with_attributes():
    batch = BatchFeature({"a": [[1.0]], "ids": [[1]], "names": ["x"]})
    assert batch.a == batch["a"] == [[1.0]]
    assert list(batch) == ["a", "ids", "names"]
    with pytest.raises(AttributeError, match="'b'"):
        _ = batch.b
    with pytest.raises(KeyError, match="by name"):
        _ = batch[0]
    assert pickle.loads(pickle.dumps(batch)).data == batch.data


def test_batch_feature_moves_and_casts():
    batch = BatchFeature({"a": [[1.0]], "ids": [[1]]}, tensor_type="pt")
    batch["extra"] = [torch.ones(1), "text"]
    moved = batch.to("cpu", torch.float16)
    assert moved is batch
    assert (batch.a.dtype, batch.ids.dtype) == (torch.float16, torch.int64)
    assert batch.extra[0].dtype is torch.float16
    assert batch.to(dtype=torch.float32).a.dtype is torch.float32
    with pytest.raises(ProcessorError, match="pass a device"):
        batch.to(1.5)
    stacked = BatchFeature({"a": [torch.ones(2), torch.zeros(2)]}, tensor_type="pt")
    assert stacked.a.tolist() == [[1, 1], [0, 0]]


def test_image_arithmetic_equals_the_reference():
    pictures = Pictures()
    image = np.arange(27).reshape(3, 3, 3).astype(np.uint8)
    first = {"input_data_format": "channels_first"}
    scaled = pictures.rescale(image, 1 / 255)
    assert scaled.dtype == np.float32
    normalized = pictures.normalize(scaled, [0.5, 0.4, 0.3], [0.1, 0.2, 0.3], **first)
    assert normalized.sum() == pytest.approx(-65.70588, abs=1e-4)
    cropped = pictures.center_crop(image, {"height": 2, "width": 2}, **first)
    assert cropped.tolist() == [[[0, 1], [3, 4]], [[9, 10], [12, 13]], [[18, 19], [21, 22]]]
    grown = pictures.center_crop(image, {"height": 4, "width": 6}, **first)
    assert grown[0].tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 2, 0],
        [0, 0, 3, 4, 5, 0],
        [0, 0, 6, 7, 8, 0],
    ]


def test_channels_are_found_and_moved():
    pictures = Pictures()
    image = np.ones((4, 5, 3), dtype=np.float32)
    assert pictures.rescale(image, 2.0, data_format="channels_first").shape == (3, 4, 5)
    assert pictures.normalize(image, 1.0, 2.0, data_format="channels_last").max() == 0
    with pytest.raises(ProcessorError, match=r"shape \(7, 7, 7\)"):
        pictures.normalize(np.ones((7, 7, 7)), 0.5, 0.5)
    with pytest.raises(ProcessorError, match="'height' and 'width'"):
        pictures.center_crop(image, {"height": 2})


def test_image_processors_save_and_call(tmp_path: Path):
    Pictures(size=5).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved == {"image_processor_type": "Pictures", "size": 5}
    old = {"feature_extractor_type": "Pictures", "size": 7}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    pictures = Pictures.from_pretrained(tmp_path)
    assert pictures.to_dict() == {"image_processor_type": "Pictures", "size": 7}
    assert pictures(np.ones((3, 2, 2)), return_tensors="pt").pixel_values.shape == (1, 3, 2, 2)
    with pytest.raises(ProcessorError, match="write its `preprocess`"):
        BaseImageProcessor()(np.ones((3, 2, 2)))


class Words:
    """A stand-in for a tokenizer."""

    chat_template = None

    def save_pretrained(self, folder: Path) -> None:
        (folder / "words.txt").write_text("a b")

    @classmethod
    def from_pretrained(cls, folder: Path, **kwargs: Any) -> Words:
        assert (folder / "words.txt").exists()
        return cls()

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any:
        return conversation, kwargs

    def decode(self, ids: list[int], **kwargs: Any) -> str:
        return f"{ids} {kwargs}"

    def batch_decode(self, ids: list[list[int]]) -> list[str]:
        return [self.decode(row) for row in ids]


class Both(ProcessorMixin):
    attributes: ClassVar[list[str]] = ["feature_extractor", "tokenizer"]
    valid_kwargs: ClassVar[list[str]] = ["patch"]
    feature_extractor_class = "Tones"
    tokenizer_class = (None, "Words")

    def __init__(self, feature_extractor: Any, tokenizer: Any, patch: int = 1, **kwargs: Any):
        super().__init__(feature_extractor, tokenizer, **kwargs)
        self.patch = patch


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts under public names, as a plugin would declare them."""
    monkeypatch.setattr(dovetail, "Tones", Tones, raising=False)
    monkeypatch.setattr(dovetail, "Words", Words, raising=False)


def test_processors_save_and_load_their_own_settings(tones, tmp_path: Path, named):
    both = Both(tones, Words(), patch=4, chat_template="{{ messages }}")
    assert both.model_input_names == ["input_values", "attention_mask"]
    written = both.save_pretrained(tmp_path)
    assert written == [
        str(tmp_path / name) for name in ("chat_template.json", "processor_config.json")
    ]
    own = json.loads((tmp_path / "processor_config.json").read_text())
    assert own == {"patch": 4, "processor_class": "Both"}
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["processor_class"] == "Both"
    again = Both.from_pretrained(tmp_path)
    assert (again.patch, again.chat_template) == (4, "{{ messages }}")
    assert Both.from_pretrained(tmp_path, patch=9).patch == 9
    assert "Both" in repr(again)


def test_processors_pass_on_to_the_tokenizer(tones):
    both = Both(tones, Words())
    with pytest.raises(ProcessorError, match="has no chat template"):
        both.apply_chat_template([])
    assert both.apply_chat_template([1], chat_template="t") == (
        [1],
        {"chat_template": "t", "tokenize": False},
    )
    assert both.decode([1], clean=True) == "[1] {'clean': True}"
    assert both.batch_decode([[1]]) == ["[1] {}"]


def test_processors_check_their_parts(tones):
    with pytest.raises(TypeError, match="needs tokenizer"):
        ProcessorMixin.__init__(Both.__new__(Both), tones)
    with pytest.raises(TypeError, match="takes 2 parts"):
        ProcessorMixin.__init__(Both.__new__(Both), 1, 2, 3)
    with pytest.raises(TypeError, match=r"unexpected arguments \['other'\]"):
        ProcessorMixin.__init__(Both.__new__(Both), 1, 2, other=3)

    class Nameless(Both):
        tokenizer_class = "NoSuchThing"

    with pytest.raises(ProcessorError, match="names no class that is installed"):
        Nameless._part_class("tokenizer")


def test_arguments_reach_the_parts_that_know_them(tones, caplog):
    both = Both(tones, Words())
    merged = both._merge_kwargs(
        ProcessingKwargs,
        {"padding": "longest", "vocab": 3},
        padding=True,
        return_tensors="pt",
        do_resize=False,
        images_kwargs={"size": {"height": 2}},
        nonsense=1,
    )
    assert merged["text_kwargs"] == {"padding": True, "return_tensors": "pt"}
    assert merged["audio_kwargs"] == {"padding": True, "return_tensors": "pt"}
    assert merged["images_kwargs"] == {
        "return_tensors": "pt",
        "do_resize": False,
        "size": {"height": 2},
    }
    assert merged["common_kwargs"] == {"return_tensors": "pt"}
    assert "no argument 'nonsense'" in caplog.text
