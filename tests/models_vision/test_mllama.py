"""Llama 3.2 Vision passes the battery, its parts as well, and reads several pictures in tiles."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dovetail import (
    AutoModelForCausalLM,
    AutoModelForTextEncoding,
    DynamicCache,
    MllamaConfig,
    MllamaForCausalLM,
    MllamaForConditionalGeneration,
    MllamaTextConfig,
    MllamaTextModel,
    MllamaVisionConfig,
    MllamaVisionModel,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing import seeded
from dovetail.testing.conformance import CausalLMConformance, VisionConformance
from dovetail.testing.subject import BATCH, LENGTH
from dovetail_models_vision.mllama.image_processing import MllamaImageProcessor, fitted_size

TEXT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "cross_attention_layers": [1],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
VISION: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_global_layers": 1,
    "attention_heads": 3,
    "intermediate_size": 40,
    "vision_output_dim": 48,
    "image_size": 8,
    "patch_size": 4,
    "intermediate_layers_indices": [1],
}
IMAGE = 99
WHOLE = {"text_config": TEXT, "vision_config": VISION, "image_token_index": IMAGE}
OPTIONS = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}


def tiles(batch: int) -> dict[str, torch.Tensor]:
    """Two pictures for each text, the second of which some have not."""
    ids = torch.tensor([[1, 6], [3, 0], [6, 5]])[:batch]
    counts = torch.tensor([[1, 4], [3, 1], [4, 2]])[:batch]
    return {
        "pixel_values": torch.from_numpy(seeded.noise("tiles", (batch, 2, 4, 3, 8, 8))),
        "aspect_ratio_ids": ids,
        "aspect_ratio_mask": (torch.arange(4) < counts[..., None]).long(),
    }


class TestMllamaVision(VisionConformance):
    config_class = MllamaVisionConfig
    model_classes = (MllamaVisionModel,)
    sizes = VISION

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        return tiles(batch)

    def test_output_is_finite_and_has_one_row_per_text(self, model_class: Any) -> None:
        model = self.build(model_class)
        features = self.run(model, tiles(2)).last_hidden_state
        assert features.shape == (2, 2, 4, 5, 48)
        assert features.isfinite().all()

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        output = self.run(model, tiles(2), output_hidden_states=True, output_attentions=True)
        assert [state.shape for state in output.hidden_states] == [(4, 32, 24)] * 5
        assert [weights.shape for weights in output.attentions] == [(4, 3, 32, 32)] * 3


class TestMllamaText(CausalLMConformance):
    """The language model with features of pictures."""

    config_class = MllamaTextConfig
    model_classes = (MllamaTextModel, MllamaForCausalLM)
    sizes = TEXT
    spare_rows = 8

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        states = torch.from_numpy(seeded.noise("states", (batch, 5, config.hidden_size)))
        text = super().inputs(model_class, config, batch, length)
        return {**text, "cross_attention_states": states}


class TestMllama(CausalLMConformance):
    config_class = MllamaConfig
    model_classes = (MllamaForConditionalGeneration,)
    sizes = WHOLE
    spare_rows = 8

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        return {**super().inputs(model_class, config, batch, length), **tiles(batch)}


@pytest.fixture
def model() -> Any:
    return TestMllama().build(MllamaForConditionalGeneration)


@pytest.fixture
def inputs() -> dict[str, Any]:
    """Two texts with pictures, the second padded on the left."""
    ids = torch.tensor([[1, IMAGE, 7, 8, IMAGE, 9, 10], [0, 0, 1, 11, IMAGE, 12, 13]])
    seen = torch.zeros(2, 7, 2, 4, dtype=torch.long)
    seen[0, 1:, 0, :1] = seen[0, 4:, 1] = seen[1, 4:, 0, :3] = 1
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "cross_attention_mask": seen,
        **tiles(2),
    }


def continued(inputs: dict[str, Any], ids: torch.Tensor) -> dict[str, Any]:
    """`inputs` with the longer texts `ids`."""
    more = ids.shape[1] - inputs["input_ids"].shape[1]
    seen, mask = inputs["cross_attention_mask"], inputs["attention_mask"]
    return {
        **inputs,
        "input_ids": ids,
        "attention_mask": torch.cat((mask, mask.new_ones(2, more)), 1),
        "cross_attention_mask": torch.cat((seen, seen[:, -1:].expand(-1, more, -1, -1)), 1),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_cache": False},
        {"prefill_chunk_size": 3},
        {"cache_implementation": "static"},
    ],
)
def test_each_token_is_the_likeliest(model: Any, inputs: dict[str, Any], options: dict[str, Any]):
    result = model.generate(**inputs, **OPTIONS, **options)
    for end in range(7, result.shape[1]):
        given = continued(inputs, result[:, :end])
        given["position_ids"] = (given["attention_mask"].cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            scores = model(**given, use_cache=False).logits[:, -1]
        scores[:, 2] = -torch.inf
        assert torch.equal(result[:, end], scores.argmax(-1))


def test_drafts_change_nothing(model: Any, inputs: dict[str, Any]):
    one = {name: value[:1] for name, value in inputs.items()}
    expected = model.generate(**one, **OPTIONS)
    assert torch.equal(model.generate(**one, **OPTIONS, prompt_lookup_num_tokens=2), expected)


def test_a_second_turn_goes_on_with_the_cache(model: Any, inputs: dict[str, Any]):
    cache = DynamicCache()
    first = model.generate(**inputs, **OPTIONS, past_key_values=cache)
    asked = torch.cat((first, torch.tensor([[20, 21], [22, 23]])), 1)
    given = continued(inputs, asked)
    expected = model.generate(**given, **OPTIONS)
    without = {name: one for name, one in given.items() if name not in tiles(1)}
    again = model.generate(**without, **OPTIONS, past_key_values=cache)
    assert torch.equal(again, expected)


def test_what_no_tile_is_before_changes_nothing_behind(model: Any, inputs: dict[str, Any]):
    other = {**inputs, "pixel_values": inputs["pixel_values"].flip(-1)}
    with torch.no_grad():
        both = [model(**given).logits for given in (inputs, other)]
    assert not torch.allclose(both[0][:, -1], both[1][:, -1])


@pytest.mark.parametrize(
    ("load", "part"),
    [
        (MllamaForCausalLM, "language_model"),
        (AutoModelForCausalLM, "language_model"),
        (MllamaTextModel, "language_model.model"),
        (AutoModelForTextEncoding, "language_model.model"),
        (MllamaVisionModel, "vision_model"),
    ],
)
def test_a_part_reads_the_whole(model: Any, tmp_path: Any, load: Any, part: str):
    model.save_pretrained(tmp_path)
    loaded, report = load.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    own = model.get_submodule(part)
    assert type(loaded) is type(own)
    given = tiles(2) if part == "vision_model" else {"input_ids": torch.tensor([[1, 7, 8]])}
    with torch.no_grad():
        torch.testing.assert_close(loaded(**given)[0], own(**given)[0])
    loaded.save_pretrained(tmp_path / "alone")
    again = type(own).from_pretrained(tmp_path / "alone")
    with torch.no_grad():
        torch.testing.assert_close(again(**given)[0], own(**given)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aspect_ratio_ids": None}, "aspect_ratio_ids"),
        ({"pixel_values": torch.zeros(2, 2, 3, 3, 8, 8)}, "4 tiles"),
        ({"aspect_ratio_ids": torch.ones(2, 1).long()}, "aspect_ratio_ids"),
        ({"cross_attention_states": torch.zeros(2, 5, 32)}, "same pictures"),
        ({"cross_attention_mask": torch.ones(2, 3, 2, 4)}, "at least the 7 tokens"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    model: Any, inputs: dict[str, Any], change: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        model(**{**inputs, **change})


def test_configs_that_cannot_be():
    with pytest.raises(ConfigError, match="first layer"):
        MllamaTextConfig(cross_attention_layers=[0])
    with pytest.raises(ConfigError, match="supported_aspect_ratios"):
        MllamaVisionConfig(max_num_tiles=2)
    with pytest.raises(ConfigError, match="attention_heads"):
        MllamaVisionConfig(hidden_size=30, attention_heads=4)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_pad": False},
        {"do_resize": False},
        {"max_image_tiles": 0},
        {"size": {"height": 3, "width": 4}},
    ],
)
def test_settings_without_tiles_are_refused(settings: dict[str, Any]):
    with pytest.raises(ProcessorError, match=next(iter(settings))):
        MllamaImageProcessor().preprocess(torch.zeros(3, 40, 40), **settings)


def test_small_pictures_are_enlarged_to_a_tile():
    assert fitted_size((10, 20), (56, 112), 56) == (28, 56)
    assert fitted_size((300, 100), (112, 56), 56) == (112, 37)
