"""ViLT passes the batteries for encoders of texts with images, and reads images of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dovetail import (
    AutoProcessor,
    BertTokenizer,
    ViltConfig,
    ViltForImageAndTextRetrieval,
    ViltForImagesAndTextClassification,
    ViltForMaskedLM,
    ViltForQuestionAnswering,
    ViltForTokenClassification,
    ViltImageProcessor,
    ViltModel,
    ViltProcessor,
)
from dovetail.errors import ProcessorError
from dovetail.testing import seeded
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.pixels import PixelInputs
from dovetail.testing.subject import BATCH, Subject
from dovetail.testing.training import EmbeddingTests, TrainingTests

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "max_position_embeddings": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 16,
    "patch_size": 4,
}
VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenizers" / "vocab.txt"


class TextsWithImages(Subject):
    """Token ids and one image for each text."""

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = 7
    ) -> dict[str, Any]:
        pixels = PixelInputs.pixels(self, config, batch)  # type: ignore[arg-type]
        return {**Subject.inputs(self, model_class, config, batch, length), "pixel_values": pixels}

    def labels(self, model_class: Any, config: Any, inputs: Any) -> dict[str, Any]:
        if model_class is ViltForQuestionAnswering:
            rows = len(inputs["input_ids"]) if inputs else BATCH
            return {"labels": torch.eye(rows, config.num_labels)}
        if model_class is ViltForImagesAndTextClassification:
            rows = len(inputs["input_ids"]) if inputs else BATCH
            return {"labels": torch.arange(rows) % config.num_labels}
        return super().labels(model_class, config, inputs)


class TestVilt(TextsWithImages, ForwardTests, CheckpointTests, TrainingTests, EmbeddingTests):
    config_class = ViltConfig
    model_classes = (
        ViltModel,
        ViltForMaskedLM,
        ViltForQuestionAnswering,
        ViltForImageAndTextRetrieval,
        ViltForTokenClassification,
    )
    sizes = SIZES
    unused = (r"ViltForMaskedLM\..*pooler",)


class TestViltPairs(TextsWithImages, CheckpointTests, TrainingTests, EmbeddingTests):
    config_class = ViltConfig
    model_classes = (ViltForImagesAndTextClassification,)
    sizes = SIZES | {"num_images": 2, "modality_type_vocab_size": 3}

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = 7
    ) -> dict[str, Any]:
        inputs = super().inputs(model_class, config, batch, length)
        pixels = inputs["pixel_values"]
        return {**inputs, "pixel_values": torch.stack((pixels, -pixels.flip(-1)), 1)}

    test_tuple = ForwardTests.test_tuple_holds_what_the_mapping_holds
    test_rows = ForwardTests.test_rows_do_not_depend_on_their_batch


def model(cls: Any = ViltModel, **changes: Any) -> Any:
    return TestVilt().build(cls, **changes)


def pixels(*shape: int) -> torch.Tensor:
    return torch.from_numpy(seeded.noise("pixels", shape))


IDS = torch.tensor([[5, 6, 7], [8, 9, 10]])


def test_what_is_outside_the_mask_is_not_seen():
    images, mask = pixels(2, 3, 16, 24), torch.ones(2, 16, 24).long()
    mask[1, 8:], mask[1, :, 12:] = 0, 0
    whole = model()(IDS, pixel_values=images, pixel_mask=mask)
    alone = model()(IDS[1:], pixel_values=images[1:, :, :8, :12])
    torch.testing.assert_close(whole.pooler_output[1:], alone.pooler_output)
    assert whole.last_hidden_state.shape == (2, 3 + 1 + 24, 32)
    noisy = images.clone()
    noisy[1, :, 8:] = 7.0
    again = model()(IDS, pixel_values=noisy, pixel_mask=mask)
    torch.testing.assert_close(again.pooler_output, whole.pooler_output)


def test_long_images_are_thinned_out_by_chance():
    images = pixels(2, 3, 16, 16)
    thinned = model(max_image_length=5)
    torch.manual_seed(0)
    first, second = (thinned(IDS, pixel_values=images) for _ in range(2))
    assert first.last_hidden_state.shape == (2, 3 + 1 + 5, 32)
    assert not torch.equal(first.pooler_output, second.pooler_output)
    roomy = model(max_image_length=200)(IDS, pixel_values=images)
    torch.testing.assert_close(roomy[0], model()(IDS, pixel_values=images)[0])


def test_embeddings_may_stand_for_pixels():
    made = model()
    images, seen = made.embeddings.image(pixels(2, 3, 16, 16), None)
    expected = made(IDS, pixel_values=pixels(2, 3, 16, 16))[0]
    torch.testing.assert_close(made(IDS, image_embeds=images)[0], expected)
    torch.testing.assert_close(made(IDS, image_embeds=images, pixel_mask=seen)[0], expected)


def test_inputs_that_cannot_be_are_refused():
    made, images = model(), pixels(2, 3, 16, 16)
    for arguments, message in (
        ({}, "exactly one of pixel_values and image_embeds"),
        ({"pixel_values": images[:1]}, "1 images for 2 texts"),
        ({"pixel_values": images, "pixel_mask": torch.ones(2, 16)}, "pixel_mask of shape"),
        ({"pixel_values": images, "pixel_mask": torch.zeros(2, 16, 16)}, "marks no patch"),
        ({"pixel_values": images, "image_token_type_idx": 2}, "modality_type_vocab_size=2"),
        ({"pixel_values": images[:, :1]}, "pixel_values of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            made(IDS, **arguments)
    with pytest.raises(ValueError, match="no loss"):
        model(ViltForImageAndTextRetrieval)(IDS, pixel_values=images, labels=torch.ones(2, 1))
    with pytest.raises(ValueError, match="num_images=-1"):
        ViltForImagesAndTextClassification(ViltConfig(**SIZES))
    pairs = TestViltPairs().build(ViltForImagesAndTextClassification)
    with pytest.raises(ValueError, match=r"1 images for each text, where config\.num_images=2"):
        pairs(IDS, pixel_values=images)


def test_several_images_are_recorded_one_by_one():
    subject = TestViltPairs()
    pairs = subject.build(ViltForImagesAndTextClassification)
    inputs = subject.inputs(ViltForImagesAndTextClassification, pairs.config)
    output = pairs(**inputs, output_hidden_states=True, output_attentions=True)
    assert [len(states) for states in output.hidden_states] == [3, 3]
    assert [len(weights) for weights in output.attentions] == [2, 2]


def test_tied_embeddings_on_request():
    apart, tied = model(ViltForMaskedLM), model(ViltForMaskedLM, tie_word_embeddings=True)
    words = tied.get_input_embeddings().weight
    assert tied.mlm_score.decoder.weight is words
    assert apart.mlm_score.decoder.weight is not apart.get_input_embeddings().weight
    for one in (apart, tied):
        one.resize_token_embeddings(105)
        assert one.mlm_score.decoder.bias is one.mlm_score.bias
        assert one(IDS, pixel_values=pixels(2, 3, 16, 16)).logits.shape == (2, 3, 105)


def picture(*size: int) -> Any:
    return np.arange(np.prod(size) * 3).astype(np.uint8).reshape(*size, 3)


def test_texts_and_images_are_prepared_together(tmp_path: Path):
    images = ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    whole = ViltProcessor(images, BertTokenizer(str(VOCABULARY)))
    whole.save_pretrained(tmp_path)
    pictures = [picture(20, 30), picture(30, 20)]
    for one in (whole, AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(one, ViltProcessor)
        both = one(pictures, ["a dog", "many dogs there"], return_tensors="pt", padding=True)
        names = ["input_ids", "token_type_ids", "attention_mask", "pixel_values", "pixel_mask"]
        assert sorted(both) == sorted(names)
        assert one.model_input_names == names
        assert both["pixel_values"].shape == (2, 3, 48, 48)
        assert both["pixel_mask"].sum((1, 2)).tolist() == [48 * 32, 48 * 32]
        expected = whole.tokenizer("a dog")["input_ids"]
        assert one(pictures[0], "a dog")["input_ids"] == expected
    with pytest.raises(ProcessorError, match="image_processor and a tokenizer"):
        ViltProcessor(images)
