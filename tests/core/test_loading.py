"""``from_pretrained`` on checkpoints that are as they should be."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.core.tiny import (
    TinyConfig,
    TinyForCausalLM,
    TinyForSequenceClassification,
    TinyModel,
    TinyPreTrainedModel,
    equal_states,
    tiny,
)
from torch import nn

from dovetail.errors import ConfigError, MissingPluginError
from dovetail.generation import GenerationConfig, GenerationMixin
from dovetail.loading import model_from_config
from dovetail.loading_report import LoadingReport
from dovetail.mapping import Rename, Transpose

NOTHING = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}


def info_of(cls: Any, folder: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    model, info = cls.from_pretrained(folder, output_loading_info=True, **kwargs)
    return model, {name: info[name] for name in NOTHING}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("size", ["5GB", "1KB"])
def test_formats(safe: bool, size: str, tmp_path: Path) -> None:
    model = tiny()
    model.save_pretrained(tmp_path, safe_serialization=safe, max_shard_size=size)
    loaded, info = info_of(TinyForCausalLM, tmp_path)
    assert info == NOTHING
    assert equal_states(model, loaded)
    assert not loaded.training
    assert loaded.name_or_path == str(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(ids), model(ids))


def test_a_single_file_takes_the_config_beside_it(saved: Path) -> None:
    loaded = TinyForCausalLM.from_pretrained(saved / "model.safetensors")
    assert equal_states(loaded, tiny())


def test_an_index_file(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path, max_shard_size="1KB")
    loaded = TinyForCausalLM.from_pretrained(tmp_path / "model.safetensors.index.json")
    assert equal_states(loaded, tiny())


def test_weights_stay_mapped_and_the_file_survives_training(saved: Path) -> None:
    before = (saved / "model.safetensors").read_bytes()
    model = TinyForCausalLM.from_pretrained(saved).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.tensor([[1, 2]])).sum().backward()
    optimizer.step()
    assert not equal_states(model, tiny())
    assert (saved / "model.safetensors").read_bytes() == before


def test_random_state_is_left_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    TinyForCausalLM.from_pretrained(saved)
    assert torch.rand(1) == expected


class TestDtypes:
    def test_default_is_torchs(self, tmp_path: Path) -> None:
        tiny().to(torch.bfloat16).save_pretrained(tmp_path)
        assert TinyForCausalLM.from_pretrained(tmp_path).dtype == torch.float32

    @pytest.mark.parametrize("name", ["torch_dtype", "dtype"])
    @pytest.mark.parametrize("value", [torch.float16, "float16", "torch.float16"])
    def test_given(self, name: str, value: Any, saved: Path) -> None:
        model = TinyForCausalLM.from_pretrained(saved, **{name: value})
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
        assert model.model.steps.dtype == torch.long
        assert torch.get_default_dtype() == torch.float32

    def test_auto_is_the_configs_else_the_files(self, tmp_path: Path) -> None:
        tiny().to(torch.bfloat16).save_pretrained(tmp_path)
        assert TinyForCausalLM.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16
        config = json.loads((tmp_path / "config.json").read_text())
        del config["torch_dtype"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert TinyForCausalLM.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16

    def test_modules_that_must_stay_in_float32(self, saved: Path) -> None:
        class Careful(TinyForCausalLM):
            _keep_in_fp32_modules = ["down"]  # noqa: RUF012

        half = Careful.from_pretrained(saved, torch_dtype=torch.float16)
        assert half.model.layers[0].down.weight.dtype == torch.float32
        assert half.model.layers[0].up.weight.dtype == torch.float16
        brain = Careful.from_pretrained(saved, torch_dtype=torch.bfloat16)
        assert brain.model.layers[0].down.weight.dtype == torch.bfloat16

    @pytest.mark.parametrize("value", ["float61", torch.int8, "nn"])
    def test_no_such_type(self, value: Any, saved: Path) -> None:
        with pytest.raises(ConfigError, match="no floating-point type"):
            TinyForCausalLM.from_pretrained(saved, torch_dtype=value)

    def test_two_values(self, saved: Path) -> None:
        with pytest.raises(ConfigError, match="two values"):
            TinyForCausalLM.from_pretrained(saved, torch_dtype="float16", dtype="float32")


class TestPrefixes:
    def test_a_head_loads_a_base_checkpoint(self, tmp_path: Path) -> None:
        base = tiny(cls=TinyModel)
        base.save_pretrained(tmp_path)
        model, info = info_of(TinyForCausalLM, tmp_path)
        assert info == NOTHING | {"missing_keys": ["lm_head.weight"]}
        assert equal_states(model.model, base)
        assert 0.0 < model.lm_head.weight.std() < 0.1

    def test_a_base_loads_a_head_checkpoint(self, saved: Path) -> None:
        model, info = info_of(TinyModel, saved)
        assert info == NOTHING | {"unexpected_keys": ["lm_head.weight"]}
        assert equal_states(model, tiny().model)

    def test_a_class_that_keeps_the_body_under_another_name(self, saved: Path) -> None:
        class Other(TinyPreTrainedModel):
            base_model_prefix = "transformer"

            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.transformer = TinyModel(config)
                self.post_init()

        model, info = info_of(Other, saved)
        assert info == NOTHING | {"unexpected_keys": ["lm_head.weight"]}
        assert equal_states(model.transformer, tiny().model)

    def test_another_head(self, saved: Path) -> None:
        model, info = info_of(TinyForSequenceClassification, saved, num_labels=5)
        assert set(info["missing_keys"]) == {"score.weight", "score.bias", "gate"}
        assert info["unexpected_keys"] == ["lm_head.weight"]
        assert model.score.weight.shape == (5, 8)
        assert model.score.bias.tolist() == [0] * 5
        assert model.gate.tolist() == [7, 7, 7]


class TestTies:
    def test_tied(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path)
        assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
        model, info = info_of(TinyForCausalLM, tmp_path)
        assert info == NOTHING
        assert model.lm_head.weight is model.model.embed_tokens.weight

    def test_only_the_guest_is_in_the_file(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path)
        state = load_file(tmp_path / "model.safetensors")
        state["lm_head.weight"] = state.pop("model.embed_tokens.weight")
        save_file(state, tmp_path / "model.safetensors")
        model, info = info_of(TinyForCausalLM, tmp_path)
        assert info == NOTHING
        assert torch.equal(model.model.embed_tokens.weight, state["lm_head.weight"])
        assert model.lm_head.weight is model.model.embed_tokens.weight

    def test_equal_copies(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path)
        state = load_file(tmp_path / "model.safetensors")
        state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
        save_file(state, tmp_path / "model.safetensors")
        _, info = TinyForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
        assert info["conflicting_keys"] == []

    def test_shared_memory_in_a_pickle_does_not_tie(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path, safe_serialization=False)
        model = TinyForCausalLM.from_pretrained(tmp_path, tie_word_embeddings=False)
        assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
        model.lm_head.weight.data.zero_()
        assert model.model.embed_tokens.weight.abs().sum() > 0

    def test_an_untied_checkpoint_under_a_tied_config_is_told(
        self, saved: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            model, info = TinyForCausalLM.from_pretrained(
                saved, tie_word_embeddings=True, output_loading_info=True
            )
        pair = ("model.embed_tokens.weight", "lm_head.weight")
        assert info["conflicting_keys"] == [pair]
        assert "tie_word_embeddings=False" in caplog.text
        assert torch.equal(model.lm_head.weight, tiny().model.embed_tokens.weight)


class TestNames:
    def test_key_mapping(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        renamed = {name.replace("model.", "transformer."): t for name, t in state.items()}
        save_file(renamed, saved / "model.safetensors")
        model, info = info_of(
            TinyForCausalLM, saved, key_mapping={r"^transformer\.(.*)": r"model.\1"}
        )
        assert info == NOTHING
        assert equal_states(model, tiny())

    def test_weight_mapping_both_ways(self, tmp_path: Path) -> None:
        class Mapped(TinyForCausalLM):
            weight_mapping = (
                Rename("layers.*.ff.w", "layers.*.up.weight"),
                Transpose("layers.*.down.weight"),
            )

        model = tiny(cls=Mapped)
        model.save_pretrained(tmp_path)
        held = load_file(tmp_path / "model.safetensors")
        assert held["model.layers.0.ff.w"].shape == (16, 8)
        assert held["model.layers.0.down.weight"].shape == (16, 8)
        loaded, info = info_of(Mapped, tmp_path)
        assert info == NOTHING
        assert equal_states(model, loaded)

    def test_gamma_and_beta(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        state["model.norm.gamma"] = state.pop("model.norm.weight")
        state["model.norm.beta"] = state.pop("model.norm.bias")
        save_file(state, saved / "model.safetensors")
        model, info = info_of(TinyForCausalLM, saved)
        assert info == NOTHING
        assert equal_states(model, tiny())

    def test_gamma_that_is_the_models_own_name(self, tmp_path: Path) -> None:
        class Scaled(TinyModel):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.gamma = nn.Parameter(torch.ones(2))

        model = tiny(cls=Scaled)
        model.save_pretrained(tmp_path)
        assert equal_states(Scaled.from_pretrained(tmp_path), model)

    def test_weight_norm_of_either_spelling(self, tmp_path: Path) -> None:
        class Normed(TinyModel):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                nn.utils.parametrizations.weight_norm(self.layers[0].up)

        model = tiny(cls=Normed)
        model.save_pretrained(tmp_path)
        state = load_file(tmp_path / "model.safetensors")
        stem = "layers.0.up.parametrizations.weight.original"
        assert {f"{stem}0", f"{stem}1"} < state.keys()
        state["layers.0.up.weight_g"] = state.pop(f"{stem}0")
        state["layers.0.up.weight_v"] = state.pop(f"{stem}1")
        save_file(state, tmp_path / "model.safetensors")
        loaded, info = info_of(Normed, tmp_path)
        assert info == NOTHING
        assert equal_states(loaded, model)

    def test_ignored_patterns_and_computed_buffers(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        for name in ("rotary_emb.inv_freq", "embeddings.position_ids", "attn.masked_bias"):
            state[f"model.{name}"] = torch.zeros(1)
        save_file(state, saved / "model.safetensors")
        _, info = info_of(TinyForCausalLM, saved)
        assert info["unexpected_keys"] == ["model.attn.masked_bias"]

        class Tolerant(TinyForCausalLM):
            _keys_to_ignore_on_load_unexpected = [r"masked_bias"]  # noqa: RUF012
            _keys_to_ignore_on_load_missing = [r"steps"]  # noqa: RUF012

        del state["model.steps"]
        save_file(state, saved / "model.safetensors")
        model, info = info_of(Tolerant, saved)
        assert info == NOTHING
        assert model.model.steps == 0

    def test_numbers_stored_as_vectors(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        state["model.steps"] = torch.tensor([5])
        save_file(state, saved / "model.safetensors")
        assert TinyForCausalLM.from_pretrained(saved).model.steps == 5


class TestArguments:
    def test_state_dict_replaces_the_files(self, saved: Path) -> None:
        other = tiny(seed=1)
        model = TinyForCausalLM.from_pretrained(saved, state_dict=other.state_dict())
        assert equal_states(model, other)
        model.lm_head.weight.data.zero_()
        assert other.lm_head.weight.abs().sum() > 0

    def test_config_and_state_dict_without_a_path(self) -> None:
        other = tiny(seed=1)
        model = TinyForCausalLM.from_pretrained(
            None, config=other.config, state_dict=other.state_dict()
        )
        assert equal_states(model, other)

    def test_given_config_is_not_changed(self, saved: Path) -> None:
        config = TinyConfig()
        model = TinyForCausalLM.from_pretrained(saved, config=config)
        assert model.config is not config
        assert config.name_or_path == ""

    def test_variant_and_subfolder(self, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path / "inner", variant="fp16")
        assert (tmp_path / "inner" / "model.fp16.safetensors").is_file()
        model = TinyForCausalLM.from_pretrained(tmp_path, variant="fp16", subfolder="inner")
        assert equal_states(model, tiny(seed=1))

    def test_use_safetensors(self, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path, safe_serialization=False)
        (tmp_path / "both").mkdir()
        tiny(seed=2).save_pretrained(tmp_path / "both")
        for name in ("pytorch_model.bin",):
            (tmp_path / "both" / name).write_bytes((tmp_path / name).read_bytes())
        chosen = {
            flag: TinyForCausalLM.from_pretrained(tmp_path / "both", use_safetensors=flag)
            for flag in (None, True, False)
        }
        assert equal_states(chosen[None], tiny(seed=2))
        assert equal_states(chosen[True], tiny(seed=2))
        assert equal_states(chosen[False], tiny(seed=1))

    def test_attn_implementation(self, saved: Path) -> None:
        model = TinyForCausalLM.from_pretrained(saved, attn_implementation="eager")
        assert model.config._attn_implementation == "eager"

    def test_config_settings_and_constructor_arguments(self, saved: Path) -> None:
        class Optional(TinyForCausalLM):
            def __init__(self, config: TinyConfig, extra: int = 0, *, more: int = 0) -> None:
                super().__init__(config)
                self.extra = (extra, more)

        model = Optional.from_pretrained(saved, 3, more=4, is_decoder=True)
        assert model.extra == (3, 4)
        assert model.config.is_decoder is True
        with pytest.raises(TypeError, match="bogus"):
            Optional.from_pretrained(saved, bogus=1)

    def test_arguments_of_the_field_that_change_nothing(self, saved: Path) -> None:
        model = TinyForCausalLM.from_pretrained(
            saved, low_cpu_mem_usage=True, _fast_init=True, from_tf=False, weights_only=True
        )
        assert equal_states(model, tiny())

    @pytest.mark.parametrize(
        ("name", "value"),
        [("from_tf", True), ("from_flax", True), ("gguf_file", "x"), ("weights_only", False)],
    )
    def test_refused_arguments(self, name: str, value: Any, saved: Path) -> None:
        with pytest.raises(ConfigError, match=f"{name}=.*not supported"):
            TinyForCausalLM.from_pretrained(saved, **{name: value})


class Generating(TinyForCausalLM, GenerationMixin):
    """A model that can generate."""


class TestGenerationConfig:
    def test_it_is_loaded(self, tmp_path: Path) -> None:
        model = tiny(cls=Generating)
        model.generation_config.max_new_tokens = 7
        model.save_pretrained(tmp_path)
        loaded = Generating.from_pretrained(tmp_path)
        assert loaded.generation_config.max_new_tokens == 7

    def test_the_callers_is_copied(self, saved: Path) -> None:
        given = GenerationConfig(max_new_tokens=5)
        loaded = Generating.from_pretrained(saved, generation_config=given)
        assert loaded.generation_config.max_new_tokens == 5
        assert loaded.generation_config is not given

    def test_without_a_file_it_comes_from_the_config(self, saved: Path) -> None:
        assert Generating.from_pretrained(saved, eos_token_id=9).generation_config.eos_token_id == 9


class TestDevices:
    @pytest.mark.parametrize("place", ["cpu", torch.device("cpu"), {"": "cpu"}, "auto"])
    def test_one_device(self, place: Any, saved: Path) -> None:
        model = TinyForCausalLM.from_pretrained(saved, device_map=place)
        assert equal_states(model, tiny())
        assert model.hf_device_map == {"": "cpu"}

    def test_parts_on_disk(self, saved: Path, tmp_path: Path) -> None:
        pytest.importorskip("accelerate")
        model = TinyForCausalLM.from_pretrained(
            saved,
            device_map={"model": "cpu", "lm_head": "disk"},
            offload_folder=tmp_path / "offload",
        )
        assert model.lm_head.weight.is_meta
        ids = torch.tensor([[1, 2, 3]])
        assert torch.equal(model(ids), tiny()(ids))
        model.save_pretrained(tmp_path / "again")
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path / "again"), tiny())

    def test_disk_needs_a_folder(self, saved: Path) -> None:
        pytest.importorskip("accelerate")
        with pytest.raises(ValueError, match="offload_folder"):
            TinyForCausalLM.from_pretrained(saved, device_map={"model": "cpu", "lm_head": "disk"})

    def test_without_accelerate(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dovetail.devices.importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingPluginError, match="pip install accelerate"):
            TinyForCausalLM.from_pretrained(saved, device_map={"model": "cpu", "lm_head": "disk"})
        with pytest.raises(MissingPluginError, match="pip install accelerate"):
            TinyForCausalLM.from_pretrained(saved, device_map="auto", max_memory={"cpu": 10**6})

    def test_shared_out_by_accelerate(self, saved: Path) -> None:
        pytest.importorskip("accelerate")
        model = TinyForCausalLM.from_pretrained(saved, device_map="auto", max_memory={"cpu": 10**9})
        assert equal_states(model, tiny())

    def test_the_meta_device(self, saved: Path) -> None:
        model = TinyForCausalLM.from_pretrained(saved, device_map="meta")
        assert all(parameter.is_meta for parameter in model.parameters())

    @pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is not there")
    def test_a_device_that_is_not_there(self, saved: Path) -> None:
        for place in ("cuda:0", 0, {"model": "cpu", "lm_head": "cuda"}):
            with pytest.raises(ValueError, match="no device of this machine"):
                TinyForCausalLM.from_pretrained(saved, device_map=place)

    def test_no_such_device(self, saved: Path) -> None:
        with pytest.raises(ValueError, match=r"'atuo'.*Did you mean 'auto'"):
            TinyForCausalLM.from_pretrained(saved, device_map="atuo")

    def test_a_map_with_a_hole(self, saved: Path) -> None:
        with pytest.raises(ValueError, match=r"says nothing of 'lm_head\.weight'"):
            TinyForCausalLM.from_pretrained(saved, device_map={"model": "cpu"})


class TestConstruction:
    """Constructors that do unusual things."""

    def load(self, cls: Any, saved: Path) -> Any:
        return cls.from_pretrained(saved)

    def test_values_read_in_the_constructor(self, saved: Path) -> None:
        class Drops(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]

        assert self.load(Drops, saved).rates == pytest.approx([0, 0.05, 0.1])

    def test_random_values_read_in_the_constructor(self, saved: Path) -> None:
        class Chancy(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.seed = float(torch.rand(()))

        model = self.load(Chancy, saved)
        assert 0 <= model.seed < 1
        assert equal_states(model, tiny())

    def test_buffers_and_plain_tensors_keep_their_values(self, saved: Path) -> None:
        class Buffered(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.register_buffer("mask", torch.ones(3, 3).tril(), persistent=False)
                self.register_buffer("filled", torch.empty(2).fill_(4.0), persistent=False)
                self.plain = torch.full((2,), 3.0)

        model = self.load(Buffered, saved)
        assert model.mask.sum() == 6
        assert model.plain.tolist() == [3, 3]
        assert model.filled.tolist() == [4, 4]
        assert torch.equal(model.model.slopes, tiny().model.slopes)

    def test_reset_buffers_is_called_for_what_is_still_missing(self, saved: Path) -> None:
        class Resetting(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.register_buffer("table", torch.empty(2), persistent=False)
                self.reset_buffers()

            def reset_buffers(self, device: Any = None) -> None:
                device = self.table.device if device is None else device
                self.table.fill_(1.0) if device == self.table.device else None
                if self.table.device != device:
                    self.table = torch.full((2,), 5.0, device=device)

        assert self.load(Resetting, saved).table.tolist() == [5, 5]

    def test_parameters_that_only_the_constructor_fills(self, saved: Path) -> None:
        class Extra(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.ones = nn.Parameter(torch.ones(3))
                self.noise = nn.Parameter(torch.randn(4))
                self.conv = nn.Conv1d(2, 3, 1)
                self.batch_norm = nn.BatchNorm1d(2)

        model, info = info_of(Extra, saved)
        assert {"ones", "noise", "conv.weight", "batch_norm.running_var"} < set(
            info["missing_keys"]
        )
        assert model.ones.tolist() == [1, 1, 1]
        assert model.noise.isfinite().all()
        assert 0 < model.noise.std() < 5
        assert model.batch_norm.running_var.tolist() == [1, 1]
        assert model.conv.weight.std() < 1

    def test_one_missing_parameter_leaves_its_neighbour(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        del state["model.layers.0.up.bias"]
        save_file(state, saved / "model.safetensors")
        model, info = info_of(TinyForCausalLM, saved)
        assert info["missing_keys"] == ["model.layers.0.up.bias"]
        assert model.model.layers[0].up.bias.abs().sum() == 0
        assert torch.equal(model.model.layers[0].up.weight, tiny().model.layers[0].up.weight)

    def test_recurrent_layers(self, tmp_path: Path) -> None:
        class Recurrent(TinyModel):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.lstm = nn.LSTM(8, 8, batch_first=True)

        model = tiny(cls=Recurrent)
        model.save_pretrained(tmp_path)
        loaded = Recurrent.from_pretrained(tmp_path)
        values = torch.randn(1, 3, 8)
        assert torch.equal(loaded.lstm(values)[0], model.lstm(values)[0])

    def test_frozen_parameters_stay_frozen(self, saved: Path) -> None:
        class Frozen(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                self.model.embed_tokens.weight.requires_grad_(False)

        model = self.load(Frozen, saved)
        assert not model.model.embed_tokens.weight.requires_grad
        assert model.lm_head.weight.requires_grad


def test_loads_in_several_threads_keep_their_types(saved: Path) -> None:
    dtypes = [torch.float32, torch.float16, torch.bfloat16, torch.float64] * 4
    with ThreadPoolExecutor(8) as pool:
        models = list(
            pool.map(lambda d: TinyForCausalLM.from_pretrained(saved, torch_dtype=d), dtypes)
        )
    assert [model.dtype for model in models] == dtypes
    assert all(len({p.dtype for p in model.parameters()}) == 1 for model in models)
    assert torch.get_default_dtype() == torch.float32


class TestReport:
    def test_quiet_when_all_is_well(self, saved: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            TinyForCausalLM.from_pretrained(saved)
            TinyModel.from_pretrained(saved)
        assert caplog.text == ""

    def test_one_short_warning_without_a_terminal(
        self, saved: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            TinyForSequenceClassification.from_pretrained(saved)
        assert len(caplog.records) == 1
        assert "newly initialised: gate, score.bias, score.weight" in caplog.text

    def test_unexpected_tensors_of_the_same_class_are_told(
        self, saved: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        state = load_file(saved / "model.safetensors")
        save_file(state | {"stray": torch.zeros(1)}, saved / "model.safetensors")
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            TinyForCausalLM.from_pretrained(saved)
        assert "not used: stray" in caplog.text

    def test_a_table_at_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        report = LoadingReport(
            "Tiny",
            "folder",
            missing=[f"h.{n}.w" for n in range(3)] + ["ln.w"],
            unexpected=["x"],
            mismatched=[("e", (2,), (3,))],
            conflicting=[("a", "b")],
            with_nan=["n"],
        )
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            report.announce(unexpected_matter=True)
        assert caplog.messages[0].splitlines() == [
            "Tiny loaded from folder",
            "  h.{0..2}.w  missing: newly initialised",
            "  ln.w        missing: newly initialised",
            "  x           unexpected: not used",
            "  e           size [2], the model's is [3]: newly initialised",
            "  b           tied, but differs from a",
            "  n           holds NaN",
        ]


def test_model_from_config(saved: Path) -> None:
    config = TinyConfig(torch_dtype="bfloat16")
    model = TinyForCausalLM._from_config(config)
    assert model.dtype == torch.float32
    assert model.config is not config
    model = model_from_config(
        TinyForCausalLM, config, torch_dtype="bfloat16", attn_implementation="eager"
    )
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"
