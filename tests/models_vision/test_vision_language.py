"""What processors of vision-language models share: chats, structured arguments, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.image_cases import PICTURES
from golden.picture_cases import build
from PIL import Image
from tests.models_vision.films import film, shades

import dovetail
from dovetail.errors import ProcessorError

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<{{ part['type'] }}>{% endif %}"
    "{% endfor %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def processor() -> Any:
    made = build(dovetail, "LlavaNextVideoProcessor")
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return PICTURES["wide"]()


@pytest.fixture
def chat(picture: Image.Image, tmp_path: Path) -> list[dict[str, Any]]:
    picture.save(tmp_path / "wide.png")
    path = film(tmp_path / "film.mkv", shades(8))
    parts = [
        {"type": "image", "path": str(tmp_path / "wide.png")},
        {"type": "text", "text": " and "},
        {"type": "video", "path": path},
        {"type": "text", "text": "?"},
    ]
    return [{"role": "user", "content": parts}]


def test_a_chat_becomes_all_inputs_of_the_model(processor: Any, chat: Any, picture: Any):
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    assert text == "user: <image> and <video>?\nassistant:"
    options = {"num_frames": 2, "return_dict": True, "return_tensors": "pt"}
    made = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, **options)
    expected = processor(text, images=picture, videos=shades(8)[[0, 4]])
    assert set(made) == set(expected)
    for name in made:
        assert torch.equal(made[name], expected[name]), name
    ids = processor.apply_chat_template(chat, tokenize=True, num_frames=2)
    assert (
        ids[0].tolist()
        == processor(text.removesuffix("assistant:"), picture, shades(8)[[0, 4]])["input_ids"][
            0
        ].tolist()
    )


def test_several_chats_are_padded(processor: Any, chat: Any):
    short = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    made = processor.apply_chat_template(
        [chat, short], tokenize=True, return_dict=True, padding=True, video_fps=5
    )
    assert made["input_ids"].shape[0] == 2
    assert made["pixel_values_videos"].shape[:2] == (1, 4)
    assert made["attention_mask"][1, 0] == 0


def test_the_template_is_saved_beside_both_processors(processor: Any, tmp_path: Path):
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.json").exists()
    loaded = dovetail.AutoProcessor.from_pretrained(tmp_path)
    assert loaded.chat_template == TEMPLATE
    assert loaded.video_processor.size == {"shortest_edge": 40}
    assert loaded.image_processor.size == {"shortest_edge": 32}
    (tmp_path / "video_preprocessor_config.json").unlink()  # older folders have one for both
    assert type(processor).from_pretrained(tmp_path).video_processor.size == {"shortest_edge": 32}


def test_arguments_go_to_their_part(picture: Any):
    processor = build(dovetail, "LlavaProcessor")
    flat = processor(picture, "<image>", do_normalize=False, padding=True, return_tensors="pt")
    grouped = processor(
        picture,
        "<image>",
        images_kwargs={"do_normalize": False},
        text_kwargs={"padding": True},
        common_kwargs={"return_tensors": "pt"},
    )
    assert flat["pixel_values"].max() <= 1
    assert all(torch.equal(flat[name], grouped[name]) for name in flat)
    swapped = processor(text="<image>", images=picture, return_tensors="pt")
    assert torch.equal(processor("<image>", picture, return_tensors="pt")["input_ids"],
                       swapped["input_ids"])  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs text, images or videos"),
        ({"text": "none", "images": 1}, r"images: 1 given, and '<image>' stands 0 times"),
        ({"text": "<image><image>", "images": 1}, r"1 given, and '<image>' stands 2 times"),
        ({"text": "<image>"}, r"images: 0 given, and '<image>' stands 1 times"),
        ({"text": ["<video>", "<video>"], "videos": 1}, r"videos: 1 given, .* \(1, 1 in each\)"),
        ({"text": 3}, "give a text or a list of texts"),
        ({"text": []}, "the list is empty"),
        ({"text": ["<image>", "<image>"], "images": [2, 0]}, r"lists of \[2, 0\] pictures"),
    ],
)
def test_what_does_not_fit_is_refused(processor: Any, picture: Any, given: Any, message: str):
    if isinstance(count := given.get("images"), int):
        given = {**given, "images": [picture] * count}
    elif count is not None:
        given = {**given, "images": [[picture] * number for number in count]}
    if "videos" in given:
        given = {**given, "videos": [list(shades(2))]}
    with pytest.raises(ProcessorError, match=message):
        processor(**given)


def test_what_a_picture_takes_must_be_known(picture: Any):
    processor = build(dovetail, "LlavaProcessor")
    processor.patch_size = None
    with pytest.raises(ProcessorError, match=r"LlavaProcessor\.patch_size is None"):
        processor(picture, "<image>")
    with pytest.raises(ProcessorError, match="LlavaProcessor takes images only"):
        processor(text="hello", videos=[picture])
    with pytest.raises(ProcessorError, match="has no use for sound"):
        processor(text="hello", audio=[0.0])
