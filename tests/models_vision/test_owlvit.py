"""OWL-ViT passes the battery for two towers, and finds boxes for texts and for pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models_vision.towers import TEXT, VISION, TwoTowersConformance, check_sides

from dovetail import (
    AutoProcessor,
    CLIPTokenizer,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTModel,
    OwlViTProcessor,
    OwlViTTextConfig,
    OwlViTVisionConfig,
)
from dovetail.errors import ProcessorError
from dovetail.outputs import ModelOutput
from dovetail.testing import seeded
from dovetail.testing.forward import ForwardTests

SIZES = {"text_config": TEXT, "vision_config": VISION, "projection_dim": 32}
VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenizers" / "clip"


class TestOwlViT(TwoTowersConformance):
    config_class = OwlViTConfig
    model_classes = (OwlViTModel,)
    sizes = SIZES


class TestOwlViTDetector(TwoTowersConformance):
    config_class = OwlViTConfig
    model_classes = (OwlViTForObjectDetection,)
    sizes = SIZES

    def labels(self, model_class: Any, config: Any, inputs: Any) -> dict[str, Any]:
        return {}

    test_same_output = ForwardTests.test_same_input_gives_same_output
    test_tuple = ForwardTests.test_tuple_holds_what_the_mapping_holds
    test_finite = ForwardTests.test_output_is_finite_and_has_one_row_per_text


def detector() -> Any:
    return TestOwlViTDetector().build(OwlViTForObjectDetection)


def pixels(*shape: int) -> torch.Tensor:
    return torch.from_numpy(seeded.noise("pixels", shape))


def test_halves_meet():
    subject = TestOwlViT()
    model = subject.build(OwlViTModel)
    check_sides(model, subject.inputs(OwlViTModel, model.config))


def test_every_image_has_its_own_texts():
    model, images = detector(), pixels(2, 3, 16, 16)
    ids = torch.tensor([[97, 5, 98], [97, 6, 98], [97, 7, 98], [0, 0, 0]])
    whole = model(ids, images)
    assert whole.logits.shape == (2, 16, 2)
    alone = model(ids[2:3], images[1:])
    torch.testing.assert_close(alone.logits[0], whole.logits[1, :, :1], atol=1e-5, rtol=0)
    assert whole.logits[1, :, 1].sigmoid().max() == 0  # token 0 is no query
    with pytest.raises(ValueError, match="3 texts for 2 images"):
        model(ids[:3], images)


def test_low_precision_stays_near():
    model, images = detector(), pixels(2, 3, 16, 16)
    ids = torch.tensor([[97, 5, 98], [97, 6, 98]])
    found = detector().bfloat16()(ids, images)
    assert found.pred_boxes.dtype == torch.bfloat16
    expected = model(ids, images)
    torch.testing.assert_close(found.pred_boxes.float(), expected.pred_boxes, atol=0.05, rtol=0)
    torch.testing.assert_close(found.logits, expected.logits, atol=0.3, rtol=0.1)
    guided = model.image_guided_detection(images, images, output_attentions=True)
    assert len(guided.vision_model_output.attentions) == 2


def test_boxes_start_where_their_patch_is():
    model = detector()
    with torch.no_grad():
        model.box_head.dense2.weight.zero_()
        model.box_head.dense2.bias.zero_()
    boxes = model(torch.tensor([[97, 5, 98]]), pixels(1, 3, 16, 16)).pred_boxes[0]
    expected = [[x / 4, y / 4, 1 / 4, 1 / 4] for y in range(1, 5) for x in range(1, 5)]
    torch.testing.assert_close(boxes, torch.tensor(expected), atol=1e-3, rtol=0)


def test_a_picture_guides_to_what_it_shows():
    model, images = detector(), pixels(2, 3, 16, 16)
    output = model.image_guided_detection(images, images.flip(0))
    assert output.logits.shape == (2, 16, 1)
    alone = model.image_guided_detection(images[:1], images[1:])
    torch.testing.assert_close(output.logits[:1], alone.logits, atol=1e-5, rtol=0)
    values = model.image_guided_detection(images, images.flip(0), return_dict=False)
    assert torch.equal(values[0], output.logits)
    for queries in (None, images[:1]):
        with pytest.raises(ValueError, match="a query picture for each image"):
            model.image_guided_detection(images, queries)


def test_config_of_two_configs_or_two_mappings():
    text, vision = OwlViTTextConfig(**TEXT), OwlViTVisionConfig(**VISION)
    for halves in ((text, vision), (text.to_dict(), vision.to_dict())):
        config = OwlViTConfig.from_text_vision_configs(*halves, projection_dim=7)
        assert (config.text_config.vocab_size, config.vision_config.image_size) == (99, 16)
        assert config.projection_dim == 7


def processor() -> OwlViTProcessor:
    images = OwlViTImageProcessor(size={"height": 16, "width": 16})
    names = ("vocab.json", "merges.txt")
    tokenizer = CLIPTokenizer(*(str(VOCABULARY / n) for n in names), model_max_length=8)
    return OwlViTProcessor(images, tokenizer)


def picture() -> Any:
    return np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)


def test_texts_of_many_images(tmp_path: Path):
    processor().save_pretrained(tmp_path)
    for one in (processor(), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(one, OwlViTProcessor)
        made = one([["a dog", "a cat"], ["x"]], [picture()] * 2, return_tensors="pt")
        assert made["input_ids"].shape == (4, 8)
        assert torch.equal(made["input_ids"][3:], one(" ", return_tensors="pt")["input_ids"])
        assert made["pixel_values"].shape == (2, 3, 16, 16)
        for few in ("a dog", ["a dog"], [["a dog"]]):
            assert np.array_equal(one(few)["input_ids"], made["input_ids"][:1].numpy())
        guided = one(images=picture(), query_images=picture())
        assert np.array_equal(guided["query_pixel_values"], guided["pixel_values"])


def test_what_is_no_text_is_refused():
    with pytest.raises(ProcessorError, match="got none of them"):
        processor()()
    for text in ([["a"], [5]], ["a", ["b", 5]]):
        with pytest.raises(ProcessorError, match="neither a text nor"):
            processor()(text)
    with pytest.raises(ProcessorError, match="image_processor and a tokenizer"):
        OwlViTProcessor(OwlViTImageProcessor())


def test_found_boxes_through_the_processor():
    output = ModelOutput(
        logits=torch.tensor([[[-1.0, 2.0], [-3.0, -4.0]]]),
        pred_boxes=torch.tensor([[[0.5, 0.5, 0.5, 1.0], [0.1, 0.1, 0.1, 0.1]]]),
        target_pred_boxes=torch.tensor([[[0.5, 0.5, 0.5, 1.0], [0.1, 0.1, 0.1, 0.1]]]),
    )
    (found,) = processor().post_process_object_detection(output, 0.5, [(20, 40)])
    assert found["labels"].tolist() == [1]
    torch.testing.assert_close(found["boxes"], torch.tensor([[10.0, 0.0, 30.0, 20.0]]))
    with pytest.warns(FutureWarning, match="post_process is retired"):
        assert len(processor().post_process(output, [(20, 40)])[0]["scores"]) == 2
    (guided,) = processor().post_process_image_guided_detection(output, 0.5)
    assert guided["boxes"].tolist() == [[0.25, 0.0, 0.75, 1.0]]
