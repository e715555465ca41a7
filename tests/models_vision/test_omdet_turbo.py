"""OmDet-Turbo passes the battery; and what is peculiar to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models_vision.detectors import OWN_BACKBONE, DeformableConformance
from tests.models_vision.towers import TEXT

from dovetail import (
    AutoProcessor,
    CLIPTokenizer,
    DetrImageProcessor,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
)
from dovetail.errors import ConfigError, ProcessorError
from dovetail.testing.converting import check_layout
from dovetail.weights import LazyTensor, MemoryTensor
from dovetail_models_vision.omdet_turbo.outputs import OmDetTurboObjectDetectionOutput
from dovetail_models_vision.omdet_turbo.text import TextMemory
from dovetail_models_vision.swin.timm import TimmSwinNames, timm_swin_config

VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenizers" / "clip"
SIZES: dict[str, Any] = {
    **OWN_BACKBONE,
    "backbone_config": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 2,
        "image_size": 64,
        "out_indices": [2, 3, 4],
    },
    "text_config": {"model_type": "clip_text_model", **TEXT},
    "text_projection_in_dim": 32,
    "text_projection_out_dim": 32,
    "class_embed_dim": 32,
    "task_encoder_hidden_dim": 20,
    "num_queries": 5,
    "vision_features_channels": [32] * 3,
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [16, 32, 64],
    "encoder_attention_heads": 2,
    "encoder_dim_feedforward": 24,
    "decoder_hidden_dim": 32,
    "decoder_num_heads": 2,
    "decoder_num_layers": 2,
    "decoder_dim_feedforward": 24,
    "cache_size": 4,
    "apply_layernorm_after_vision_backbone": False,
}


TIMM: dict[str, Any] = {
    "out_indices": [1, 2, 3],
    "img_size": 96,
    "always_partition": True,
    "embed_dim": 8,
    "depths": [2, 2, 2, 2],
    "num_heads": [1, 1, 2, 2],
    "window_size": 5,
}
OF_TIMM: dict[str, Any] = {
    "use_timm_backbone": True,
    "backbone": "swin_tiny_patch4_window7_224",
    "backbone_kwargs": TIMM,
    "backbone_config": None,
    "apply_layernorm_after_vision_backbone": True,
}
WEIGHTS = ("weight", "bias")
TIMM_BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
BY_TIMM = (
    ([-2.2278, 2.5944, 4.9776, 5.5877, 0.7974], [-2.3084, 0.7426, 2.4857, 3.9067, 1.0113]),
    ([-1.5038, -0.6032, 0.3598, -0.0088, -0.279], [-1.6518, -0.5451, 0.5059, -0.074, -0.4209]),
    ([-1.0376, -0.0781, -0.5008, -0.8976, -0.8845], [-0.9391, -0.133, -0.5552, -0.8867, -0.8036]),
)
"""Of each map that timm 1.0.31 makes with such options and `waves`, the first channels inside and
in a corner."""


def inputs(classes: tuple[int, ...] = (2, 1)) -> dict[str, torch.Tensor]:
    """Two pictures with their classes and tasks."""
    generator = torch.Generator().manual_seed(0)

    def text(count: int, length: int) -> torch.Tensor:
        ids = torch.randint(3, 97, (count, length), generator=generator)
        ids[:, -1] = 98
        return ids

    names, tasks = text(sum(classes), 5), text(len(classes), 6)
    return {
        "pixel_values": torch.randn(len(classes), 3, 64, 64, generator=generator),
        "classes_input_ids": names,
        "classes_attention_mask": torch.ones_like(names),
        "tasks_input_ids": tasks,
        "tasks_attention_mask": torch.ones_like(tasks),
        "classes_structure": torch.tensor(classes),
    }


def model(**changes: Any) -> OmDetTurboForObjectDetection:
    torch.manual_seed(0)
    return OmDetTurboForObjectDetection(OmDetTurboConfig(**{**SIZES, **changes})).eval()


class TestOmDetTurbo(DeformableConformance):
    config_class = OmDetTurboConfig
    model_classes = (OmDetTurboForObjectDetection,)
    sizes = SIZES
    unused = (
        r"k_proj\.bias",
        r"vision_backbone\.layer_norms",
        r"decoder_class_head\.0\.",
    )

    def inputs(
        self, model_class: Any, config: Any, batch: int = 2, width: int = 7
    ) -> dict[str, torch.Tensor]:
        return inputs((1,) * batch)

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        one = self.build(model_class)
        given = self.inputs(model_class, one.config)
        output = self.run(one, given, output_hidden_states=True, output_attentions=True)
        assert [tuple(map_.shape) for map_ in output.encoder_hidden_states] == [(2, 32, 2, 2)] * 2
        assert [tuple(state.shape) for state in output.decoder_hidden_states] == [(2, 5, 32)] * 3
        assert [tuple(read[0].shape) for read in output.encoder_attentions] == [(2, 2, 4, 4)]
        own, to_picture = output.decoder_attentions
        assert [tuple(one.shape) for one in own] == [(2, 2, 11, 11)] * 2
        assert [tuple(one.shape) for one in to_picture] == [(2, 5, 2, 3, 4)] * 2


def counted(one: OmDetTurboForObjectDetection) -> list[int]:
    """How many texts `one` encodes, from now on, at each time."""
    seen: list[int] = []
    one.language_backbone.model.register_forward_hook(lambda *a: seen.append(len(a[1][0])))
    return seen


def test_texts_are_encoded_once():
    one, given = model(), inputs()
    seen = counted(one)
    with torch.no_grad():
        first = one(**given)
        again = one(**given)
    assert seen == [3, 2]
    assert torch.equal(again.decoder_class_logits, first.decoder_class_logits)
    one(**given)
    assert seen == [3, 2] * 2


def test_what_changed_weights_made_is_not_remembered():
    one, given = model(), inputs()
    with torch.no_grad():
        first = one(**given)
        one.language_backbone.text_projection.mul_(-1)
        changed = one(**given)
        seen = counted(one)
        one(**given)
    assert not torch.equal(first.encoder_class_logits, changed.encoder_class_logits)
    fresh = one(**given)
    torch.testing.assert_close(changed.decoder_class_logits, fresh.decoder_class_logits)
    assert seen == [3, 2]


def test_texts_used_longest_ago_are_forgotten():
    asked: list[list[list[int]]] = []

    def encode(ids: torch.Tensor, mask: torch.Tensor) -> list[str]:
        asked.append((ids * mask).tolist())
        return [str(row) for row in (ids * mask).tolist()]

    memory, by = TextMemory(2), torch.nn.Linear(1, 1)

    def recall(*rows: list[int]) -> list[Any]:
        ids = torch.tensor(rows)
        return memory.recall(ids, (ids != 0).long(), encode, by)

    assert recall([1, 2], [3, 0], [1, 2]) == ["[1, 2]", "[3, 0]", "[1, 2]"]
    assert asked == [[[1, 2], [3, 0]]]
    recall([1, 2])
    recall([4, 5])
    recall([1, 2], [3, 0])
    assert asked[1:] == [[[4, 5]], [[3, 0]]]
    empty = TextMemory(0)
    ids = torch.tensor([[1, 2]])
    assert empty.recall(ids, ids, encode, by)
    assert not empty.made


def test_training_returns_every_layer():
    one = model().train()
    output = one(**inputs())
    heads = one.decoder.decoder_class_head
    (output.encoder_class_logits.sum() + output.decoder_class_logits.sum()).backward()
    assert heads[1].weight.grad.abs().sum() > 0


def test_native_maps_are_normalised_on_request():
    one = model(apply_layernorm_after_vision_backbone=True)
    maps = one.vision_backbone(inputs()["pixel_values"])
    torch.testing.assert_close(maps[0].mean(1), torch.zeros_like(maps[0][:, 0]), atol=1e-5, rtol=0)


def processor() -> OmDetTurboProcessor:
    images = DetrImageProcessor(size={"height": 64, "width": 96})
    names = ("vocab.json", "merges.txt")
    tokenizer = CLIPTokenizer(*(str(VOCABULARY / name) for name in names))
    return OmDetTurboProcessor(images, tokenizer)


def pictures() -> list[Any]:
    return [np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)] * 2


def test_processor_names_classes_and_tasks(tmp_path: Path):
    processor().save_pretrained(tmp_path)
    for one in (processor(), AutoProcessor.from_pretrained(tmp_path)):
        assert isinstance(one, OmDetTurboProcessor)
        made = one(
            pictures(), [["a dog", "a cat"], ["x"]], task=["find all", "x"], return_tensors="pt"
        )
        assert made["classes_structure"].tolist() == [2, 1]
        assert made["pixel_values"].shape == (2, 3, 64, 96)
        padded = {"padding": "max_length", "max_length": 77, "return_tensors": "pt"}
        classes = one.tokenizer(["a dog", "a cat", "x"], **padded)
        tasks = one.tokenizer(["find all", "x"], **padded)
        for kind, texts in (("classes", classes), ("tasks", tasks)):
            assert torch.equal(made[f"{kind}_input_ids"], texts["input_ids"])
            assert torch.equal(made[f"{kind}_attention_mask"], texts["attention_mask"])
        default = one(pictures()[0], ["a dog", "a cat"], return_tensors="pt")
        said = one.tokenizer(["Detect a dog, a cat."], **padded)
        assert torch.equal(default["tasks_input_ids"], said["input_ids"])


def test_processor_refuses_what_does_not_fit():
    one = processor()
    with pytest.raises(ProcessorError, match="needs images and text"):
        one(pictures())
    with pytest.raises(ProcessorError, match="1 groups of classes for 2 images"):
        one(pictures(), ["a dog"])
    with pytest.raises(ProcessorError, match="task: 2 for 1"):
        one(pictures()[0], ["a dog"], task=["a", "b"])
    with pytest.raises(ProcessorError, match="names no classes"):
        one(pictures(), [["a"], []])
    output = OmDetTurboObjectDetectionOutput(
        decoder_coord_logits=torch.zeros(2, 1, 4), decoder_class_logits=torch.zeros(2, 1, 1)
    )
    with pytest.raises(ProcessorError, match="target_sizes: 1 for 2"):
        one.post_process_grounded_object_detection(output, [["a"], ["b"]], target_sizes=[(3, 4)])


def slow_search(
    boxes: Any, logits: Any, names: list[str], size: tuple[int, int], score: float, overlap: float
) -> list[tuple[float, str, list[float]]]:
    """Boxes of one image by plain loops: all pairs of query and class, the best first."""
    height, width = size
    pairs = []
    for box, row in zip(boxes.tolist(), logits.tolist(), strict=True):
        x, y, w, h = box
        corners = [(x - w / 2) * width, (y - h / 2) * height]
        corners += [(x + w / 2) * width, (y + h / 2) * height]
        pairs += [(1 / (1 + math.exp(-logit)), label, corners) for label, logit in enumerate(row)]
    pairs = sorted(pairs, key=lambda pair: -pair[0])[: len(boxes)]
    kept: list[Any] = []
    for pair in pairs:
        if pair[0] > score and pair[1] < len(names):
            same = [other for other in kept if other[1] == pair[1]]
            if all(share(pair[2], other[2]) <= overlap for other in same):
                kept.append(pair)
    limits = (width, height, width, height)
    return [
        (best, names[label], [min(max(e, 0), top) for e, top in zip(box, limits, strict=True)])
        for best, label, box in kept
    ]


def share(one: list[float], other: list[float]) -> float:
    """Intersection over union of two boxes by corners."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("overlap", [0.2, 0.5, 0.9])
