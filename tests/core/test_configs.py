"""The config base: declaring, reading, validating and writing."""

import copy
import inspect
import json
import pickle
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from dovetail.config_fields import (
    LayerCount,
    LayerType,
    OpenFloat,
    PositiveFloat,
    Probability,
    Size,
    TokenIds,
)
from dovetail.configs import GENERATION_DEFAULTS, PretrainedConfig
from dovetail.errors import ConfigError, ConfigTypeError


class PlainConfig(PretrainedConfig):
    model_type = "plain"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "n_embd": "hidden_size",
        "num_hidden_layers": "n_layer",
    }
    vocab_size: Size = 100
    hidden_size: Size = 16
    n_layer: LayerCount = 2
    num_heads: Size | None = None
    dropout: Probability = 0.1
    sizes: list[Size] = [1, 2]  # noqa: RUF012
    limits: tuple[float, OpenFloat] = (0.0, float("inf"))
    layer_types: list[LayerType] | None = None
    pad_token_id: TokenIds = 0

    def derive(self):
        if self.num_heads is None:
            self.num_heads = self.hidden_size // 4

    def check(self):
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"num_heads={self.num_heads} does not divide hidden_size={self.hidden_size}"
            )


class RotaryConfig(PlainConfig):
    model_type = "rotary"
    hidden_size = 32
    rope_theta: PositiveFloat = 10000.0
    rope_scaling: dict[str, Any] | None = None


class NestedConfig(PretrainedConfig):
    model_type = "nested"
    sub_configs: ClassVar[dict[str, Any]] = {"text_config": PlainConfig, "other": RotaryConfig}
    text_config: PlainConfig | None = None
    other: RotaryConfig | None = None
    scale: float = 1.0


class PartConfig(PlainConfig):
    base_config_key = "text_config"


class ClassicConfig(PretrainedConfig):
    """A config in the older style of the field: a constructor of its own."""

    model_type = "classic"

    def __init__(self, width=8, depth=2, **kwargs):
        self.width = width
        self.depth = depth
        super().__init__(**kwargs)


CLASSES = [PretrainedConfig, PlainConfig, RotaryConfig, NestedConfig, ClassicConfig]


# --- declaring ---


def test_arguments_go_by_position_by_name_and_by_alias():
    assert PlainConfig(7, 8).hidden_size == PlainConfig(vocab_size=7, n_embd=8).n_embd == 8
    assert PlainConfig(num_hidden_layers=5).n_layer == 5
    config = PlainConfig()
    config.n_embd = 24
    assert config.hidden_size == 24
    assert PlainConfig.n_embd == 16


def test_signature_lists_the_fields_for_editors():
    names = list(inspect.signature(PlainConfig).parameters)
    assert names[:3] == ["vocab_size", "hidden_size", "n_layer"]
    assert names[-1] == "kwargs"
    assert list(inspect.signature(ClassicConfig).parameters) == ["width", "depth", "kwargs"]


def test_positional_arguments_are_checked():
    with pytest.raises(TypeError, match="at most 9 positional"):
        PlainConfig(*range(1, 12))
    with pytest.raises(TypeError, match="two values for 'vocab_size'"):
        PlainConfig(3, vocab_size=4)


def test_subclass_keeps_the_order_and_may_assign_a_new_default():
    assert RotaryConfig(11).vocab_size == 11
    assert RotaryConfig().hidden_size == 32
    with pytest.raises(ConfigError, match="RotaryConfig: hidden_size=0"):
        RotaryConfig(hidden_size=0)


def test_derived_values_follow_what_is_given():
    assert PlainConfig(hidden_size=64).num_heads == 16
    assert PlainConfig(hidden_size=64, num_heads=2).num_heads == 2


def test_mutable_defaults_are_not_shared():
    PlainConfig().sizes.append(3)
    PlainConfig().pruned_heads[1] = [2]
    assert PlainConfig().sizes == [1, 2]
    assert PlainConfig().pruned_heads == {}


def test_unknown_keys_are_kept_and_written_back():
    config = PlainConfig(flavour="mint", nested={"a": [1, None]})
    assert config.flavour == "mint"
    again = PlainConfig.from_dict(config.to_dict())
    assert again.nested == {"a": [1, None]}
    assert json.loads(config.to_json_string())["flavour"] == "mint"


