"""RT-DETR passes the battery; and what is peculiar to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image
from tests.models_vision.detectors import DeformableConformance, objects, resnet

from dovetail import (
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrModel,
    pipeline,
)
from dovetail.errors import ConfigError
from dovetail.testing.forward import HALF_PRECISION
from dovetail_models_vision.detection.positions import grid_waves
from dovetail_models_vision.rt_detr.denoising import noised_objects

SIZES: dict[str, Any] = {
    "backbone_config": resnet("stage2", "stage3", "stage4") | {"model_type": "rt_detr_resnet"},
    "encoder_in_channels": [12, 16, 24],
    "encoder_hidden_dim": 32,
    "encoder_ffn_dim": 37,
    "encoder_attention_heads": 4,
    "d_model": 32,
    "decoder_in_channels": [32, 32, 32],
    "decoder_layers": 3,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 41,
    "num_queries": 5,
    "num_denoising": 7,
}


class TestRTDetr(DeformableConformance):
    config_class = RTDetrConfig
    model_classes = (RTDetrModel, RTDetrForObjectDetection)
    sizes = SIZES | {"num_denoising": 0, "train_every_layer": True}
    unused = (r"k_proj\.bias",)

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=True)
        assert [tuple(map_.shape) for map_ in output.encoder_hidden_states] == [(2, 32, 2, 2)] * 2
        assert len(output.decoder_hidden_states) == 4
        assert [tuple(one.shape) for one in output.encoder_attentions] == [(2, 4, 4, 4)]
        assert [tuple(one.shape) for one in output.decoder_attentions] == [(2, 2, 5, 5)] * 3
        assert [tuple(one.shape) for one in output.cross_attentions] == [(2, 5, 2, 3, 4)] * 3

    def test_half_precision_runs_and_stays_near(self, model_class: Any) -> None:
        """What is said of every place does: how the best are ordered may not."""
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs).enc_outputs_class
        for dtype, bound in HALF_PRECISION.items():
            output = self.run(self.build(model_class).to(dtype), inputs)
            assert output[0].dtype == dtype
            assert torch.isfinite(output[0]).all()
            apart = (output.enc_outputs_class.float() - expected).pow(2).mean()
            assert apart < bound**2 * expected.pow(2).mean()


def model(cls: Any = RTDetrForObjectDetection, **changes: Any) -> Any:
    torch.manual_seed(0)
    return cls(RTDetrConfig(**{**SIZES, **changes})).eval()


def pictures(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def busy(one: Any) -> Any:
    """`one` with statistics and parameters of norms that are not those at the start."""
    with torch.no_grad():
        for module in one.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return one


def test_folded_norms_compute_the_same():
    one = busy(model(RTDetrModel, freeze_backbone_batch_norms=False))
    with torch.no_grad():
        folded = one(pictures())
    plain = one(pictures())
    for name in ("encoder_last_hidden_state", "enc_outputs_class"):
        torch.testing.assert_close(folded[name], plain[name], atol=1e-4, rtol=1e-4)


def test_every_layer_can_be_trained_by():
    default = model(decoder_layers=3)(pictures(), labels=objects())
    assert {name for name in default.loss_dict if name.startswith("loss_vfl")} == {
        "loss_vfl",
        "loss_vfl_aux_0",
    }
    one = model(decoder_layers=3, train_every_layer=True).train()
    output = one(pictures(), labels=objects())
    assert [name for name in output.loss_dict if name.startswith("loss_vfl")] == [
        "loss_vfl",
        *(f"loss_vfl_aux_{index}" for index in range(3)),
        *(f"loss_vfl_dn_{index}" for index in range(3)),
    ]
    assert len(output.auxiliary_outputs) == 3
    output.loss.backward()
    assert one.model.enc_bbox_head.layers[0].weight.grad.abs().sum() > 0
    torch.testing.assert_close(output.loss, sum(output.loss_dict.values()))
    assert RTDetrConfig.from_dict(one.config.to_dict()).train_every_layer
    assert not RTDetrConfig().train_every_layer


def test_only_the_last_layer_can_be_trained_by():
    output = model(auxiliary_loss=False).train()(pictures(), labels=objects())
    assert list(output.loss_dict) == ["loss_vfl", "loss_bbox", "loss_giou"]
    assert output.auxiliary_outputs is None


def test_groups_of_noised_objects_do_not_see_each_other():
    torch.manual_seed(0)
    noised = noised_objects(objects(), 2, 7, 0.5, 1.0)
    assert noised is not None
    assert (noised.groups, noised.count) == (3, 12)
    assert [places.tolist() for places in noised.positive] == [[0, 1, 4, 5, 8, 9], [0, 4, 8]]
    hidden = noised.mask(5, torch.zeros(1))[0, 0].isinf()
    for query in range(17):
        for key in range(17):
            other = key < 12 and (query >= 12 or query // 4 != key // 4)
            assert bool(hidden[query, key]) == other
    pairs = noised.matches(objects())
    assert [wanted.tolist() for _, wanted in pairs] == [[0, 1] * 3, [0] * 3]


def test_objects_are_moved_as_far_as_asked():
    torch.manual_seed(0)
    labels = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.4, 0.2]])}]
    noised = noised_objects(labels, 5, 200, 0.0, 0.5)
    assert noised is not None
    boxes = noised.boxes.sigmoid()[0]
    edges = torch.cat((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), -1)
    moved = (edges - torch.tensor([0.3, 0.4, 0.7, 0.6])).abs() / torch.tensor([0.1, 0.05] * 2)
    assert moved[0::2].max() <= 1.001
    assert moved[1::2].min() >= 0.999
    assert moved[1::2].max() <= 2.001
    assert noised.classes.unique().tolist() == [1]
    exact = noised_objects(labels, 5, 200, 0.0, 0.0)
    assert exact is not None
    torch.testing.assert_close(exact.boxes[0, 0].sigmoid(), labels[0]["boxes"][0])


def test_no_objects_are_no_noise():
    empty = [{"class_labels": torch.empty(0).long(), "boxes": torch.empty(0, 4)}] * 2
    assert noised_objects(empty, 2, 7, 0.5, 1.0) is None
    output = model().train()(pictures(), labels=empty)
    assert torch.isfinite(output.loss)
    assert output.denoising_meta_values is None
    output = model().train()(pictures(), labels=[objects()[0], empty[0]])
    assert torch.isfinite(output.loss)


def test_more_levels_and_learned_queries():
    output = model(num_feature_levels=5, learn_initial_query=True, encoder_layers=2)(pictures())
    assert output.enc_outputs_class.shape[1] == 64 + 16 + 4 + 1 + 1
    assert torch.isfinite(output.logits).all()


def test_any_backbone_serves():
    swin = {
        "model_type": "swin",
        "embed_dim": 6,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 2,
        "out_features": ["stage2", "stage3", "stage4"],
    }
    output = model(backbone_config=swin, encoder_in_channels=[12, 24, 48])(pictures())
    assert output.logits.shape == (2, 5, 2)


def test_the_backbone_can_be_frozen_and_trained():
    body = model(RTDetrModel)
    body.freeze_backbone()
    assert not any(weight.requires_grad for weight in body.backbone.parameters())
    body.unfreeze_backbone()
    assert all(weight.requires_grad for weight in body.backbone.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in body.backbone.modules())
    free = model(RTDetrModel, freeze_backbone_batch_norms=False)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in free.backbone.modules())


def test_what_was_encoded_can_be_given():
    one = model()
    with torch.no_grad():
        whole = one(pictures())
        again = one(pictures(), encoder_outputs=(whole.encoder_last_hidden_state,))
    torch.testing.assert_close(again.logits, whole.logits)


def test_positions_of_places():
    waves = grid_waves(2, 3, 8, 100.0, "cpu")
    assert waves.shape == (6, 8)
    column, row = torch.tensor([1.0, 0.1]), torch.tensor([1.0, 0.1])  # the fourth of 3 x 2
    expected = torch.cat([column.sin(), column.cos(), row.sin(), row.cos()])
    torch.testing.assert_close(waves[3], expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_attention_heads": 5}, "does not divide"),
        ({"encode_proj_layers": [3]}, "names maps beyond the 3"),
        ({"decoder_in_channels": [32, 32]}, "has 3 maps"),
        ({"decoder_in_channels": [16] * 3}, "must all be encoder_hidden_dim=32"),
        ({"backbone": "resnet50"}, "both describe the backbone"),
        ({"encoder_hidden_dim": 34, "encoder_attention_heads": 2}, "multiple of 4"),
    ],
)
def test_configs_that_cannot_be_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        RTDetrConfig(**{**SIZES, **changes})


def test_pictures_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiples of 32"):
        model()(pictures(64, 80))
    with pytest.raises(ValueError, match="asks for"):
        model(anchor_image_size=[64, 96])(pictures())
    with pytest.raises(ValueError, match=r"have 84 places, fewer than config\.num_queries=85"):
        model(num_queries=85)(pictures())
    with pytest.raises(ValueError, match="pixel_mask has the shape"):
        model()(pictures(), torch.ones(2, 32, 64))
    with pytest.raises(ValueError, match="returns 1 maps"):
        model(backbone_config=resnet("stage4"))(pictures())
    wrong = [{**objects()[0], "class_labels": torch.tensor([0, 2])}, objects()[1]]
    with pytest.raises(ValueError, match="from 0 to 1"):
        model()(pictures(), labels=wrong)


def test_the_pipeline_finds_objects():
    processor = RTDetrImageProcessor(size={"height": 64, "width": 64})
    find = pipeline("object-detection", model=model(), image_processor=processor)
    found = find(Image.new("RGB", (40, 30)), threshold=0.0)
    assert found
    assert set(found[0]) == {"score", "label", "box"}
