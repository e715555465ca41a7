"""Pixtral's image encoder passes the battery for models that read images; LLaVA around it writes
about pictures of many sizes; and what its processor makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden.image_cases import picture
from golden.picture_cases import tokenizer
from tests.models_vision.vision_language import TEXT
from torch import Tensor

import dovetail
from dovetail import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    PixtralVisionConfig,
    PixtralVisionModel,
    Qwen2TokenizerFast,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing import seeded
from dovetail.testing.conformance import VisionConformance

SIZES = {
    "hidden_size": 24,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 32,
    "patch_size": 8,
}


class TestPixtral(VisionConformance):
    config_class = PixtralVisionConfig
    model_classes = (PixtralVisionModel,)
    sizes = SIZES

    def run(self, model: Any, inputs: Any, **changes: Any) -> Any:
        """Pictures one after another are read as rows of a batch, as the battery expects."""
        output = super().run(model, inputs, **changes)
        pictures = len(inputs["pixel_values"])
        if isinstance(output, tuple):
            return rows(output, pictures)
        for name in ("last_hidden_state", "hidden_states"):
            if name in output:
                output[name] = rows(output[name], pictures)
        return output


def rows(states: Any, count: int) -> Any:
    if isinstance(states, tuple):
        return tuple(rows(one, count) for one in states)
    return states.view(count, -1, states.shape[-1]) if states.dim() == 3 else states


def encoder(**changes: Any) -> PixtralVisionModel:
    return TestPixtral().build(PixtralVisionModel, **changes)


def pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    return [torch.from_numpy(seeded.noise(f"{size}", (3, *size))) for size in sizes]


def test_pictures_do_not_see_each_other():
    model, shown = encoder(), pictures((16, 24), (32, 8), (24, 24))
    with torch.no_grad():
        together = model(shown).last_hidden_state
        alone = torch.cat([model([one]).last_hidden_state for one in shown], 1)
        recorded = model(shown, output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(recorded.last_hidden_state, together)
    assert torch.equal(recorded.hidden_states[-1], recorded.last_hidden_state)
    weights = recorded.attentions[0]  # (1, H, T, T)
    assert weights[..., :6, 6:].abs().max() < 1e-6
    nested = model([shown[:2], shown[2:]]).last_hidden_state
    torch.testing.assert_close(nested, together)


def test_rows_and_columns_turn_patches_differently():
    model = encoder()
    with torch.no_grad():
        patches = torch.rand(3, 3, 8, 8).unbind()
        tall, wide = (model([torch.cat(patches, axis)]).last_hidden_state for axis in (1, 2))
    assert not torch.allclose(tall, wide, atol=1e-4)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ([], "no picture"),
        (pictures((40, 8)), "at most image_size=32"),
        (pictures((8, 4)), "less than one patch"),
        ([torch.rand(4, 8, 8)], r"\(batch, 3, height, width\)"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused(shown: list[Tensor], message: str):
    with pytest.raises(ValueError, match=message):
        encoder()(shown)


def test_heads_must_turn_by_rows_and_columns():
    with pytest.raises(ConfigError, match="multiple of 4"):
        PixtralVisionConfig(**SIZES | {"num_attention_heads": 4})


def processor(**settings: Any) -> PixtralProcessor:
    special = ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    prepare = PixtralImageProcessor(size={"longest_edge": 32}, patch_size=8, **settings)
    return PixtralProcessor(prepare, tokenizer(Qwen2TokenizerFast, special), patch_size=8)


def writer(prepare: PixtralProcessor, **changes: Any) -> LlavaForConditionalGeneration:
    words = prepare.tokenizer
    config = LlavaConfig(
        vision_config=SIZES | {"model_type": "pixtral"},
        text_config={
            **TEXT,
            "model_type": "mistral",
            "vocab_size": len(words),
            "max_position_embeddings": 512,
        },
        image_token_index=words.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        **changes,
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(seeded.weight(name, parameter.shape)))
    return model


TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}:"
    "{% for part in message['content'] %}"
    "{{ '[IMG]' if part['type'] == 'image' else part['text'] }}{% endfor %}\n{% endfor %}"
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_chat_with_pictures_of_many_sizes(dtype: torch.dtype):
    prepare = processor()
    prepare.chat_template = TEMPLATE
    model = writer(prepare).to(dtype)

    def asked(*sizes: tuple[int, int]) -> Any:
        shown = [{"type": "image", "image": picture(*size)} for size in sizes]
        chat = [{"role": "user", "content": [*shown, {"type": "text", "text": "?"}]}]
        return prepare.apply_chat_template(
            chat, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(dtype)

    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 4, "eos_token_id": None}
    first, later = asked((20, 30), (9, 9)), asked((32, 10))
    assert first["pixel_values"][0][0].dtype is dtype
    told = model.generate(**first, **options, return_dict_in_generate=True)
    ids = torch.cat((told.sequences, later["input_ids"]), 1)
    shared: dict[str, Any] = {"attention_mask": torch.ones_like(ids), **options}
    cached = model.generate(
        ids,
        pixel_values=later["pixel_values"],
        past_key_values=told.past_key_values,
        **shared,
    )
    everything = [*first["pixel_values"], *later["pixel_values"]]
    whole = model.generate(ids, pixel_values=everything, **shared)
    assert cached.shape == whole.shape
    if dtype == torch.float32:
        assert torch.equal(cached, whole)


def test_texts_of_several_pictures_are_a_batch():
    prepare = processor()
    model = writer(prepare)
    texts = ["[IMG] and [IMG]?", "[IMG]"]
    shown = [[picture(20, 30), picture(9, 9)], [picture(32, 10)]]
    inputs = prepare(text=texts, images=shown, padding=True)
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 4, "eos_token_id": None}
    batch = model.generate(**inputs, **options, num_beams=2)[:, -4:]
    for text, images, expected in zip(texts, shown, batch, strict=True):
        alone = model.generate(**prepare(text=text, images=images), **options, num_beams=2)
        assert alone[0, -4:].tolist() == expected.tolist()


def test_all_parts_learn():
    prepare = processor()
    model = writer(prepare).train()
    inputs = prepare(text="[IMG] and [IMG]?", images=[picture(20, 30), picture(9, 9)])
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    for name, parameter in model.vision_tower.named_parameters():
        assert parameter.grad is not None, name


def test_more_features_than_tokens_are_refused():
    model = writer(processor(), image_seq_length=1)
    ids = torch.full((1, 4), model.config.image_token_index)
    with pytest.raises(ValueError, match=r"4 image tokens .* make 6 features"):
        model(ids, pixel_values=pictures((16, 24)))


def test_tokens_of_rows_and_their_ends():
    made = processor()(text=["a[IMG]", "b"], images=[[picture(20, 30)], []], padding=True)
    words = processor().tokenizer.convert_ids_to_tokens(made["input_ids"][0])
    row = ["[IMG]"] * 4
    assert words[1:] == [*row, "[IMG_BREAK]", *row, "[IMG_BREAK]", *row, "[IMG_END]"]
    assert [len(group) for group in made["pixel_values"]] == [1, 0]
    arrays = processor()(text="[IMG]", images=picture(20, 30), return_tensors="np")
    assert isinstance(arrays["pixel_values"][0][0], np.ndarray)
    assert "image_sizes" not in made


@pytest.mark.parametrize(
    ("text", "images"),
    [("none", [picture(8, 8)]), ("[IMG][IMG]", [picture(8, 8)]), ("[IMG]", None)],
)
def test_a_wrong_number_of_pictures_is_refused(text: str, images: Any):
    with pytest.raises(ProcessorError, match="images"):
        processor()(text=text, images=images)


def test_saved_and_found_again(tmp_path: Any):
    prepare = processor()
    prepare.save_pretrained(tmp_path)
    loaded = dovetail.AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, PixtralProcessor)
    assert loaded.patch_size == 8
    encoder().save_pretrained(tmp_path / "tower")
    tower = dovetail.AutoModel.from_pretrained(tmp_path / "tower")
    assert isinstance(tower, PixtralVisionModel)