def test_classic_style_classes_work():
    config = ClassicConfig(width=4, tie_word_embeddings=False)
    assert (config.width, config.depth, config.tie_word_embeddings) == (4, 2, False)
    assert ClassicConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


def test_constants_of_the_class_are_no_fields():
    class Constants(PlainConfig):
        kinds: ClassVar[list[str]] = ["a"]
        width = 3

    assert "kinds" not in Constants().to_dict()
    assert "width" not in Constants().to_dict()
    assert "kinds" not in inspect.signature(Constants).parameters


def test_annotations_that_cannot_be_resolved_say_so():
    class Local(PretrainedConfig):
        part: "Nowhere" = 1  # noqa: F821
        size: "NonNegative" = 1  # noqa: F821

    with pytest.raises(ConfigError, match="Local cannot be used: its annotations name 'Nowhere'"):
        Local()
    Local.__annotations__.pop("part")
    with pytest.raises(ConfigError, match="size=-1"):
        Local(size=-1)


# --- validating ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"hidden_size": -1}, ConfigError, r"PlainConfig: hidden_size=-1 .* at least 1"),
        ({"hidden_size": 0}, ConfigError, "hidden_size=0"),
        ({"n_embd": 2**40}, ConfigError, "hidden_size=1099511627776 .* at most 67108864"),
        ({"n_layer": 10**6}, ConfigError, "n_layer=1000000"),
        ({"hidden_size": "16"}, ConfigTypeError, "hidden_size='16' .* an integer"),
        ({"hidden_size": True}, ConfigTypeError, "hidden_size=True"),
        ({"hidden_size": 16.5}, ConfigTypeError, "hidden_size=16.5"),
        ({"hidden_size": None}, ConfigTypeError, "hidden_size=None"),
        ({"hidden_size": [16]}, ConfigTypeError, r"hidden_size=\[16\]"),
        ({"dropout": 1.5}, ConfigError, "dropout=1.5 .* at most 1"),
        ({"dropout": float("nan")}, ConfigError, "dropout=nan"),
        ({"dropout": "0.1"}, ConfigTypeError, "dropout='0.1' .* a number"),
        ({"sizes": [1, 0]}, ConfigError, r"sizes\[1\]=0"),
        ({"sizes": 3}, ConfigTypeError, "sizes=3 .* a list"),
        ({"limits": [1.0]}, ConfigError, "a list of 2 values"),
        ({"limits": [float("inf"), 1.0]}, ConfigError, r"limits\[0\]=inf"),
        ({"eos_token_id": [1, "a"]}, ConfigTypeError, r"eos_token_id\[1\]='a'"),
        ({"architectures": "Model"}, ConfigTypeError, "architectures='Model'"),
        ({"problem_type": "regresion"}, ConfigError, "Did you mean 'regression'"),
        ({"torch_dtype": "flaot16"}, ConfigError, "torch_dtype='flaot16' .* 'float16'"),
        ({"num_labels": -1}, ConfigError, "num_labels=-1"),
        ({"num_labels": 10**9}, ConfigError, "num_labels=1000000000"),
        ({"id2label": {"zero": "a"}}, ConfigTypeError, "the key 'zero'"),
        ({"id2label": ["a"]}, ConfigTypeError, r"id2label=\['a'\]"),
        ({"layer_types": ["full_atention"]}, ConfigError, "Did you mean 'full_attention'"),
        ({"layer_types": ["dense"] * 3}, ConfigError, "3 layers where num_hidden_layers=2"),
        ({"num_heads": 3}, ConfigError, "num_heads=3 does not divide hidden_size=16"),
        ({"to_dict": 1}, ConfigError, "'to_dict'"),
        ({"__class__": 1}, ConfigError, "'__class__'"),
        ({"use_return_dict": False}, ConfigError, "'use_return_dict'"),
    ],
)
def test_impossible_values_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        PlainConfig(**arguments)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(error, match=message):
        PlainConfig.from_dict(arguments)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ({"hidden_size": 16.0}, "hidden_size", 16),
        ({"dropout": 0}, "dropout", 0),
        ({"is_decoder": 1}, "is_decoder", True),
        ({"is_decoder": None}, "is_decoder", False),
        ({"limits": [0, float("inf")]}, "limits", (0, float("inf"))),
        ({"eos_token_id": [1, 2]}, "eos_token_id", [1, 2]),
        ({"pad_token_id": -1}, "pad_token_id", -1),
        ({"num_labels": 0}, "num_labels", 0),
        ({"num_hidden_layers": 1, "layer_types": ["dense"]}, "layer_types", ["dense"]),
    ],
)
def test_what_checkpoints_hold_is_accepted(arguments, name, value):
    assert getattr(PlainConfig(**arguments), name) == value


