"""Backbones: chosen stages, in the config and in the model, and where a backbone comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dovetail import AutoBackbone, PretrainedConfig, PreTrainedModel
from dovetail.auto import AutoConfig
from dovetail.backbones import (
    BackboneMixin,
    load_backbone,
    verify_backbone_config_arguments,
    verify_out_features_out_indices,
)
from dovetail.config_backbone import BackboneConfigMixin
from dovetail.errors import ConfigError
from dovetail.recording import Recorder

STAGES = ["stem", "stage1", "stage2"]


class PebbleConfig(BackboneConfigMixin):
    model_type = "pebble"
    depths: list[int] = [1, 1]  # noqa: RUF012 - copied for each instance
    out_features: list[str] | None = None
    out_indices: list[int] | None = None


class PebbleBackbone(BackboneMixin, PreTrainedModel):
    config_class = PebbleConfig
    base_model_prefix = "pebble"
    main_input_name = "pixel_values"

    def __init__(self, config: PebbleConfig) -> None:
        super().__init__(config)
        self.num_features = [3, 4, 5]
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 2, 2)])
        self.post_init()

    def stages(self, pixel_values: Tensor, recorder: Recorder | None) -> list[Tensor]:
        states = [pixel_values]
        for layer in self.layers:
            if recorder is not None:
                recorder.add_hidden_state(states[-1])
            states.append(layer(states[-1]))
        return states


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    AutoConfig.register("pebble", PebbleConfig, exist_ok=True)
    AutoBackbone.register(PebbleConfig, PebbleBackbone, exist_ok=True)


@pytest.mark.parametrize(
    ("given", "features", "indices"),
    [
        ({}, ["stage2"], [2]),
        ({"out_features": ["stem", "stage2"]}, ["stem", "stage2"], [0, 2]),
        ({"out_indices": (0, 1)}, ["stem", "stage1"], [0, 1]),
        ({"out_indices": [0, -1]}, ["stem", "stage2"], [0, -1]),
        ({"out_features": []}, [], []),
        ({"out_features": ["stage2"], "out_indices": [-1]}, ["stage2"], [-1]),
    ],
)
def test_names_and_indices_follow_each_other(
    given: dict[str, Any], features: list[str], indices: list[int]
):
    config = PebbleConfig(**given)
    assert config.stage_names == STAGES
    assert (config.out_features, config.out_indices) == (features, indices)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"out_features": ["stage9"]}, r"'stage9' is none of the stages.*Did you mean"),
        ({"out_features": ["stage2", "stem"]}, "in the order of"),
        ({"out_features": ["stem", "stem"]}, "once each"),
        ({"out_features": "stem"}, "out_features='stem'"),
        ({"out_indices": [3]}, "3 is none of the stages"),
        ({"out_indices": [2, 1]}, "in the order of"),
        ({"out_indices": [-1, 2]}, "once each"),
        ({"out_indices": 1}, "out_indices=1"),
        ({"out_features": ["stem"], "out_indices": [1]}, "different stages"),
        ({"out_features": ["stem", "stage1"], "out_indices": [1]}, "different stages"),
    ],
)
def test_stages_that_cannot_be_are_refused(given: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        PebbleConfig(**given)


def test_setting_one_sets_the_other():
    config = PebbleConfig()
    config.out_features = ["stage1"]
    assert config.out_indices == [1]
    config.out_indices = [0, 2]
    assert config.out_features == ["stem", "stage2"]
    with pytest.raises(ConfigError, match="none of the stages"):
        config.out_features = ["stage7"]


def test_settings_survive_a_file_and_arguments_replace_them(tmp_path: Path):
    PebbleConfig(out_indices=[0, 1]).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["out_features"] == ["stem", "stage1"]
    assert saved["out_indices"] == [0, 1]
    assert saved["stage_names"] == STAGES
    assert PebbleConfig.from_pretrained(tmp_path).out_features == ["stem", "stage1"]
    assert PebbleConfig.from_pretrained(tmp_path, out_indices=[2]).out_features == ["stage2"]
    assert PebbleConfig.from_pretrained(tmp_path, out_features=["stem"]).out_indices == [0]


def test_a_backbone_returns_the_chosen_stages(tmp_path: Path):
    model = AutoBackbone.from_config(PebbleConfig(out_indices=[1, 2])).eval()
    pixels = torch.ones(2, 3, 4, 4)
    output = model(pixels, output_hidden_states=True)
    assert [tuple(each.shape) for each in output.feature_maps] == [(2, 4, 4, 4), (2, 5, 2, 2)]
    assert [len(each[0]) for each in output.hidden_states] == [3, 4, 5]
    assert model.channels == [4, 5]
    assert model.out_feature_channels == dict(zip(STAGES, (3, 4, 5), strict=True))
    assert isinstance(model(pixels, return_dict=False), tuple)
    model.out_features = ["stem"]
    assert (model.out_indices, model.channels) == ([0], [3])
    assert torch.equal(model(pixels).feature_maps[0], pixels)
    model.save_pretrained(tmp_path)
    assert AutoBackbone.from_pretrained(tmp_path).out_features == ["stem"]
    assert AutoBackbone.from_pretrained(tmp_path, out_indices=[1]).channels == [4]


def test_unknown_arguments_can_be_filtered():
    model = PebbleBackbone(PebbleConfig())
    pixels = torch.ones(1, 3, 4, 4)
    output = model.forward_with_filtered_kwargs(pixels, output_hidden_states=True, labels=3)
    assert list(output) == ["feature_maps", "hidden_states"]


def test_a_backbone_is_described_once(tmp_path: Path):
    own = PebbleConfig(out_indices=[1])
    assert load_backbone(own).channels == [4]
    assert load_backbone(SimpleNamespace(backbone_config=own)).channels == [4]
    PebbleBackbone(own).save_pretrained(tmp_path)
    named = SimpleNamespace(backbone=str(tmp_path), backbone_kwargs={"out_indices": [2]})
    assert load_backbone(named).channels == [5]
    named.use_pretrained_backbone = True
    assert load_backbone(named).channels == [5]
    with pytest.raises(ConfigError, match="leave out one"):
        verify_backbone_config_arguments(None, None, "name", own, None)
    with pytest.raises(ConfigError, match="give one of the two"):
        load_backbone(SimpleNamespace(backbone_config=own, use_pretrained_backbone=True))
    with pytest.raises(ConfigError, match="must name its stages"):
        verify_out_features_out_indices(None, None, None)


def test_timm_needs_a_plugin():
    with pytest.raises((ValueError, ImportError), match="timm_backbone"):
        AutoBackbone.from_pretrained("resnet18", use_timm_backbone=True)


def test_a_backbone_needs_a_config_of_one():
    with pytest.raises(ConfigError, match="AutoBackbone"):
        AutoBackbone.from_config(PretrainedConfig())


def test_configs_of_backbones_do_not_import_torch():
    code = "import sys, dovetail.config_backbone; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
