"""Qwen2-VL passes the battery as a language model, and reads images and videos of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    DynamicCache,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLModel,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing import seeded
from dovetail.testing.conformance import CausalLMConformance
from dovetail_models_vision.qwen2_vl.image_processing import smart_resize

START, END, IMAGE, VIDEO = 99, 100, 101, 102
SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    "vision_config": {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 32,
        "num_heads": 4,
        "patch_size": 4,
    },
}
SPECIAL = {"vocab_size": 103, "image_token_id": IMAGE, "video_token_id": VIDEO}
TEXT = [START, *[IMAGE] * 4, END, 7, START, *[VIDEO] * 4, END, 8, 9]
OPTIONS = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}


class TestQwen2VL(CausalLMConformance):
    config_class = Qwen2VLConfig
    model_classes = (Qwen2VLModel, Qwen2VLForConditionalGeneration)
    sizes = SIZES
    unused = (r"visual\.",)


def patches(seed: str, count: int) -> torch.Tensor:
    """Patches (count, C * frames * patch * patch)."""
    return torch.from_numpy(seeded.noise(seed, (count, 96)))


@pytest.fixture
def model() -> Any:
    return TestQwen2VL().build(Qwen2VLForConditionalGeneration, **SPECIAL)


@pytest.fixture
def inputs() -> dict[str, Any]:
    """A text with an image and a video."""
    return {
        "input_ids": torch.tensor([TEXT]),
        "pixel_values": patches("image", 16),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
        "pixel_values_videos": patches("video", 16),
        "video_grid_thw": torch.tensor([[2, 2, 4]]),
    }


def next_logits(model: Any, ids: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
    """Logits of the token behind `ids`, by a plain pass with the positions of the pictures."""
    grids = (inputs["image_grid_thw"], inputs["video_grid_thw"])
    positions, _ = model.get_rope_index(ids, *grids)
    given = {**inputs, "input_ids": ids, "position_ids": positions}
    with torch.no_grad():
        return model(**given, use_cache=False).logits[:, -1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_cache": False},
        {"prefill_chunk_size": 3},
        {"cache_implementation": "static"},
        {"prompt_lookup_num_tokens": 2},
    ],
)
def test_each_token_is_the_likeliest(model: Any, inputs: dict[str, Any], options: dict[str, Any]):
    result = model.generate(**inputs, **OPTIONS, **options)
    for end in range(len(TEXT), result.shape[1]):
        scores = next_logits(model, result[:, :end], inputs)
        scores[:, model.config.eos_token_id or []] = -torch.inf
        assert result[0, end] == scores.argmax()


def test_beams_see_the_pictures_and_are_scored_right(model: Any, inputs: dict[str, Any]):
    result = model.generate(
        **inputs,
        **{**OPTIONS, "min_new_tokens": None},
        num_beams=3,
        num_return_sequences=2,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    for row, total in zip(result.sequences, result.sequences_scores, strict=True):
        score = 0.0
        for end in range(len(TEXT), len(row)):
            logits = next_logits(model, row[None, :end], inputs)
            score += float(logits.log_softmax(-1)[0, row[end]])
        assert score == pytest.approx(float(total), abs=1e-3)


def test_rows_with_padding_write_what_they_do_alone(model: Any, inputs: dict[str, Any]):
    other = {
        "input_ids": torch.tensor([[START, IMAGE, IMAGE, END, 20, 21]]),
        "pixel_values": patches("other", 8),
        "image_grid_thw": torch.tensor([[1, 2, 4]]),
    }
    fill = len(TEXT) - other["input_ids"].shape[1]
    ids = torch.nn.functional.pad(other["input_ids"], (fill, 0))
    both = {
        **inputs,
        "input_ids": torch.cat((inputs["input_ids"], ids)),
        "attention_mask": torch.tensor([[1] * len(TEXT), [0] * fill + [1] * 6]),
        "pixel_values": torch.cat((inputs["pixel_values"], other["pixel_values"])),
        "image_grid_thw": torch.cat((inputs["image_grid_thw"], other["image_grid_thw"])),
    }
    for options in ({}, {"num_beams": 2}):
        together = model.generate(**both, **OPTIONS, **options)
        for row, one in enumerate((inputs, other)):
            alone = model.generate(**one, **OPTIONS, **options)
            assert together[row, -6:].tolist() == alone[0, -6:].tolist()


def test_a_second_turn_goes_on_with_the_cache(model: Any, inputs: dict[str, Any]):
    cache = DynamicCache()
    first = model.generate(**inputs, **OPTIONS, past_key_values=cache)
    asked = torch.tensor([[30, START, IMAGE, END, 31]])
    grids = torch.tensor([[1, 4, 4], [1, 2, 2]])
    more = {
        **inputs,
        "input_ids": torch.cat((first, asked), 1),
        "pixel_values": torch.cat((inputs["pixel_values"], patches("new", 4))),
        "image_grid_thw": grids,
    }
    expected = model.generate(**more, **OPTIONS)
    assert torch.equal(model.generate(**more, **OPTIONS, past_key_values=cache), expected)


def test_frames_and_images_do_not_see_each_other(model: Any):
    pixels, tower = patches("several", 16 + 24), model.visual
    with torch.no_grad():
        whole = tower(pixels, torch.tensor([[1, 4, 4], [3, 2, 4]]))
        alone = tower(pixels[16:24], torch.tensor([[1, 2, 4]]))
    torch.testing.assert_close(whole[4:6], alone)


def test_positions_of_a_text_are_those_of_its_tokens(model: Any):
    ids, mask = torch.tensor([[0, 0, 5, 6]]), torch.tensor([[0, 0, 1, 1]])
    positions, deltas = model.get_rope_index(ids, None, None, mask)
    assert positions[:, 0].tolist() == [[1, 1, 0, 1]] * 3
    assert deltas.tolist() == [[-2]]


def test_half_precision_with_pictures(model: Any, inputs: dict[str, Any]):
    positions, _ = model.get_rope_index(
        inputs["input_ids"], inputs["image_grid_thw"], inputs["video_grid_thw"]
    )
    with torch.no_grad():
        expected = model(**inputs, position_ids=positions).logits
        output = model.to(torch.bfloat16)(**inputs, position_ids=positions).logits
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_grid_thw": torch.tensor([[1, 2, 4]])}, "speaks of 8 patches"),
        ({"image_grid_thw": None}, "image_grid_thw"),
        ({"image_grid_thw": torch.tensor([[1, 1, 16]])}, "multiples of 2"),
        ({"pixel_values": torch.zeros(16, 95)}, "must be .patches, 96."),
        ({"input_ids": torch.tensor([TEXT[1:4] + TEXT[6:]])}, "tokens"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    model: Any, inputs: dict[str, Any], change: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        model(**{**inputs, **change})


def test_a_prompt_without_its_pictures_is_refused(model: Any, inputs: dict[str, Any]):
    with pytest.raises(ValueError, match="image_grid_thw"):
        model.generate(inputs["input_ids"], **OPTIONS)


def test_configs_that_cannot_be():
    with pytest.raises(ConfigError, match="mrope_section"):
        Qwen2VLConfig(**{**SIZES, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1]}})
    with pytest.raises(ConfigError, match="mrope_section"):
        Qwen2VLModel(Qwen2VLConfig(**{**SIZES, "rope_scaling": None}))
    with pytest.raises(ConfigError, match="num_heads"):
        Qwen2VLConfig(vision_config={"embed_dim": 30, "num_heads": 4})


def test_later_files_keep_the_text_apart():
    text = {name: value for name, value in SIZES.items() if name != "vision_config"}
    nested = {"text_config": {**text, "model_type": "qwen2_vl_text"}}
    later = Qwen2VLConfig(**nested, vision_config=SIZES["vision_config"])
    assert later.to_dict() == Qwen2VLConfig(**SIZES).to_dict()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 460), (308, 448)), ((3000, 2000), (1204, 812)), ((30, 40), (56, 84))],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int]):
    assert smart_resize(*size) == expected


@pytest.mark.parametrize("size", [(20, 400), (30, 6100)])
def test_narrow_pictures_are_refused(size: tuple[int, int]):
    with pytest.raises(ProcessorError, match="pixels"):
        smart_resize(*size)