def test_found_boxes_equal_plain_loops(overlap: float):
    generator = torch.Generator().manual_seed(0)
    boxes = 0.2 + 0.5 * torch.rand(2, 40, 4, generator=generator)
    logits = 2 * torch.randn(2, 40, 3, generator=generator)
    names, sizes = [["a dog", "a cat", "x"], ["one", "two"]], [(30, 50), (64, 48)]
    output = OmDetTurboObjectDetectionOutput(
        decoder_coord_logits=boxes, decoder_class_logits=logits
    )
    made = processor().post_process_grounded_object_detection(
        output, names, score_threshold=0.4, nms_threshold=overlap, target_sizes=sizes
    )
    for index, result in enumerate(made):
        wanted = slow_search(boxes[index], logits[index], names[index], sizes[index], 0.4, overlap)
        assert len(wanted) > 2
        assert result["classes"] == [name for _, name, _ in wanted]
        torch.testing.assert_close(result["scores"], torch.tensor([best for best, _, _ in wanted]))
        torch.testing.assert_close(result["boxes"], torch.tensor([box for _, _, box in wanted]))
    none = processor().post_process_grounded_object_detection(output, names, score_threshold=1.0)
    assert [len(one["boxes"]) for one in none] == [0, 0]


def test_what_cannot_be_is_refused():
    wrong = inputs() | {"classes_structure": torch.tensor([2, 2])}
    with pytest.raises(ValueError, match="shares out 4 classes"):
        model()(**wrong)
    with pytest.raises(ValueError, match="no published loss"):
        model()(**inputs(), labels=[])
    with pytest.raises(ConfigError, match="decoder_hidden_dim=16"):
        OmDetTurboConfig(**SIZES | {"decoder_hidden_dim": 16})
    for options, match in (
        ({"backbone": "resnet50"}, "asks for the backbone 'resnet50'"),
        ({"backbone": "swinv2_tiny_window8_256"}, "has its Swins alone"),
        ({"use_pretrained_backbone": True}, "use_pretrained_backbone=True"),
        ({"backbone_kwargs": {"out_indices": [1, 2, 3]}}, "set always_partition=True"),
        ({"backbone_kwargs": {**TIMM, "fused": 1}}, "has \\['fused'\\]"),
    ):
        with pytest.raises(ConfigError, match=match):
            model(**{**OF_TIMM, **options})


