"""The tasks on pictures beyond their results: kinds of input, drawings, errors."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import dovetail
from dovetail.cli import execute
from dovetail.errors import PipelineError, ProcessorError
from dovetail.pipelines import KeyDataset
from dovetail.testing.golden import Golden
from dovetail.testing.pictures import painted
from dovetail.testing.seeded import integers
from dovetail_models_vision.pipelines import drawing
from dovetail_models_vision.pipelines.depth_estimation import shades

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny checkpoints by name, each with its tokenizer and image processor."""
    made = {}
    for path in GOLDEN.glob("vision/*.json"):
        golden = Golden.read(path)
        folder = tmp_path_factory.mktemp(path.stem)
        golden.write_checkpoint(folder)
        if golden.content["tokenizer"]:
            for file in (GOLDEN / "tokenizers" / golden.content["tokenizer"]).iterdir():
                shutil.copy(file, folder)
        if "image_processor" in golden.content:
            settings = json.dumps(golden.content["image_processor"])
            (folder / "preprocessor_config.json").write_text(settings)
        made[path.stem] = str(folder)
    return made


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return painted(integers, "scene", 40, 30)


@pytest.fixture
def file(picture, tmp_path) -> str:
    path = tmp_path / "scene.png"
    picture.save(path)
    return str(path)


