"""PaliGemma passes the battery of those that write about pictures; prefixes are read in both
directions; and what its processor makes of prefix and suffix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden.image_cases import picture
from golden.picture_cases import tokenizer
from tests.models_vision.vision_language import IMAGE, TEXT, VISION, VisionLanguageConformance

from dovetail import (
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    Qwen2TokenizerFast,
    SiglipImageProcessor,
)
from dovetail.errors import ProcessorError

SIZES = {
    "text_config": {**TEXT, "model_type": "gemma", "head_dim": 8},
    "vision_config": {**VISION, "model_type": "siglip_vision_model", "vision_use_head": False},
    "image_token_index": IMAGE,
    "projection_dim": 32,
    "hidden_size": 32,
}


class TestPaliGemma(VisionLanguageConformance):
    config_class = PaliGemmaConfig
    model_classes = (PaliGemmaForConditionalGeneration,)
    sizes = SIZES
    unused = (r"k_proj\.bias",)
    # These hold one pass over a text against steps, which is another thing here: in one pass all
    # of the text is the prefix, whose tokens see each other. See the tests below.
    test_beams_are_sorted_and_scored_right = None
    test_left_padded_steps_equal_one_pass = None
    test_packed_texts_do_not_see_each_other = None
    test_reordering = None
    test_static_cache_equals_one_pass = None
    test_steps_equal_one_pass = None
    test_tokens_do_not_see_the_future = None


def model() -> PaliGemmaForConditionalGeneration:
    return TestPaliGemma().build(PaliGemmaForConditionalGeneration)


IDS = torch.tensor([[*[IMAGE] * 4, 1, 7, 8, 9, 10]])
PIXELS = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_prefix_is_read_in_both_directions_and_a_suffix_in_one():
    other = IDS.clone()
    other[0, -1] = 11
    kinds = torch.tensor([[0] * 7 + [1] * 2])
    with torch.no_grad():
        prefix, changed = (model()(ids, pixel_values=PIXELS).logits for ids in (IDS, other))
        assert not torch.allclose(prefix[:, 0], changed[:, 0], atol=1e-4)
        suffix, changed = (
            model()(ids, pixel_values=PIXELS, token_type_ids=kinds, labels=IDS).logits
            for ids in (IDS, other)
        )
    torch.testing.assert_close(suffix[:, :-1], changed[:, :-1])


@pytest.mark.parametrize("padding", [0, 2])
def test_steps_behind_a_prefix_equal_one_pass_with_a_suffix(padding: int):
    ids = torch.cat((torch.zeros(1, padding).long(), IDS), 1)
    length, mask = padding + 6, (ids != 0).long()
    kinds = (torch.arange(ids.shape[1]) >= length).long()[None]
    places = (mask.cumsum(1) - 1).clamp(min=0) + 1
    with torch.no_grad():
        whole = model()(
            ids,
            pixel_values=PIXELS,
            attention_mask=mask,
            position_ids=places,
            token_type_ids=kinds,
            labels=ids,
        ).logits
        past, steps = None, []
        for start, end in ((0, length), (length, length + 1), (length + 1, length + 2)):
            output = model()(
                ids[:, start:end],
                pixel_values=PIXELS if past is None else None,
                attention_mask=mask[:, :end],
                position_ids=places[:, start:end],
                past_key_values=past,
                use_cache=True,
            )
            past = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(
        torch.cat(steps, 1)[:, padding:], whole[:, padding : length + 2], rtol=1e-4, atol=1e-4
    )


def test_padding_is_not_seen_where_a_suffix_is_learnt():
    padded = torch.cat((IDS, torch.zeros(1, 3).long()), 1)
    mask = (padded != 0).long()
    kinds = torch.tensor([[0] * 7 + [1] * 2 + [0] * 3])
    with torch.no_grad():
        expected = model()(IDS, pixel_values=PIXELS, token_type_ids=kinds[:, :9], labels=IDS)
        made = model()(
            padded, pixel_values=PIXELS, attention_mask=mask, token_type_ids=kinds, labels=padded
        )
    torch.testing.assert_close(made.logits[:, :9], expected.logits)
    torch.testing.assert_close(made.loss, expected.loss)


@pytest.mark.parametrize("cache", [None, "static"])
def test_a_later_turn_shows_another_picture(cache: str | None):
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 3, "eos_token_id": None}
    if cache is not None:
        made = model().generate(IDS, pixel_values=PIXELS, cache_implementation=cache, **options)
        assert torch.equal(made, model().generate(IDS, pixel_values=PIXELS, **options))
        return
    told = model().generate(IDS, pixel_values=PIXELS, return_dict_in_generate=True, **options)
    again = torch.cat((told.sequences, IDS), 1)
    made = model().generate(
        again, pixel_values=PIXELS.flip(-1), past_key_values=told.past_key_values, **options
    )
    assert made.shape[1] == again.shape[1] + 3


def test_more_features_than_tokens_are_refused():
    with pytest.raises(ValueError, match=r"4 image tokens .* make 8 features"):
        model()(IDS, pixel_values=PIXELS.repeat(2, 1, 1, 1))


def processor() -> PaliGemmaProcessor:
    pictures = SiglipImageProcessor(size={"height": 8, "width": 8}, image_seq_length=4)
    words = tokenizer(Qwen2TokenizerFast, ["<bos>"])
    words.bos_token = "<bos>"
    return PaliGemmaProcessor(pictures, words)


def written(made: Any) -> str:
    return processor().tokenizer.decode(made["input_ids"][0])


def test_pictures_stand_in_front_of_the_prefix():
    prepare, one = processor(), picture(9, 9)
    assert written(prepare(text="a cat", images=one)) == "<image>" * 4 + "<bos>a cat\n"
    assert written(prepare(text="a", images=[one, one])) == "<image>" * 8 + "<bos>a\n"
    assert written(prepare(text="<image>a", images=one)) == "<image>" * 4 + "a\n"
    assert written(prepare(images=one)) == "<image>" * 4 + "<bos>\n"
    long = prepare(text="a b c d e f", images=one, max_length=3, truncation=True)
    assert len(long["input_ids"][0]) == 7
    several = prepare(text=["a", "b"], images=[[one, one], one], padding=True, return_tensors="pt")
    assert (several["input_ids"] == prepare.image_token_id).sum(1).tolist() == [8, 4]
    assert several["pixel_values"].shape == (3, 3, 8, 8)


@pytest.mark.parametrize("tensors", [None, "pt", "np"])
def test_a_suffix_is_what_is_learnt(tensors: str | None):
    prepare = processor()
    made = prepare(text="a", images=picture(9, 9), suffix="dog", return_tensors=tensors)
    rows = [list(map(int, made[name][0])) for name in ("input_ids", "token_type_ids", "labels")]
    learnt = [(number, label) for number, kind, label in zip(*rows, strict=True) if kind]
    assert written({"input_ids": [rows[0]]}).endswith("a\ndog<|endoftext|>")
    assert [number for number, _ in learnt] == [label for _, label in learnt]
    assert all(label == -100 for kind, label in zip(*rows[1:], strict=True) if not kind)
    assert "token_type_ids" not in prepare(text="a", images=picture(9, 9))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "a"}, "needs them with every text"),
        ({"text": ["a", "b"], "images": [picture(9, 9)]}, "1 for 2 texts"),
        ({"text": "<image>a", "images": [picture(9, 9)] * 2}, "images"),
        ({"text": "a", "images": picture(9, 9), "suffix": ["x", "y"]}, "2 for 1 texts"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str):
    with pytest.raises(ProcessorError, match=message):
        processor()(**given)


def test_the_image_processor_must_say_how_many_tokens():
    with pytest.raises(ProcessorError, match="image_seq_length"):
        PaliGemmaProcessor(SiglipImageProcessor(), processor().tokenizer)
