"""The task on pictures with texts: plain texts and conversations, one and several, whatever the
model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden.image_cases import picture
from golden.picture_cases import build
from tests.models_vision import test_mllama, test_qwen2_vl, vision_language

import dovetail
from dovetail.cli import execute
from dovetail.errors import PipelineError, ProcessorError
from dovetail.testing.subject import fill
from dovetail_models_vision.pipelines import drawing

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: "
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}PLACE"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "{% if not (loop.last and continue_final_message) %}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
PLACES = {
    "llava": "<image>",
    "mllama": "<|image|>",
    "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>",
}
FEW = {"max_new_tokens": 4, "do_sample": False}


def tiny(family: str, size: int) -> tuple[str, dict[str, Any]]:
    """A class and its config for a vocabulary of `size` tokens."""
    if family == "mllama":
        text = {**test_mllama.TEXT, "vocab_size": size, "max_position_embeddings": 512}
        vision = {**test_mllama.VISION, "image_size": 30, "patch_size": 15}
        return "Mllama", {"text_config": text, "vision_config": vision}
    if family == "qwen2_vl":
        vision = {**test_qwen2_vl.SIZES["vision_config"], "patch_size": 14}
        return "Qwen2VL", {**test_qwen2_vl.SIZES, "vocab_size": size, "vision_config": vision}
    text = {**vision_language.TEXT, "vocab_size": size, "max_position_embeddings": 512}
    vision = {**vision_language.VISION, "image_size": 8}
    return "Llava", {**vision_language.SIZES, "text_config": text, "vision_config": vision}


@pytest.fixture(scope="module")
def pipes() -> dict[str, Any]:
    """A pipeline of each family over a model without sense."""
    made = {}
    for family, place in PLACES.items():
        prefix, _ = tiny(family, 0)
        processor = build(dovetail, f"{prefix}Processor")
        tokenizer = processor.tokenizer
        tokenizer.pad_token = tokenizer.pad_token or "<pad>"
        if family == "llava":
            processor.patch_size, processor.vision_feature_select_strategy = 4, "default"
            processor.image_processor.size = {"shortest_edge": 8}
            processor.image_processor.crop_size = {"height": 8, "width": 8}
        processor.chat_template = TEMPLATE.replace("PLACE", place)
        _, sizes = tiny(family, len(tokenizer))
        token = tokenizer.convert_tokens_to_ids("<|image_pad|>" if family == "qwen2_vl" else place)
        key = "image_token_id" if family == "qwen2_vl" else "image_token_index"
        config = getattr(dovetail, f"{prefix}Config")(**{**sizes, key: token})
        model = getattr(dovetail, f"{prefix}ForConditionalGeneration")(config)
        fill(model)
        made[family] = dovetail.pipeline("image-text-to-text", model=model, processor=processor)
    return made


@pytest.fixture(params=PLACES)
def case(request: Any, pipes: dict[str, Any]) -> tuple[Any, str]:
    """A pipeline and the placeholder of its model."""
    return pipes[request.param], PLACES[request.param]


def asked(*images: Any) -> list[dict[str, Any]]:
    """A conversation about pictures."""
    parts = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "what is it?"}]}]


def test_a_text_with_a_picture(case: tuple[Any, str]):
    pipe, place = case
    text, image = f"{place} hello", picture(40, 60)
    (record,) = pipe(image, text=text, **FEW)
    (short,) = pipe(image, text=text, return_full_text=False, **FEW)
    assert record == {"input_text": text, "generated_text": text + short["generated_text"]}
    inputs = pipe.processor(images=image, text=text, return_tensors="pt")
    ids = pipe.model.generate(**inputs, **FEW)
    (tokens,) = pipe(images=image, text=text, return_tensors=True, **FEW)
    assert torch.equal(tokens["generated_token_ids"], ids[0])
    new = pipe.processor.tokenizer.decode(ids[0, -4:], skip_special_tokens=True)
    assert short["generated_text"].endswith(new.strip())
    (again,) = pipe(image, text=text, generate_kwargs=FEW)
    assert again == record


def test_batches_give_what_each_gives_alone(case: tuple[Any, str]):
    pipe, place = case
    images = [picture(40, 60), picture(50, 35, 1)]
    texts = [f"{place} hello", f"the world and {place} what is that"]
    alone = [pipe(image, text=text, **FEW)[0] for image, text in zip(images, texts, strict=True)]
    assert pipe(images, text=texts, **FEW) == alone
    assert pipe(images, text=texts, batch_size=2, **FEW) == alone
    pairs = [{"images": one, "text": text} for one, text in zip(images, texts, strict=True)]
    assert list(pipe(iter(pairs), **FEW)) == [[one] for one in alone]


def test_conversations(case: tuple[Any, str]):
    pipe, _ = case
    first, second = asked(picture(40, 60)), asked(picture(40, 60, 1), picture(52, 37, 2))
    (record,) = pipe(text=first, **FEW)
    assert record["input_text"] == first
    answer = record["generated_text"][-1]
    assert record["generated_text"][:-1] == first
    assert answer["role"] == "assistant"
    both = pipe([first, second], **FEW)
    assert both[0] == [record]
    assert pipe([first, second], batch_size=2, **FEW) == both
    empty = [{**first[0], "content": [{"type": "image"}, first[0]["content"][1]]}]
    (filled,) = pipe(picture(40, 60), text=empty, return_full_text=False, **FEW)
    assert filled["generated_text"] == answer["content"]


def test_an_answer_that_was_begun_goes_on(case: tuple[Any, str]):
    pipe, _ = case
    begun = [
        *asked(picture(40, 60)),
        {"role": "assistant", "content": [{"type": "text", "text": "It is"}]},
    ]
    (record,) = pipe(text=begun, **FEW)
    *earlier, last = record["generated_text"]
    assert earlier == begun[:-1]
    assert last["content"][0]["text"].startswith("It is")
    (answered,) = pipe(text=begun, continue_final_message=False, **FEW)
    assert answered["generated_text"][:-1] == begun


def test_files_are_read(pipes: dict[str, Any], tmp_path: Path):
    pipe, file = pipes["qwen2_vl"], tmp_path / "picture.png"
    picture(40, 60).save(file)
    text = f"{PLACES['qwen2_vl']} hello"
    assert pipe(str(file), text=text, **FEW) == pipe(picture(40, 60), text=text, **FEW)


def test_drawings_show_all_pictures_above_what_was_written(pipes: dict[str, Any]):
    pipe, small, large = pipes["qwen2_vl"], picture(40, 60), picture(52, 37, 1)
    answer = {"role": "assistant", "content": "a cat"}
    begun = {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]}
    written = [{"generated_text": "a cat"}]
    expected = pipe.draw({"images": [small, large], "text": "what?"}, written)
    assert expected.width == small.width + large.width
    assert expected.height > max(small.height, large.height)
    assert expected.crop((small.width, 0, expected.width, large.height)) == large
    chat = asked(small, large)
    for said in (answer, begun):
        drawn = pipe.draw({"text": chat}, [{"generated_text": [*chat, said]}])
        assert drawn.tobytes() == expected.tobytes()
    assert pipe.draw(chat, written).tobytes() == expected.tobytes()
    assert pipe.draw(small, written).width == small.width
    assert pipe.draw([{"role": "user", "content": "what?"}], written).width == drawing.WIDTH


def test_drawings_of_ids_show_their_text(pipes: dict[str, Any]):
    pipe, image = pipes["qwen2_vl"], picture(40, 60)
    ids = pipe.processor.tokenizer("hello")["input_ids"]
    text = pipe.processor.tokenizer.decode(ids, skip_special_tokens=True)
    drawn = pipe.draw(image, [{"generated_token_ids": torch.tensor(ids)}])
    assert drawn.tobytes() == pipe.draw(image, [{"generated_text": text}]).tobytes()


def test_the_command_line_draws_records(pipes: dict[str, Any], tmp_path: Path, capsys: Any):
    file, rows = tmp_path / "picture.png", tmp_path / "rows.jsonl"
    picture(40, 60).save(file)
    text = f"{PLACES['qwen2_vl']} hello"
    chat = [{"role": "user", "content": [{"type": "image", "path": str(file)}]}]
    inputs = [{"images": str(file), "text": text}, {"text": chat}]
    rows.write_text("\n".join(map(json.dumps, inputs)))
    pipes["qwen2_vl"].save_pretrained(tmp_path / "model")
    words = ["run", "image-text-to-text", str(rows), "-m", str(tmp_path / "model")]
    saved = tmp_path / "drawn"
    assert execute([*words, "--save", str(saved), "-a", "max_new_tokens=2"]) == 0
    assert [path.name for path in sorted(saved.iterdir())] == ["1.png", "2.png"]


def test_saved_and_loaded(pipes: dict[str, Any], tmp_path: Path):
    pipe = pipes["qwen2_vl"]
    pipe.save_pretrained(tmp_path)
    loaded = dovetail.pipeline("image-text-to-text", model=str(tmp_path))
    text = f"{PLACES['qwen2_vl']} hello"
    assert loaded(picture(40, 60), text=text, **FEW) == pipe(picture(40, 60), text=text, **FEW)


def test_what_cannot_be_is_named(pipes: dict[str, Any]):
    pipe, image = pipes["qwen2_vl"], picture(40, 60)
    with pytest.raises(PipelineError, match="text, pictures"):
        pipe()
    with pytest.raises(PipelineError, match="1 for 2 texts"):
        pipe(image, text=["a", "b"], **FEW)
    with pytest.raises(PipelineError, match="type 'image'"):
        pipe(image, text=[{"role": "user", "content": "hello"}], **FEW)
    with pytest.raises(PipelineError, match="given twice"):
        pipe(image, text="a", generate_kwargs=FEW, max_new_tokens=3)
    with pytest.raises(ProcessorError, match="image"):
        pipe(image, text="no place", **FEW)