def test_numpy_numbers_become_plain_ones():
    numpy = pytest.importorskip("numpy")
    config = PlainConfig(hidden_size=numpy.int64(8), dropout=numpy.float32(0.5))
    assert type(config.hidden_size) is int
    assert json.loads(config.to_json_string())["dropout"] == 0.5


def test_later_assignments_are_checked_too():
    config = PlainConfig()
    with pytest.raises(ConfigError, match="vocab_size=0"):
        config.vocab_size = 0
    config.num_heads = 5
    with pytest.raises(ConfigError, match="does not divide"):
        config.validate()


def test_a_config_that_became_invalid_is_not_saved(tmp_path):
    config = PlainConfig()
    config.num_heads = 5
    with pytest.raises(ConfigError, match="does not divide"):
        config.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_contradicting_names_of_one_setting_warn(caplog):
    assert PlainConfig(hidden_size=8, n_embd=4).hidden_size == 4
    assert "'n_embd' and 'hidden_size' are one setting" in caplog.text


# --- labels ---


def test_labels_have_integer_keys_and_follow_their_number(caplog):
    config = PlainConfig(id2label={"0": "a", "1": "b", "2": "c"}, num_labels=2)
    assert config.id2label == {0: "a", 1: "b", 2: "c"}
    assert config.num_labels == 3
    assert "num_labels=2" in caplog.text
    config.num_labels = 2
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1}
    config.label2id = {"x": 0, "y": 1}
    config.num_labels = 2
    assert config.label2id == {"x": 0, "y": 1}


def test_contradicting_labels_in_arguments_are_refused():
    with pytest.raises(ConfigError, match="num_labels=3 contradicts id2label"):
        PlainConfig.from_dict({}, num_labels=3, id2label={0: "a"})


def test_arguments_replace_the_labels_of_a_file():
    saved = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    assert PlainConfig.from_dict(saved, num_labels=5).num_labels == 5
    assert PlainConfig.from_dict(saved, id2label={0: "z"}).label2id == {"z": 0}


# --- data types ---


def test_data_types_are_kept_by_name_and_read_as_torch_has_them():
    torch = pytest.importorskip("torch")
    for value in (torch.float16, "float16", "torch.float16", "half"):
        config = PlainConfig(torch_dtype=value)
        assert config.torch_dtype is config.dtype is torch.float16
        assert config.to_dict()["torch_dtype"] == "float16"
    config.dtype = "bfloat16"
    assert config.torch_dtype is torch.bfloat16
    assert PlainConfig(dtype="float32").torch_dtype is torch.float32
    assert PlainConfig().torch_dtype is None
    assert PlainConfig.from_dict({"torch_dtype": "float32"}, dtype="float64").dtype is torch.float64
    assert "torch.float16" not in PlainConfig(mine={"x": torch.float16}).to_json_string()