def as_base64(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


# What goes in.


@pytest.mark.parametrize(
    ("checkpoint", "task"),
    [
        ("pictures-classifier", "image-classification"),
        ("pictures-features", "image-feature-extraction"),
        ("boxes", "object-detection"),
        ("things", "image-segmentation"),
        ("surfaces", "image-segmentation"),
        ("depths", "depth-estimation"),
        ("larger-pictures", "image-to-image"),
        ("pictures-and-texts", "zero-shot-image-classification"),
        ("boxes-of-texts", "zero-shot-object-detection"),
        ("questions", "visual-question-answering"),
        ("captions", "image-to-text"),
        ("captions-by-a-pair", "image-to-text"),
    ],
)
def test_the_task_follows_from_the_model_or_is_named(folders, checkpoint, task):
    pipe = dovetail.pipeline(task, folders[checkpoint])
    assert type(pipe).__name__ == task.title().replace("-", "") + "Pipeline"
    assert pipe.task == task


def test_every_kind_of_picture_gives_the_same_result(folders, picture, file):
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"])
    expected = pipe(picture)
    coded = as_base64(picture)
    for given in (file, Path(file), coded, f"data:image/png;base64,{coded}"):
        assert pipe(given) == expected
    assert pipe(images=picture) == expected
    assert pipe([picture, file]) == pipe((picture, file)) == [expected, expected]


def test_generators_and_datasets_give_iterators(folders, picture, file):
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"], top_k=1)
    (expected,) = pipe(picture)
    assert list(pipe(item for item in (picture, file))) == [[expected], [expected]]
    rows = KeyDataset([{"image": picture}, {"image": file}, {"image": picture}], "image")
    assert [label for (label,) in pipe(rows, batch_size=2)] == [expected] * 3


def test_a_grey_picture_with_alpha_is_seen_as_rgb(folders, picture):
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"])
    grey = picture.convert("LA")
    assert pipe(grey) == pipe(grey.convert("RGB"))


def test_several_labels_at_once_are_judged_each_by_itself(folders, picture):
    pipe = dovetail.pipeline("image-classification", folders["pictures-multi-label"])
    assert pipe(picture) == pipe(picture, function_to_apply="sigmoid")
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"])
    assert pipe(picture) == pipe(picture, function_to_apply="softmax")


def test_half_precision_reaches_the_pictures(folders, picture):
    folder = folders["pictures-features"]
    pipe = dovetail.pipeline("image-feature-extraction", folder, torch_dtype="bfloat16")
    assert str(pipe(picture, return_tensors=True).dtype) == "torch.bfloat16"


# What is refused.


def test_what_is_no_picture_is_named(folders, tmp_path):
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n")
    for given, message in (
        (str(broken), "broken.png"),
        ("absent.png", "absent.png"),
        (3, "a int cannot be loaded"),
        ([None], "a NoneType cannot be loaded"),
    ):
        with pytest.raises(ProcessorError, match=message):
            pipe(given)
    with pytest.raises(PipelineError, match="'image-classification' needs a picture"):
        pipe()


def test_settings_that_cannot_be_are_named(folders, picture):
    pipe = dovetail.pipeline("image-classification", folders["pictures-classifier"])
    with pytest.raises(PipelineError, match="top_k=0"):
        pipe(picture, top_k=0)
    with pytest.raises(PipelineError, match="function_to_apply='max'"):
        pipe(picture, function_to_apply="max")


def test_pooling_needs_a_pooler(folders, picture):
    folder = folders["pictures-features"]
    model = dovetail.ViTModel.from_pretrained(folder, add_pooling_layer=False)
    pipe = dovetail.pipeline("image-feature-extraction", model, image_processor=folder)
    with pytest.raises(PipelineError, match="ViTModel gives no pooled output, only last_hidden"):
        pipe(picture, pool=True)


def test_labels_that_cannot_be_are_named(folders, picture):
    pipe = dovetail.pipeline("zero-shot-image-classification", folders["pictures-and-texts"])
    for arguments, message in (
        ({}, "candidate_labels="),
        ({"candidate_labels": []}, "candidate_labels is empty"),
        ({"candidate_labels": ["a"], "hypothesis_template": "This."}, "no place for the label"),
    ):
        with pytest.raises(PipelineError, match=message):
            pipe(picture, **arguments)


def test_labels_may_stand_in_one_text(folders, picture):
    pipe = dovetail.pipeline("zero-shot-image-classification", folders["pictures-and-texts"])
    expected = pipe(picture, candidate_labels=["a world", "hello"])
    assert pipe(picture, candidate_labels="a world, hello") == expected


def test_subtasks_are_those_of_the_model(folders, picture):
    pipe = dovetail.pipeline("image-segmentation", folders["things"])
    with pytest.raises(PipelineError, match="does panoptic and instance and semantic"):
        pipe(picture, subtask="everything")


def test_pictures_of_several_sizes_make_no_batch(folders, picture):
    pipe = dovetail.pipeline("object-detection", folders["boxes"])
    with pytest.raises(PipelineError, match="batch_size=1"):
        pipe([picture, picture.rotate(90, expand=True)], batch_size=2)


def test_each_picture_may_have_labels_of_its_own(folders, picture):
    pipe = dovetail.pipeline("zero-shot-object-detection", folders["boxes-of-texts"])
    one = pipe(picture, "world, hello", threshold=0.4)
    other = pipe(picture, candidate_labels=["a"], threshold=0.4)
    rows = [
        {"image": picture, "candidate_labels": ["world", "hello"]},
        {"image": picture, "candidate_labels": "a"},
    ]
    for size in (1, 2):
        found = pipe(rows, threshold=0.4, batch_size=size)
        for records, expected in zip(found, (one, other), strict=True):
            assert [r["box"] for r in records] == [r["box"] for r in expected]
            scores = [r["score"] for r in records]
            assert scores == pytest.approx([r["score"] for r in expected], abs=1e-5)
    assert pipe(picture, text_queries=["a"], threshold=0.4) == other


def test_sought_things_that_cannot_be_are_named(folders, picture):
    pipe = dovetail.pipeline("zero-shot-object-detection", folders["boxes-of-texts"])
    for inputs, arguments, message in (
        (picture, {}, "candidate_labels="),
        (picture, {"candidate_labels": " , "}, "candidate_labels="),
        ({"image": picture}, {}, "candidate_labels="),
        (picture, {"candidate_labels": ["a"], "top_k": 0}, "top_k=0"),
    ):
        with pytest.raises(PipelineError, match=message):
            pipe(inputs, **arguments)


def test_each_question_is_asked_of_each_picture(folders, picture, file):
    pipe = dovetail.pipeline("visual-question-answering", folders["questions"], top_k=1)
    questions = ["hello", "is it good"]
    expected = [pipe(picture, question) for question in questions]
    assert pipe(picture, questions) == expected
    assert pipe([picture, file], questions) == expected * 2
    assert pipe({"image": file, "question": "hello"}) == expected[0]
    rows = ({"image": picture, "question": question} for question in questions)
    assert list(pipe(rows)) == expected


def test_questions_that_are_none_are_named(folders, picture):
    pipe = dovetail.pipeline("visual-question-answering", folders["questions"])
    for inputs, message in (
        (picture, "question=None"),
        ({"image": picture, "question": 5}, "question=5"),
        (None, "needs a picture"),
    ):
        with pytest.raises(PipelineError, match=message):
            pipe(inputs)
    with pytest.raises(PipelineError, match="top_k=0"):
        pipe(picture, "hello", top_k=0)
    image = pipe.draw({"image": picture, "question": "hello"}, [{"answer": "a cat"}])
    assert image.height > picture.height


# Drawings.


def drawn(task: str, folder: str, file: str, *words: str) -> Image.Image:
    """What ``dovetail run --save`` makes of a file."""
    target = Path(file).with_name("drawn.png")
    assert execute(["run", task, file, "-m", folder, "--save", str(target), *words]) == 0
    with Image.open(target) as image:
        return image.convert("RGB")


def test_labels_are_drawn_below_the_picture(folders, picture, file, capsys):
    image = drawn("image-classification", folders["pictures-classifier"], file)
    assert image.width == picture.width
    assert image.height > picture.height
    assert image.crop((0, 0, *picture.size)).tobytes() == picture.tobytes()
    assert image.getpixel((39, image.height - 1)) == (255, 255, 255)


def test_labels_of_the_callers_choice_are_drawn_below_the_picture(folders, picture, file, capsys):
    task, labels = "zero-shot-image-classification", 'candidate_labels=["world", "hello"]'
    image = drawn(task, folders["pictures-and-texts"], file, "-a", labels)
    assert image.height > picture.height


def test_answers_are_drawn_below_the_picture(folders, picture, file, capsys):
    task, question = "visual-question-answering", 'question="is it good"'
    image = drawn(task, folders["questions"], file, "-a", question)
    assert image.height > picture.height


def test_long_lines_are_broken_between_words(picture):
    words = "many words that are wider than a small picture"
    rows = drawing.with_lines(picture, words.split())
    assert drawing.with_lines(picture, [words]).height <= rows.height
    assert drawing.with_lines(picture, ["a\nb"]).tobytes() == (
        drawing.with_lines(picture, ["a", "b"]).tobytes()
    )
    one = drawing.with_lines(picture, ["a"]).height
    assert drawing.with_lines(picture, [words]).height > one
    assert drawing.with_lines(picture, [""]).height == one


def test_features_are_drawn_below_the_picture_as_shades(folders, picture, file, capsys):
    image = drawn("image-feature-extraction", folders["pictures-features"], file)
    assert image.size == (picture.width, picture.height + picture.height // 2)
    assert image.crop((0, 0, *picture.size)).tobytes() == picture.tobytes()
    below = image.crop((0, picture.height, *image.size))
    assert len(below.getcolors()) > 1


@pytest.mark.parametrize(
    "features",
    [
        [[[0.0, 1.0], [2.0, 3.0]]],  # vectors of two patches
        torch.tensor([[[[0.0, 2.0]], [[1.0, 3.0]]]]),  # a map of two places
    ],
    ids=["vectors", "map"],
)
def test_each_vector_of_features_is_a_row_of_shades(folders, picture, features):
    pipe = dovetail.pipeline("image-feature-extraction", folders["pictures-features"])
    image = pipe.draw(picture, features)
    left, right = 0, image.width - 1
    top, bottom = picture.height, image.height - 1
    corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
    assert [image.getpixel(place)[0] for place in corners] == [0, 85, 170, 255]


def test_a_pooled_vector_is_one_row_of_shades(folders, picture):
    pipe = dovetail.pipeline("image-feature-extraction", folders["pictures-features"])
    image = pipe.draw(picture, [[0.0, 1.0]])
    for y in (picture.height, image.height - 1):
        assert [image.getpixel((x, y))[0] for x in (0, image.width - 1)] == [0, 255]


def test_boxes_are_drawn_on_the_picture(folders, picture, file, capsys):
    image = drawn("object-detection", folders["boxes"], file, "-a", "threshold=0.3")
    assert image.size == picture.size
    assert image.tobytes() != picture.tobytes()
    assert image.getpixel((39, 29)) == picture.getpixel((39, 29))


def test_sought_things_are_drawn_on_the_picture(folders, picture, file, capsys):
    task, labels = "zero-shot-object-detection", 'candidate_labels=["world", "hello"]'
    image = drawn(task, folders["boxes-of-texts"], file, "-a", labels)
    assert image.size == picture.size
    assert image.tobytes() != picture.tobytes()


def test_segments_are_drawn_on_the_picture(folders, picture, file, capsys):
    image = drawn("image-segmentation", folders["things"], file, "-a", "subtask=semantic")
    assert image.size == picture.size
    assert image.getpixel((39, 29)) != picture.getpixel((39, 29))


def test_depths_are_shades(folders, picture, file, capsys):
    pipe = dovetail.pipeline("depth-estimation", folders["depths"])
    result = pipe(picture)
    assert result["predicted_depth"].shape == (picture.height, picture.width)
    assert (result["depth"].mode, result["depth"].getextrema()) == ("L", (0, 255))
    image = drawn("depth-estimation", folders["depths"], file)
    assert image.tobytes() == result["depth"].convert("RGB").tobytes()


def test_equal_depths_are_one_shade():
    assert shades(torch.full((2, 3), 7.0)).tolist() == [[0, 0, 0]] * 2


def test_pictures_made_of_pictures_are_saved(folders, picture, file, capsys):
    image = drawn("image-to-image", folders["larger-pictures"], file)
    pipe = dovetail.pipeline("image-to-image", folders["larger-pictures"])
    assert image.size == (48 * 8, 32 * 8)
    assert image.tobytes() == pipe(picture).tobytes()


def test_captions_begin_as_they_are_told(folders, picture):
    pipe = dovetail.pipeline("image-to-text", folders["captions"], max_new_tokens=4)
    (record,) = pipe(picture, prompt="hello world")
    assert record["generated_text"].startswith("hello world")
    assert pipe([picture, picture], batch_size=2) == [pipe(picture), pipe(picture)]
    assert pipe.draw(picture, [record]).height > picture.height
    both = {"max_new_tokens": 3, "generate_kwargs": {"max_new_tokens": 4}}
    for arguments, message in ((both, "max_new_tokens=3"), ({"prompt": ["a"]}, "one string")):
        with pytest.raises(PipelineError, match=message):
            pipe(picture, **arguments)
    pair = dovetail.pipeline("image-to-text", folders["captions-by-a-pair"])
    with pytest.raises(PipelineError, match="takes no prompt"):
        pair(picture, prompt="a")


def test_questions_may_be_answered_in_writing(folders, picture):
    captions = dovetail.pipeline("image-to-text", folders["captions"])
    sizes = {"text_config": captions.model.config.text_config.to_dict()}
    sizes["vision_config"] = captions.model.config.vision_config.to_dict()
    writer = dovetail.BlipForQuestionAnswering(dovetail.BlipConfig(**sizes))
    pipe = dovetail.pipeline(
        "visual-question-answering",
        writer,
        tokenizer=captions.tokenizer,
        image_processor=captions.image_processor,
    )
    answers = pipe([picture, picture], "is it good", generate_kwargs={"max_new_tokens": 3})
    assert [list(answer) for answer in answers[0]] == [["answer"]]