def waves(name: str, shape: Sequence[int]) -> torch.Tensor:
    """Values that are the same everywhere."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    phase = sum(map(ord, name))
    return (0.4 * torch.sin(steps * (1 + len(name)) + phase)).float().reshape(tuple(shape))


def test_a_swin_of_timm_gives_what_timm_does():
    one = model(**OF_TIMM).vision_backbone.vision_backbone
    prefix = "vision_backbone.vision_backbone."
    names = TimmSwinNames(prefix, lambda config: True)
    own: dict[str, LazyTensor] = {
        f"{prefix}{name}": MemoryTensor(value) for name, value in one.state_dict().items()
    }
    theirs: dict[str, LazyTensor] = {
        name: MemoryTensor(waves(name.removeprefix(f"{prefix}_backbone."), value.shape))
        for name, value in names.save(own, None).items()
    }
    found = names.load(theirs, None)
    one.load_state_dict({name.removeprefix(prefix): t.read() for name, t in found.items()})
    with torch.no_grad():
        maps = one(waves("picture", (1, 3, 96, 96))).feature_maps
    assert [tuple(map_.shape) for map_ in maps] == [(1, 16, 12, 12), (1, 32, 6, 6), (1, 64, 3, 3)]
    for map_, (inside, corner) in zip(maps, BY_TIMM, strict=True):
        expected = torch.tensor([inside, corner])
        values = torch.stack((map_[0, :5, 2, 1], map_[0, :5, 0, -1]))
        torch.testing.assert_close(values, expected, rtol=0, atol=2e-4)


def test_a_checkpoint_with_a_swin_of_timm_is_read_and_written(tmp_path: Path):
    one = model(**OF_TIMM)
    one.save_pretrained(tmp_path / "first")
    first = load_file(tmp_path / "first" / "model.safetensors")
    prefix = "vision_backbone.vision_backbone._backbone."
    swin = {name.removeprefix(prefix) for name in first if "vision_backbone._" in name}
    block = {f"layers_2.blocks.1.{name}.{kind}" for name in TIMM_BLOCK for kind in WEIGHTS}
    table = "layers_2.blocks.1.attn.relative_position_bias_table"
    assert {name for name in swin if name.startswith("layers_2.blocks.1.")} == block | {table}
    merging = {"norm.weight", "norm.bias", "reduction.weight"}
    assert {name for name in swin if "downsample" in name} == {
        f"layers_{stage}.downsample.{name}" for stage in (1, 2, 3) for name in merging
    }
    assert {name for name in swin if not name.startswith("layers_")} == {
        f"patch_embed.{part}.{kind}" for part in ("proj", "norm") for kind in WEIGHTS
    }
    altered = {
        name: value + torch.rand_like(value) / 50 if value.is_floating_point() else value + 3
        for name, value in first.items()
    }
    save_file(altered, tmp_path / "first" / "model.safetensors", {"format": "pt"})
    twin, report = OmDetTurboForObjectDetection.from_pretrained(
        tmp_path / "first", output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys"))
    twin.save_pretrained(tmp_path / "second")
    second = load_file(tmp_path / "second" / "model.safetensors")
    assert second.keys() == altered.keys()
    assert all(torch.equal(second[name], altered[name]) for name in second)

    one.load_state_dict(twin.state_dict())
    fused = altered[f"{prefix}layers_1.blocks.0.attn.qkv.weight"]
    swin_of_one: Any = one.vision_backbone.vision_backbone
    key = swin_of_one.encoder.layers[1].blocks[0].attention.self.key.weight
    assert torch.equal(key, fused[16:32])
    with torch.no_grad():
        given, backbone = inputs(), one.vision_backbone
        maps = swin_of_one(given["pixel_values"]).feature_maps
        for norm, raw, normed in zip(
            backbone.layer_norms, maps, backbone(given["pixel_values"]), strict=True
        ):
            torch.testing.assert_close(normed, norm(raw.movedim(1, -1)).movedim(-1, 1))
        assert torch.equal(one(**given)[0], twin(**given)[0])


def test_networks_of_timm_have_their_sizes():
    options = OmDetTurboConfig().backbone_kwargs
    assert options is not None
    for name, (width, third, window) in {
        "swin_tiny_patch4_window7_224": (96, 6, 7),
        "swin_small_patch4_window7_224.ms_in1k": (96, 18, 7),
        "swin_base_patch4_window12_384": (128, 18, 12),
        "swin_large_patch4_window7_224.ms_in22k_ft_in1k": (192, 18, 7),
    }.items():
        config = timm_swin_config(name, options)
        assert config is not None
        assert (config.embed_dim, config.depths[2], config.window_size) == (width, third, window)
        assert (config.image_size, config.out_indices) == (640, [2, 3, 4])
    assert timm_swin_config("swin_s3_tiny_224", options) is None


@pytest.mark.parametrize("learned", [False, True])
def test_original_and_back(learned: bool, tmp_path: Path):
    text = {**SIZES["text_config"], "num_attention_heads": 1}
    one = model(
        text_config=text,
        encoder_attention_heads=8,
        decoder_num_heads=8,
        hidden_expansion=0.5,
        learn_initial_query=learned,
    )
    check_layout("omdet-turbo/om-ai-lab", one, tmp_path, config={"num_queries": 5})
    twin = OmDetTurboForObjectDetection.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        torch.testing.assert_close(twin(**inputs())[0], one(**inputs())[0], rtol=0, atol=1e-5)