def test_reading_and_writing_configs_needs_no_torch(tmp_path):
    PlainConfig(torch_dtype="bfloat16", hidden_size=8).save_pretrained(tmp_path)
    code = f"""
import sys
from dovetail.configs import PretrainedConfig
config = PretrainedConfig.from_pretrained({str(tmp_path)!r}, num_labels=3)
config.save_pretrained({str(tmp_path / "again")!r})
repr(config), config.to_dict()
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- nested configs ---


def test_nested_configs_are_built_from_objects_and_defaults():
    config = NestedConfig(text_config={"hidden_size": 8}, other=RotaryConfig(5))
    assert isinstance(config.text_config, PlainConfig)
    assert config.text_config.num_heads == 2
    assert config.other.vocab_size == 5
    assert isinstance(NestedConfig().text_config, PlainConfig)
    assert config.get_text_config() is config.text_config


def test_nested_errors_name_the_part():
    with pytest.raises(ConfigError, match="NestedConfig, in text_config: PlainConfig: vocab_size="):
        NestedConfig(text_config={"vocab_size": -1})
    with pytest.raises(ConfigTypeError, match="text_config must be an object"):
        NestedConfig(text_config="plain")


def test_nested_configs_write_what_differs():
    written = json.loads(NestedConfig(text_config={"hidden_size": 8}).to_json_string())
    assert written["text_config"] == {"hidden_size": 8, "model_type": "plain", "num_heads": 2}
    assert written["other"] == {"model_type": "rotary"}
    full = NestedConfig().to_dict()
    assert full["text_config"]["vocab_size"] == 100
    assert "transformers_version" not in full["text_config"]


def test_a_part_reads_itself_from_the_whole(tmp_path):
    NestedConfig(text_config={"hidden_size": 8}).save_pretrained(tmp_path)
    assert PartConfig.from_pretrained(tmp_path).hidden_size == 8


def test_text_config_must_be_unambiguous():
    config = PlainConfig(decoder=PlainConfig(), text_encoder=PlainConfig())
    with pytest.raises(ValueError, match="several text configs"):
        config.get_text_config()
    assert config.get_text_config(decoder=True) is config.decoder
    assert PlainConfig().get_text_config().model_type == "plain"


def test_attention_implementation_reaches_the_parts():
    config = NestedConfig(attn_implementation="eager")
    assert config._attn_implementation == config.text_config._attn_implementation == "eager"
    config._attn_implementation = {"": "sdpa", "text_config": "flex_attention"}
    assert config._attn_implementation == config.other._attn_implementation == "sdpa"
    assert config.text_config._attn_implementation == "flex_attention"
    assert PlainConfig()._attn_implementation is None


# --- writing and reading ---


@pytest.mark.parametrize("cls", CLASSES)
def test_configs_survive_saving(cls, tmp_path):
    config = cls(num_labels=3, torch_dtype="float16", architectures=["X"], extra=[1, {"y": 2}])
    config.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    again = cls.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert cls.from_json_file(tmp_path / "config.json").to_dict() == config.to_dict()
    assert cls.from_dict(config.to_dict()).to_dict() == config.to_dict()
    assert cls.from_dict(config.to_diff_dict()).to_dict() == config.to_dict()


def test_file_format():
    text = PlainConfig(dropout=0.5, num_labels=3).to_json_string()
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "dropout": 0.5,
        "hidden_size": 16,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
        "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
        "layer_types": None,
        "limits": [0.0, float("inf")],
        "model_type": "plain",
        "n_layer": 2,
        "num_heads": 4,
        "pad_token_id": 0,
        "sizes": [1, 2],
        "transformers_version": "4.46.3",
        "vocab_size": 100,
    }
    assert text.index('"dropout"') < text.index('"hidden_size"')
    assert json.loads(PretrainedConfig().to_json_string()) == {"transformers_version": "4.46.3"}


def test_full_dictionary_of_the_base():
    values = PretrainedConfig().to_dict()
    assert values.keys() - GENERATION_DEFAULTS.keys() == {
        "_name_or_path",
        "add_cross_attention",
        "architectures",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "eos_token_id",
        "finetuning_task",
        "id2label",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "prefix",
        "problem_type",
        "pruned_heads",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_bfloat16",
    }
    assert {name: values[name] for name in GENERATION_DEFAULTS} == GENERATION_DEFAULTS


def test_arguments_replace_values_of_the_file(tmp_path):
    PlainConfig(hidden_size=8, num_heads=8, flavour=1).save_pretrained(tmp_path)
    config, unused = PlainConfig.from_pretrained(
        tmp_path,
        n_embd=24,
        num_heads=6,
        flavour=2,
        torch_dtype="float16",
        colour="red",
        return_unused_kwargs=True,
    )
    assert (config.hidden_size, config.num_heads, config.flavour) == (24, 6, 2)
    assert not hasattr(config, "colour")
    assert unused == {"colour": "red", "torch_dtype": "float16"}


def test_reading_another_models_config_warns(tmp_path, caplog):
    RotaryConfig().save_pretrained(tmp_path)
    PlainConfig.from_pretrained(tmp_path)
    assert "'rotary', which is read as 'plain'" in caplog.text


def test_get_config_dict_returns_the_rest(tmp_path):
    PlainConfig().save_pretrained(tmp_path)
    values, rest = PlainConfig.get_config_dict(tmp_path, revision="main", mine=1)
    assert values["model_type"] == "plain"
    assert rest == {"mine": 1}


def test_a_config_file_may_be_named_itself(tmp_path):
    PlainConfig(vocab_size=9).save_pretrained(tmp_path)
    assert PlainConfig.from_pretrained(tmp_path / "config.json").vocab_size == 9
    (tmp_path / "part").mkdir()
    PlainConfig(vocab_size=8).save_pretrained(tmp_path / "part")
    assert PlainConfig.from_pretrained(tmp_path, subfolder="part").vocab_size == 8


def test_the_newest_file_for_this_format_is_read(tmp_path):
    for name, size in (("config", 1), ("config.4.0.0", 2), ("config.4.40.0", 3), ("config.9", 4)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"vocab_size": size}))
    listed = ["config.4.0.0.json", "config.4.40.0.json", "config.9.json", "other.txt"]
    (tmp_path / "config.json").write_text(json.dumps({"configuration_files": listed}))
    assert PlainConfig.from_pretrained(tmp_path).vocab_size == 3


def test_generation_settings_are_told_apart(tmp_path):
    config = PlainConfig(max_length=5, top_k=3, num_beams=None)
    assert config._get_non_default_generation_parameters() == {"max_length": 5, "top_k": 3}
    with pytest.warns(UserWarning, match="model.generation_config"):
        config.save_pretrained(tmp_path)
    assert PlainConfig.from_pretrained(tmp_path).max_length == 5
    assert PlainConfig()._get_non_default_generation_parameters() == {}


def test_values_without_json_form_are_refused(tmp_path):
    config = PlainConfig(thing=object())
    with pytest.raises(ConfigTypeError, match="JSON has no form for"):
        config.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saving_into_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        PlainConfig().save_pretrained(tmp_path / "file")


# --- the two spellings of rotary settings ---

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_rope_parameters_of_newer_files_become_fields():
    config = RotaryConfig(rope_parameters={"rope_theta": 5e5, **LLAMA3})
    assert (config.rope_theta, config.rope_scaling) == (5e5, LLAMA3)
    assert config.rope_parameters == {"rope_theta": 5e5, **LLAMA3}
    assert "rope_parameters" not in config.to_dict()
    plain = RotaryConfig(rope_parameters={"rope_theta": 1e6, "rope_type": "default"})
    assert (plain.rope_theta, plain.rope_scaling) == (1e6, None)
    assert plain.rope_parameters == {"rope_theta": 1e6, "rope_type": "default"}
    plain.rope_parameters = {"rope_theta": 7.0, "rope_type": "linear", "factor": 2.0}
    assert plain.rope_theta == 7.0
    assert plain.rope_scaling["factor"] == 2.0
    assert not hasattr(PlainConfig(), "rope_parameters")


def test_rope_parameters_for_each_kind_of_layer():
    class LocalConfig(RotaryConfig):
        rope_local_base_freq: PositiveFloat = 1e4

    config = LocalConfig(
        rope_parameters={
            "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
            "sliding_attention": {"rope_theta": 5e3, "rope_type": "default"},
        }
    )
    assert (config.rope_theta, config.rope_local_base_freq) == (1e6, 5e3)
    assert config.rope_scaling == {"rope_type": "linear", "factor": 8.0}


def test_arguments_win_over_either_spelling():
    saved = {"rope_parameters": {"rope_theta": 5e5, **LLAMA3}}
    config = RotaryConfig.from_dict(saved, rope_theta=3.0)
    assert (config.rope_theta, config.rope_scaling) == (3.0, LLAMA3)
    saved = {"rope_theta": 1.0, "rope_scaling": None}
    config = RotaryConfig.from_dict(saved, rope_parameters={"rope_theta": 2.0})
    assert config.rope_theta == 2.0


def test_older_names_of_scaling_types():
    config = RotaryConfig(rope_scaling={"type": "linear", "factor": 2.0})
    assert config.rope_scaling == {"type": "linear", "factor": 2.0, "rope_type": "linear"}
    su = RotaryConfig(rope_scaling={"type": "su", "short_factor": [1.0], "long_factor": [2.0]})
    assert su.rope_scaling["rope_type"] == "longrope"


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"rope_type": "linaer", "factor": 2.0}, "Did you mean 'linear'"),
        ({"rope_type": ["linear"]}, r"rope_scaling\['rope_type'\]"),
        ({"rope_type": "linear"}, "needs 'factor'"),
        ({"rope_type": "linear", "factor": 0.5}, "at least 1"),
        ({"rope_type": "linear", "factor": "2"}, r"rope_scaling\['factor'\]='2'"),
        ({"rope_type": "linear", "factor": float("nan")}, "nan"),
        ({"rope_type": "llama3", "factor": 2.0}, "needs 'original_max_position_embeddings'"),
        ({**LLAMA3, "low_freq_factor": 5.0}, "must be less than"),
        ({"rope_type": "longrope", "short_factor": 1.0, "long_factor": [1.0]}, "a list"),
        ("linear", "rope_scaling='linear'"),
    ],
)
def test_impossible_scalings_are_refused(scaling, message):
    with pytest.raises(ConfigError, match=message):
        RotaryConfig(rope_scaling=scaling)


# --- behaving as an object ---


def test_equality_copies_and_pickles():
    config = PlainConfig(hidden_size=8, flavour=[1])
    for other in (
        copy.deepcopy(config),
        copy.copy(config),
        pickle.loads(pickle.dumps(config)),
        PlainConfig(hidden_size=8, flavour=[1]),
    ):
        assert other == config
    assert config != PlainConfig()
    assert config != {"hidden_size": 8}
    copied = copy.deepcopy(config)
    copied.flavour.append(2)
    assert config.flavour == [1]
    with pytest.raises(TypeError, match="unhashable"):
        hash(config)


def test_representation_is_the_file():
    config = PlainConfig(hidden_size=8)
    assert repr(config) == f"PlainConfig {config.to_json_string()}"


def test_return_dict_and_torchscript():
    assert PlainConfig().use_return_dict
    assert not PlainConfig(return_dict=False).use_return_dict
    assert not PlainConfig(torchscript=True).use_return_dict


def test_updates():
    config = PlainConfig(flavour="mint")
    config.update({"hidden_size": 8, "colour": "red"})
    assert (config.n_embd, config.colour) == (8, "red")
    config.update_from_string("n_embd=12,dropout=0.5,is_decoder=yes,flavour=sage")
    assert (config.n_embd, config.dropout, config.is_decoder) == (12, 0.5, True)
    assert config.flavour == "sage"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("hidden_sise=3", ValueError, "Did you mean 'hidden_size'"),
        ("hidden_size", ValueError, "no key 'hidden_size' to update"),
        ("hidden_size=x", TypeError, "hidden_size='x'"),
        ("is_decoder=maybe", ValueError, "true or false"),
        ("sizes=3", TypeError, "only bool, int, float and str"),
        ("hidden_size=0", ValueError, "hidden_size=0"),
    ],
)
def test_impossible_updates(text, error, message):
    with pytest.raises(error, match=message):
        PlainConfig().update_from_string(text)


def test_name_or_path_is_text(tmp_path):
    config = PlainConfig(name_or_path=tmp_path)
    assert config.name_or_path == config._name_or_path == str(tmp_path)
    assert config.to_dict()["_name_or_path"] == str(tmp_path)


def test_the_signature_may_call_a_field_by_its_alias():
    class Renamed(PretrainedConfig):
        model_type = "renamed"
        attribute_map: ClassVar = {"hidden_size": "d_model"}
        argument_names: ClassVar = {"d_model": "hidden_size"}
        d_model: int = 8

    assert list(inspect.signature(Renamed).parameters) == ["hidden_size", "kwargs"]
    for config in (Renamed(16), Renamed(hidden_size=16), Renamed(d_model=16)):
        assert (config.d_model, config.hidden_size) == (16, 16)
        assert config.to_dict()["d_model"] == 16
        assert "hidden_size" not in config.to_dict()
