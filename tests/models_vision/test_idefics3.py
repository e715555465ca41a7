"""Idefics3 passes the battery of those that write about pictures; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden.image_cases import picture
from golden.picture_cases import tokenizer
from tests.models_vision.vision_language import IMAGE, TEXT, VisionLanguageConformance
from torch import Tensor

from dovetail import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Model,
    Idefics3Processor,
    Qwen2TokenizerFast,
)
from dovetail.testing import seeded
from dovetail_models_vision.idefics3.modeling import shuffled

VISION = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 16,
    "patch_size": 4,
}
SIZES = {
    "text_config": TEXT,
    "vision_config": VISION,
    "image_token_id": IMAGE,
    "pad_token_id": 0,
}


class TestIdefics3(VisionLanguageConformance):
    config_class = Idefics3Config
    model_classes = (Idefics3Model, Idefics3ForConditionalGeneration)
    sizes = SIZES
    image_token = "image_token_id"
    unused = (r"k_proj\.bias",)

    def pixels(self, config: Any, batch: int) -> dict[str, Tensor]:
        return {"pixel_values": torch.from_numpy(seeded.noise("pixels", (batch, 1, 3, 16, 16)))}


def model(**changes: Any) -> Idefics3ForConditionalGeneration:
    return TestIdefics3().build(Idefics3ForConditionalGeneration, **changes)


def test_squares_of_patches_lie_side_by_side():
    patches = torch.arange(2 * 4 * 6).view(2, 24, 1)
    squares = shuffled(patches, 4, 2)
    assert squares.shape == (2, 6, 4)
    assert squares[0].tolist()[:2] == [[0, 1, 6, 7], [2, 3, 8, 9]]
    assert squares[1].tolist()[-1] == [24 + 16, 24 + 17, 24 + 22, 24 + 23]
    with pytest.raises(ValueError, match="4 x 6 patches, of which no squares of scale_factor=4"):
        shuffled(patches, 4, 4)


def test_output_and_input_embeddings_may_be_one():
    tied = model(tie_word_embeddings=True)
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    tied.resize_token_embeddings(105)
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    assert len(tied.lm_head.weight) == tied.config.text_config.vocab_size == 105


def processor() -> Idefics3Processor:
    """For tiles of 16 pixels, 4 tokens each."""
    pictures = Idefics3ImageProcessor(size={"longest_edge": 32}, max_image_size=16)
    return Idefics3Processor(pictures, tokenizer(Qwen2TokenizerFast, []), image_seq_len=4)


TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}:"
    "{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}\n{% endfor %}"
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_chat_with_pictures_of_many_tiles(dtype: torch.dtype):
    prepare = processor()
    prepare.chat_template = TEMPLATE
    words = prepare.tokenizer
    idefics = model(
        text_config={**TEXT, "vocab_size": len(words), "max_position_embeddings": 1024},
        image_token_id=words.convert_tokens_to_ids("<image>"),
    ).to(dtype)

    def shown(*sizes: tuple[int, int]) -> list[dict[str, Any]]:
        return [{"type": "image", "image": picture(*size)} for size in sizes]

    def asked(chat: Any) -> Any:
        return prepare.apply_chat_template(
            chat, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(dtype)

    first = {"role": "user", "content": [*shown((20, 30), (9, 9)), {"type": "text", "text": "?"}]}
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 4, "eos_token_id": None}
    inputs = asked([first])
    tiles = (2 * 2 + 1) * 2
    assert inputs["pixel_values"].shape == (1, tiles, 3, 16, 16)
    assert (inputs["input_ids"] == idefics.config.image_token_id).sum() == 4 * tiles
    told = idefics.generate(**inputs, **options, return_dict_in_generate=True)
    # the answer stays as it was generated: as text it might be split into other tokens
    second = {"role": "user", "content": [*shown((32, 10)), {"type": "text", "text": "and?"}]}
    later = asked([second])
    ids = torch.cat((told.sequences, later["input_ids"]), 1)
    mask = torch.ones_like(ids)
    cached = idefics.generate(
        ids,
        attention_mask=mask,
        pixel_values=later["pixel_values"],
        pixel_attention_mask=later["pixel_attention_mask"],
        past_key_values=told.past_key_values,
        **options,
    )
    both = [torch.cat((inputs[n], later[n]), 1) for n in ("pixel_values", "pixel_attention_mask")]
    whole = idefics.generate(
        ids, attention_mask=mask, pixel_values=both[0], pixel_attention_mask=both[1], **options
    )
    assert cached.shape == whole.shape
    if dtype == torch.float32:
        assert torch.equal(cached, whole)


def test_words_for_places_are_one_placeholder_when_read():
    prepare = processor()
    ids = prepare(text="a <image>b", images=picture(20, 30))["input_ids"][0]
    assert "<row_2_col_2>" in prepare.tokenizer.decode(ids)
    assert prepare.decode(ids, skip_special_tokens=True) == "a <image>b"
    assert prepare.batch_decode([ids]) == [prepare.decode(ids)]


@pytest.mark.parametrize("pixels", [torch.rand(1, 2, 3, 16, 16), torch.rand(1, 1, 3, 16, 32)])
def test_more_features_than_tokens_are_refused(pixels: Tensor):
    with pytest.raises(ValueError, match=r"4 image tokens .* make 8 features"):
        model()(torch.tensor([[1, *[IMAGE] * 4, 7]]), pixel_values=pixels)


def test_the_model_learns_from_all_its_parts():
    idefics = model().train()
    ids = torch.tensor([[1, *[IMAGE] * 4, 7, 8]])
    pixels = torch.rand(1, 1, 3, 16, 16)
    idefics(ids, pixel_values=pixels, labels=ids).loss.backward()
    body = idefics.model
    for part in (body.vision_model.encoder.layers[0], body.connector, body.text_model.layers[0]):
        assert all(p.grad is not None for p in part.parameters())
