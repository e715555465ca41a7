"""LLaVA passes the battery; and what is peculiar to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models_vision.vision_language import IMAGE, SIZES, TEXT, VisionLanguageConformance

from dovetail import DynamicCache, LlavaConfig, LlavaForConditionalGeneration
from dovetail.devices import unsplit
from dovetail.errors import ConfigError, GenerationError
from dovetail.testing.converting import check_layout
from dovetail.testing.subject import fill

SEEN = [IMAGE] * 4
IDS = torch.tensor([[0] * 5 + [1, *SEEN, 5, 6], [1, *SEEN, 3, *SEEN, 7, 8]])
MASK = (IDS != 0).long()


class TestLlava(VisionLanguageConformance):
    config_class = LlavaConfig
    model_classes = (LlavaForConditionalGeneration,)
    sizes = SIZES


def model(**changes: Any) -> Any:
    made = LlavaForConditionalGeneration(LlavaConfig(**{**SIZES, **changes})).eval()
    fill(made)
    made.generation_config.pad_token_id = 0
    made.generation_config.suppress_tokens = [IMAGE, 2]
    return made


def pictures(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def write(made: Any, ids: torch.Tensor = IDS, **options: Any) -> torch.Tensor:
    options = {"max_new_tokens": 5, "do_sample": False, **options}
    return made.generate(input_ids=ids, **options)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_beams": 2, "num_beam_groups": 2,
                                                            "diversity_penalty": 0.5}])  # fmt: skip
def test_each_text_gets_its_own_pictures(options: dict[str, Any]):
    made = model()
    batch = write(made, pixel_values=pictures(), attention_mask=MASK, **options)
    first = write(made, IDS[:1, 5:], pixel_values=pictures()[:1], **options)
    second = write(made, IDS[1:], pixel_values=pictures()[1:], **options)
    assert torch.equal(batch[:1, 5:], first)
    assert torch.equal(batch[1:], second)


@pytest.mark.parametrize(
    "options",
    [
        {"prefill_chunk_size": 3},
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"num_return_sequences": 2, "num_beams": 2},
    ],
)
def test_ways_of_generation_agree(options: dict[str, Any]):
    made = model()
    given = {"pixel_values": pictures(), "attention_mask": MASK}
    beams = {"num_beams": options.get("num_beams", 1)}
    expected = write(made, **given, **beams)
    returned = options.get("num_return_sequences", 1)
    assert torch.equal(write(made, **given, **options)[::returned], expected)


def test_pictures_are_encoded_once(monkeypatch: pytest.MonkeyPatch):
    made, seen = model(), []
    made.vision_tower.register_forward_hook(lambda *args: seen.append(len(args[1][0])))
    write(made, pixel_values=pictures(), attention_mask=MASK, num_beams=2)
    assert seen == [3]


def test_drafts_and_lookups_change_nothing():
    made, draft = model(), model(text_config={**TEXT, "num_hidden_layers": 1})
    given = {"ids": IDS[1:], "pixel_values": pictures(2)}
    expected = write(made, **given)
    assert torch.equal(write(made, **given, prompt_lookup_num_tokens=2), expected)
    draft = draft.language_model
    assert torch.equal(write(made, **given, assistant_model=draft), expected)


def test_a_chat_goes_on_with_its_cache():
    made = model()
    first, pixels = IDS[1:, :6], pictures(2)
    for given in (pixels, pixels[1:]):  # all pictures of the chat, or the new one
        cache = DynamicCache()
        said = write(made, first, pixel_values=pixels[:1], past_key_values=cache)
        chat = torch.cat((said, torch.tensor([[9, *SEEN, 10]])), 1)
        answer = write(made, chat, pixel_values=given, past_key_values=cache)
        assert torch.equal(answer, write(made, chat, pixel_values=pixels))
        more = torch.cat((answer, torch.tensor([[11]])), 1)
        assert torch.equal(
            write(made, more, past_key_values=cache), write(made, more, pixel_values=pixels)
        )


def test_a_wrong_number_of_pictures_is_refused():
    made = model()
    for run in (lambda **given: made(IDS, **given), lambda **given: write(made, **given)):
        with pytest.raises(ValueError, match=r"hold 12 image tokens .id 4. and .* make 8 features"):
            run(pixel_values=pictures(2), attention_mask=MASK)


def test_pictures_need_ids():
    made = model()
    embeds = torch.zeros(1, 5, 32)
    with pytest.raises(ValueError, match="give input_ids with them"):
        made(inputs_embeds=embeds, pixel_values=pictures(1))
    with pytest.raises(GenerationError, match="inputs_embeds and pixel_values are both given"):
        made.generate(inputs_embeds=embeds, pixel_values=pictures(1))


def test_features_that_are_not_there_are_refused():
    made = model()
    with pytest.raises(ValueError, match=r"vision_feature_layer=7: .* the states -4 to 3"):
        made(IDS, pictures(), vision_feature_layer=7)
    with pytest.raises(ValueError, match="vision_feature_select_strategy='first'"):
        made(IDS, pictures(), vision_feature_select_strategy="first")
    with pytest.raises(ConfigError, match="vision_feature_select_strategy"):
        LlavaConfig(vision_feature_select_strategy="first")


def test_layers_of_both_parts_stay_on_one_device():
    assert unsplit(model()) == ["CLIPEncoderLayer", "LlamaDecoderLayer"]


def test_parts_may_be_left_out_of_the_config():
    config = LlavaConfig(text_config={"hidden_size": 64, "num_attention_heads": 4})
    assert (config.text_config.model_type, config.text_config.hidden_size) == ("llama", 64)
    assert (config.vision_config.image_size, config.vision_config.num_hidden_layers) == (336, 24)
    assert LlavaConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


def test_bfloat16_writes_and_trains():
    made = model().to(torch.bfloat16)
    pixels = pictures()
    made.train()(IDS, pixels, MASK, labels=IDS).loss.backward()
    assert torch.isfinite(made.multi_modal_projector.linear_1.weight.grad).all()
    assert write(made.eval(), pixel_values=pixels, attention_mask=MASK).shape == (2, 17)


def test_rows_that_only_placeholders_use_are_added_and_left_out(tmp_path: Path):
    made = model(
        text_config={**TEXT, "vocab_size": 30 + 64},
        vision_config={**SIZES["vision_config"], "hidden_size": 64},
        image_token_index=30,
        image_seq_length=4,
    )
    with torch.no_grad():
        for layer in (made.get_input_embeddings(), made.get_output_embeddings()):
            layer.weight[30:] = layer.weight[:30].mean(0)
    folder = check_layout("llava/original", made, tmp_path)
    assert '"vocab_size": 30,' in (folder / "config.json").read_text()
