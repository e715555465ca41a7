"""Questions about documents: words that are given, read by OCR, or not needed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from tests.models_vision.test_vision_encoder_decoder import SIZES

import dovetail
from dovetail import AutoTokenizer, VisionEncoderDecoderModel, ViTImageProcessor
from dovetail.cli import execute
from dovetail.errors import MissingPackageError, PipelineError
from dovetail.testing.golden import Golden
from dovetail.testing.pictures import painted
from dovetail.testing.seeded import integers

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines"
PAGE = [("hello", [0, 0, 500, 500]), ("world", [500, 500, 1000, 1000])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    golden, made = Golden.read(GOLDEN / "vision" / "documents.json"), tmp_path_factory.mktemp("d")
    golden.write_checkpoint(made)
    for file in (GOLDEN / "tokenizers" / golden.content["tokenizer"]).iterdir():
        shutil.copy(file, made)
    return str(made)


@pytest.fixture
def pipe(folder: str) -> Any:
    return dovetail.pipeline("document-question-answering", folder)


@pytest.fixture
def picture() -> Image.Image:
    return painted(integers, "page", 40, 20)


class TesseractNotFoundError(OSError):
    pass


@pytest.fixture
def tesseract(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for pytesseract, which reads PAGE from any picture."""
    module: Any = ModuleType("pytesseract")
    module.__spec__ = object()
    module.TesseractNotFoundError = TesseractNotFoundError
    module.asked = []

    def image_to_data(picture: Any, **options: Any) -> dict[str, list[Any]]:
        module.asked.append(options)
        return {
            "text": ["", "hello", " ", "world"],
            "left": [0, 0, 0, 20],
            "top": [0, 0, 0, 10],
            "width": [40, 20, 40, 20],
            "height": [20, 10, 20, 10],
        }

    module.image_to_data = image_to_data
    monkeypatch.setitem(sys.modules, "pytesseract", module)
    return module


def test_words_are_read_where_none_are_given(pipe, picture, tesseract, tmp_path, folder, capsys):
    expected = pipe(None, "who is it?", word_boxes=PAGE, top_k=2)
    assert pipe(picture, "who is it?", top_k=2, lang="deu", tesseract_config="--psm 6") == expected
    assert tesseract.asked == [{"lang": "deu", "output_type": "dict", "config": "--psm 6"}]
    assert pipe([picture, {"image": picture, "question": "where?"}], "who is it?", top_k=2) == [
        expected,
        pipe({"image": picture, "question": "where?", "word_boxes": PAGE}, top_k=2),
    ]
    picture.save(tmp_path / "page.png")
    words = ["-a", 'question="who?"', "--save", str(tmp_path / "out.png")]
    task = "document-question-answering"
    assert execute(["run", task, str(tmp_path / "page.png"), "-m", folder, *words]) == 0
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.height > picture.height


def test_what_is_missing_for_reading_is_named(pipe, picture, tesseract, monkeypatch):
    def absent(*args: Any, **options: Any) -> Any:
        raise TesseractNotFoundError

    monkeypatch.setattr(tesseract, "image_to_data", absent)
    with pytest.raises(MissingPackageError, match="the program `tesseract`"):
        pipe(picture, "who?")
    monkeypatch.delitem(sys.modules, "pytesseract")
    monkeypatch.setattr("dovetail_models_vision.pipelines.ocr.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"dovetail-models-vision\[ocr\]"):
        pipe(picture, "who?")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"question": "who?"}, "A document is needed"),
        ({"word_boxes": PAGE}, "question=None"),
        ({"word_boxes": PAGE, "question": " "}, "question=' '"),
        ({"word_boxes": [], "question": "who?"}, "no words"),
        ({"word_boxes": ["word"], "question": "who?"}, "holds 'word'"),
        ({"word_boxes": [("a", [0, 0, 5, 1001])], "question": "who?"}, "from 0 to 1000"),
        ({"word_boxes": [("a", [0, 0, 5])], "question": "who?"}, "from 0 to 1000"),
        ({"word_boxes": [("a", [6, 0, 5, 5])], "question": "who?"}, "ends before it starts"),
    ],
)
def test_documents_that_cannot_be_are_refused(pipe, inputs, message):
    with pytest.raises(PipelineError, match=message):
        pipe(inputs)


def test_settings_that_cannot_be_are_refused(pipe):
    for name in ("top_k", "max_answer_len"):
        with pytest.raises(PipelineError, match=f"{name}=0"):
            pipe(None, "who?", word_boxes=PAGE, **{name: 0})
    pipe.tokenizer.padding_side = "left"
    with pytest.raises(PipelineError, match="padding_side"):
        pipe(None, "who?", word_boxes=PAGE)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that writes, whose answer is known."""
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "tokenizers" / "gpt2-padded")
    decoder = SIZES["decoder"] | {"vocab_size": len(tokenizer), "max_position_embeddings": 128}
    config = dovetail.VisionEncoderDecoderConfig(**SIZES | {"decoder": decoder})
    model = VisionEncoderDecoderModel(config)
    asked: list[Any] = []
    plain = model.generate

    def generate(**inputs: Any) -> torch.Tensor:
        asked.append(inputs)
        plain(**inputs, max_new_tokens=2)
        prompt = tokenizer.batch_decode(inputs["decoder_input_ids"])
        said = [f"{text} four </s_answer><|endoftext|>" for text in prompt]
        return torch.tensor([tokenizer(text)["input_ids"] for text in said])

    monkeypatch.setattr(model, "generate", generate)
    images = ViTImageProcessor(size={"height": 16, "width": 16})
    pipe = dovetail.pipeline(
        "document-question-answering", model, tokenizer=tokenizer, image_processor=images
    )
    pipe.asked = asked
    return pipe


def test_models_may_write_their_answers(writer, picture):
    assert writer(picture, "How many?") == [{"answer": "four"}]
    prompt = writer.tokenizer.decode(writer.asked[0]["decoder_input_ids"][0])
    assert prompt == "<s_docvqa><s_question>How many?</s_question><s_answer>"
    rows = [{"image": picture, "question": text} for text in ("a", "a")]
    assert writer(rows, batch_size=2) == [[{"answer": "four"}]] * 2
    assert writer._read_answer(torch.tensor(writer.tokenizer("nothing")["input_ids"])) == {
        "answer": None
    }


def test_models_that_write_refuse_what_they_cannot_read(writer, picture):
    with pytest.raises(PipelineError, match="reads pictures"):
        writer(None, "who?", word_boxes=PAGE)
    rows = [{"image": picture, "question": text} for text in ("a", "a longer one")]
    with pytest.raises(PipelineError, match="batch_size=1"):
        writer(rows, batch_size=2)
