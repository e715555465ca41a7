"""The auto classes: from a checkpoint, a config or a name to a class."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.core.tiny import (
    TinyConfig,
    TinyForCausalLM,
    TinyForSequenceClassification,
    TinyModel,
    equal_states,
    tiny,
)

import dovetail
from dovetail import auto, registry
from dovetail.auto import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_MAPPING,
    MODEL_NAMES_MAPPING,
    TOKENIZER_MAPPING,
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
)
from dovetail.configs import PretrainedConfig
from dovetail.declarations import ModelDeclaration
from dovetail.errors import (
    ConfigError,
    HubError,
    MissingPluginError,
    PluginConflictError,
    RemoteCodeError,
    UnknownNameError,
)

HERE = "tests.core.test_auto:"
TINY = "tests.core.tiny:"


class Part:
    """Stands for anything that has `from_pretrained`."""

    def __init__(self, path: Any, kwargs: Any) -> None:
        self.path, self.kwargs = path, kwargs

    @classmethod
    def from_pretrained(cls, path: Any, *inputs: Any, **kwargs: Any) -> Any:
        return cls(path, kwargs)


class TinyTokenizer(Part):
    pass


class TinyImageProcessor(Part):
    pass


class TinyImageProcessorFast(Part):
    pass


class TinyFeatureExtractor(Part):
    pass


class TinyProcessor(Part):
    pass


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    declaration = ModelDeclaration(
        TinyConfig.model_type,
        f"{TINY}TinyConfig",
        {
            "AutoModel": f"{TINY}TinyModel",
            "AutoModelForCausalLM": f"{TINY}TinyForCausalLM",
            "AutoModelForSequenceClassification": f"{TINY}TinyForSequenceClassification",
        },
        tokenizer=f"{HERE}TinyTokenizer",
        image_processor=f"{HERE}TinyImageProcessor",
        feature_extractor=f"{HERE}TinyFeatureExtractor",
        processor=f"{HERE}TinyProcessor",
        aliases={
            "TinyTokenizerFast": f"{HERE}TinyTokenizer",
            "TinyImageProcessorFast": f"{HERE}TinyImageProcessorFast",
        },
    )
    before = {slot: dict(table) for slot, table in auto.mapping._registered.items()}
    added = dict(registry.models()._added)
    registry.models().add(declaration)
    yield
    auto.mapping._registered.clear()
    auto.mapping._registered.update(before)
    registry.models()._added.clear()
    registry.models()._added.update(added)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def put(folder: Path, name: str, content: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


class TestConfig:
    def test_from_folder_and_file(self, saved: Path) -> None:
        for source in (saved, str(saved), saved / "config.json"):
            config = AutoConfig.from_pretrained(source)
            assert type(config) is TinyConfig
            assert config.vocab_size == 20

    def test_settings_and_unused_arguments(self, saved: Path) -> None:
        config, unused = AutoConfig.from_pretrained(
            saved, vocab_size=7, other=1, return_unused_kwargs=True
        )
        assert config.vocab_size == 7
        assert unused == {"other": 1}

    def test_for_model(self) -> None:
        assert AutoConfig.for_model("tiny-for-tests", hidden_size=4).hidden_size == 4

    def test_near_matches(self) -> None:
        with pytest.raises(ValueError, match="Did you mean 'tiny-for-tests'"):
            AutoConfig.for_model("tiny-for-test")

    def test_known_but_not_installed(self, tmp_path: Path) -> None:
        put(tmp_path, "config.json", {"model_type": "wav2vec2-conformer"})
        with pytest.raises(MissingPluginError, match=r"wav2vec2-conformer.*dovetail"):
            AutoConfig.from_pretrained(tmp_path)

    def test_unknown_type(self, tmp_path: Path) -> None:
        put(tmp_path, "config.json", {"model_type": "no-such-thing"})
        with pytest.raises(UnknownNameError, match="no model type 'no-such-thing'"):
            AutoConfig.from_pretrained(tmp_path)

    @pytest.mark.parametrize("model_type", [None, "", 3, ["llama"]])
    def test_no_type(self, model_type: Any, tmp_path: Path) -> None:
        folder = tmp_path / "nameless"
        put(folder, "config.json", {"model_type": model_type})
        with pytest.raises(ConfigError, match="model_type"):
            AutoConfig.from_pretrained(folder)

    def test_an_old_file_without_type_is_taken_by_its_name(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(tmp_path / "my-tiny-for-tests-base", "config.json", {"vocab_size": 9})
        with caplog.at_level("WARNING", logger="dovetail"):
            config = AutoConfig.from_pretrained(tmp_path / "my-tiny-for-tests-base")
        assert type(config) is TinyConfig
        assert "because of its name" in caplog.text

    def test_register(self) -> None:
        class NewConfig(PretrainedConfig):
            model_type = "new-for-tests"

        AutoConfig.register("new-for-tests", NewConfig)
        assert type(AutoConfig.for_model("new-for-tests")) is NewConfig
        with pytest.raises(ValueError, match="exist_ok=True"):
            AutoConfig.register("new-for-tests", NewConfig)
        AutoConfig.register("new-for-tests", NewConfig, exist_ok=True)
        with pytest.raises(ValueError, match="Make them equal"):
            AutoConfig.register("other", NewConfig)

    def test_register_over_an_architecture_keeps_its_models(self) -> None:
        class TinyConfig(PretrainedConfig):
            model_type = "tiny-for-tests"

        AutoConfig.register("tiny-for-tests", TinyConfig, exist_ok=True)
        assert type(AutoConfig.for_model("tiny-for-tests")) is TinyConfig
        assert AutoModel._model_mapping[TinyConfig] is TinyModel

    def test_never_instantiated(self) -> None:
        for cls in (AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, AutoProcessor):
            with pytest.raises(OSError, match="from_pretrained"):
                cls()


class TestModels:
    def test_from_pretrained(self, saved: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(saved)
        assert type(model) is TinyForCausalLM
        assert equal_states(model, tiny())
        assert type(AutoModel.from_pretrained(saved)) is TinyModel
        assert type(AutoModelForCausalLM.from_pretrained(saved / "model.safetensors")) is (
            TinyForCausalLM
        )

    def test_arguments_reach_config_and_loading(self, saved: Path) -> None:
        model, info = AutoModelForSequenceClassification.from_pretrained(
            saved,
            num_labels=4,
            torch_dtype="auto",
            attn_implementation="eager",
            output_loading_info=True,
        )
        assert type(model) is TinyForSequenceClassification
        assert model.config.num_labels == 4
        assert model.config._attn_implementation == "eager"
        assert info["unexpected_keys"] == ["lm_head.weight"]
        half = AutoModel.from_pretrained(saved, torch_dtype=torch.float16)
        assert half.dtype == torch.float16
        assert half.config.torch_dtype == torch.float32

    def test_given_config(self, saved: Path) -> None:
        config = TinyConfig(vocab_size=30)
        model = AutoModel.from_pretrained(saved, config=config, ignore_mismatched_sizes=True)
        assert model.embed_tokens.weight.shape == (30, 8)
        assert type(AutoModel.from_pretrained(saved, config=saved)) is TinyModel

    def test_bogus_argument(self, saved: Path) -> None:
        with pytest.raises(TypeError, match="bogus"):
            AutoModel.from_pretrained(saved, bogus=1)

    def test_from_config(self) -> None:
        config = TinyConfig()
        model = AutoModel.from_config(config, torch_dtype=torch.float64)
        assert type(model) is TinyModel
        assert model.dtype == torch.float64

    def test_no_such_head(self, saved: Path) -> None:
        with pytest.raises(ValueError, match="It has AutoModel, AutoModelForCausalLM"):
            AutoModelForMaskedLM.from_pretrained(saved)

    def test_missing_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(HubError, match="no folder on this machine"):
            AutoModel.from_pretrained(tmp_path / "nowhere")

    def test_register(self, saved: Path) -> None:
        class NewConfig(PretrainedConfig):
            model_type = "new-for-tests"

        class NewModel(TinyModel):
            config_class = NewConfig

        AutoModel.register(NewConfig, NewModel)
        assert MODEL_MAPPING[NewConfig] is NewModel
        assert NewConfig in MODEL_MAPPING
        assert NewConfig in list(MODEL_MAPPING)
        with pytest.raises(PluginConflictError, match="exist_ok=True"):
            AutoModel.register(NewConfig, NewModel)
        AutoModel.register(NewConfig, NewModel, exist_ok=True)
        with pytest.raises(ValueError, match="config_class is NewConfig"):
            AutoModel.register(TinyConfig, NewModel)
        with pytest.raises(ValueError, match="already has a class"):
            AutoModelForCausalLM.register(TinyConfig, TinyForCausalLM)

    def test_subclassed_configs(self) -> None:
        class Sub(TinyConfig):
            pass

        class SubWithType(TinyConfig):
            model_type = "tiny-sub"

        assert type(AutoModel.from_config(Sub())) is TinyModel
        assert type(AutoModel.from_config(SubWithType())) is TinyModel

    def test_anothers_config_of_a_known_type(self) -> None:
        class Foreign(PretrainedConfig):
            model_type = "tiny-for-tests"

        with pytest.raises(ConfigError, match="no class for Foreign"):
            AutoModel.from_config(Foreign())

    def test_superseded_class(self) -> None:
        with (
            pytest.warns(FutureWarning, match="superseded"),
            pytest.raises(ConfigError, match="AutoModelWithLMHead has no class"),
        ):
            dovetail.AutoModelWithLMHead.from_config(TinyConfig())


class TestMappings:
    def test_configs(self) -> None:
        assert CONFIG_MAPPING["tiny-for-tests"] is TinyConfig
        assert "tiny-for-tests" in CONFIG_MAPPING
        assert len(CONFIG_MAPPING) == len(list(CONFIG_MAPPING))
        assert auto.CONFIG_MAPPING_NAMES["tiny-for-tests"] == "TinyConfig"
        assert MODEL_NAMES_MAPPING["tiny-for-tests"] == "Tiny"
        with pytest.raises(KeyError):
            CONFIG_MAPPING["tiny-for-test"]

    def test_models(self) -> None:
        assert MODEL_FOR_CAUSAL_LM_MAPPING[TinyConfig] is TinyForCausalLM
        assert MODEL_FOR_CAUSAL_LM_MAPPING.get(PretrainedConfig) is None
        assert auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES["tiny-for-tests"] == "TinyForCausalLM"
        assert "tiny-for-tests" not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
        with pytest.raises(AttributeError):
            auto.MODEL_FOR_NOTHING_MAPPING_NAMES  # noqa: B018

    def test_pairs(self) -> None:
        assert TOKENIZER_MAPPING[TinyConfig] == (TinyTokenizer, TinyTokenizer)
        assert auto.IMAGE_PROCESSOR_MAPPING[TinyConfig] == (TinyImageProcessor, None)
        assert auto.PROCESSOR_MAPPING[TinyConfig] is TinyProcessor
        assert auto.FEATURE_EXTRACTOR_MAPPING[TinyConfig] is TinyFeatureExtractor

    def test_every_mapping_of_the_field_is_public(self) -> None:
        for name in auto.__all__:
            if not name.endswith("_NAMES") and not name.startswith("get_"):
                assert getattr(dovetail, name) is getattr(auto, name)


class TestTokenizer:
    def test_by_its_own_settings(self, tmp_path: Path) -> None:
        for name in ("TinyTokenizer", "TinyTokenizerFast"):
            put(tmp_path, "tokenizer_config.json", {"tokenizer_class": name})
            found = AutoTokenizer.from_pretrained(tmp_path, use_fast=False, padding_side="left")
            assert type(found) is TinyTokenizer
            assert found.kwargs == {"padding_side": "left"}

    def test_by_config(self, saved: Path) -> None:
        assert type(AutoTokenizer.from_pretrained(saved)) is TinyTokenizer
        put(saved, "config.json", {"model_type": "no-such", "tokenizer_class": "TinyTokenizer"})
        assert type(AutoTokenizer.from_pretrained(saved)) is TinyTokenizer

    def test_by_argument(self, tmp_path: Path) -> None:
        found = AutoTokenizer.from_pretrained(tmp_path, tokenizer_type="tiny-for-tests")
        assert type(found) is TinyTokenizer
        found = AutoTokenizer.from_pretrained(tmp_path, config=TinyConfig())
        assert type(found) is TinyTokenizer

    @pytest.mark.parametrize("name", ["OfNobodyTokenizer", "Path", "os.system", "LlamaForCausalLM"])
    def test_names_of_nobody(self, name: str, tmp_path: Path) -> None:
        put(tmp_path, "tokenizer_config.json", {"tokenizer_class": name})
        with pytest.raises(UnknownNameError, match=f"asks for '{name}'"):
            AutoTokenizer.from_pretrained(tmp_path)

    def test_a_class_of_a_package_that_is_not_installed(self, tmp_path: Path) -> None:
        put(tmp_path, "tokenizer_config.json", {"tokenizer_class": "SpeechT5Tokenizer"})
        with pytest.raises(MissingPluginError, match=r"pip install .*dovetail\[audio\]"):
            AutoTokenizer.from_pretrained(tmp_path)

    def test_the_generic_one_reads_tokenizer_json(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel

        Tokenizer(WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
        for name in ("OfNobodyTokenizer", "TokenizersBackend", "PreTrainedTokenizerFast"):
            put(tmp_path, "tokenizer_config.json", {"tokenizer_class": name})
            caplog.clear()
            with caplog.at_level("WARNING", logger="dovetail"):
                found = AutoTokenizer.from_pretrained(tmp_path)
            assert type(found).__name__ == "PreTrainedTokenizerFast"
            assert ("read without that class" in caplog.text) == (name == "OfNobodyTokenizer")
        (tmp_path / "tokenizer_config.json").unlink()
        assert len(AutoTokenizer.from_pretrained(tmp_path)) == 1

    def test_the_part_of_a_composite(self, tmp_path: Path) -> None:
        class Composite(PretrainedConfig):
            model_type = "composite-for-tests"

        config = Composite()
        config.encoder = TinyConfig()
        assert type(AutoTokenizer.from_pretrained(tmp_path, config=config)) is TinyTokenizer

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(HubError, match="neither a file that names its tokenizer nor"):
            AutoTokenizer.from_pretrained(tmp_path)

    def test_register(self, saved: Path) -> None:
        class NewConfig(PretrainedConfig):
            model_type = "new-for-tests"

        class NewTokenizer(Part):
            pass

        AutoConfig.register("new-for-tests", NewConfig)
        AutoTokenizer.register(NewConfig, fast_tokenizer_class=NewTokenizer)
        assert TOKENIZER_MAPPING[NewConfig] == (None, NewTokenizer)
        put(saved, "config.json", {"model_type": "new-for-tests"})
        assert type(AutoTokenizer.from_pretrained(saved)) is NewTokenizer
        put(saved, "tokenizer_config.json", {"tokenizer_class": "NewTokenizer"})
        assert type(AutoTokenizer.from_pretrained(saved)) is NewTokenizer
        with pytest.raises(ConfigError, match="slow_tokenizer_class"):
            AutoTokenizer.register(NewConfig)

    def test_get_tokenizer_config(self, tmp_path: Path) -> None:
        assert auto.get_tokenizer_config(tmp_path) == {}
        put(tmp_path, "tokenizer_config.json", {"a": 1})
        assert auto.get_tokenizer_config(tmp_path) == {"a": 1}


class TestProcessors:
    def test_image_processor(self, saved: Path) -> None:
        assert type(AutoImageProcessor.from_pretrained(saved)) is TinyImageProcessor
        for key, name in (
            ("image_processor_type", "TinyImageProcessor"),
            ("feature_extractor_type", "TinyFeatureExtractor"),
        ):
            put(saved, "preprocessor_config.json", {key: name})
            assert type(AutoImageProcessor.from_pretrained(saved)) is TinyImageProcessor
        fast = AutoImageProcessor.from_pretrained(saved, use_fast=True)
        assert type(fast) is TinyImageProcessorFast

    def test_feature_extractor(self, saved: Path) -> None:
        assert type(AutoFeatureExtractor.from_pretrained(saved)) is TinyFeatureExtractor
        content = {"feature_extractor_type": "TinyFeatureExtractor"}
        put(saved, "preprocessor_config.json", content)
        assert type(AutoFeatureExtractor.from_pretrained(saved)) is TinyFeatureExtractor

    @pytest.mark.parametrize(
        "name", ["processor_config.json", "preprocessor_config.json", "tokenizer_config.json"]
    )
    def test_processor_by_file(self, name: str, tmp_path: Path) -> None:
        put(tmp_path, name, {"processor_class": "TinyProcessor"})
        assert type(AutoProcessor.from_pretrained(tmp_path)) is TinyProcessor

    def test_processor_by_config(self, saved: Path) -> None:
        assert type(AutoProcessor.from_pretrained(saved)) is TinyProcessor

    @pytest.mark.parametrize(
        ("file", "content", "kind"),
        [
            ("tokenizer_config.json", {"tokenizer_class": "TinyTokenizer"}, TinyTokenizer),
            (
                "preprocessor_config.json",
                {"image_processor_type": "TinyImageProcessor"},
                TinyImageProcessor,
            ),
            (
                "preprocessor_config.json",
                {"feature_extractor_type": "TinyFeatureExtractor"},
                TinyFeatureExtractor,
            ),
        ],
    )
    def test_the_part_there_is(self, file: str, content: Any, kind: type, tmp_path: Path) -> None:
        put(tmp_path, file, content)
        assert type(AutoProcessor.from_pretrained(tmp_path)) is kind

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="neither a processor nor a tokenizer"):
            AutoProcessor.from_pretrained(tmp_path)

    def test_register(self) -> None:
        class NewConfig(PretrainedConfig):
            model_type = "new-for-tests"

        AutoProcessor.register(NewConfig, TinyProcessor)
        AutoFeatureExtractor.register(NewConfig, TinyFeatureExtractor)
        AutoImageProcessor.register(NewConfig, TinyImageProcessor)
        assert auto.PROCESSOR_MAPPING[NewConfig] is TinyProcessor
        assert auto.FEATURE_EXTRACTOR_MAPPING[NewConfig] is TinyFeatureExtractor
        assert auto.IMAGE_PROCESSOR_MAPPING[NewConfig] == (TinyImageProcessor, None)
        with pytest.raises(ConfigError, match="image_processor_class"):
            AutoImageProcessor.register(NewConfig)


CODE = """
from dovetail.configs import PretrainedConfig
from tests.core.tiny import TinyConfig as Base, TinyModel as BaseModel

class CustomConfig(Base):
    model_type = "custom-for-tests"

class CustomModel(BaseModel):
    config_class = CustomConfig
"""


class TestRemoteCode:
    @pytest.fixture
    def custom(self, tmp_path: Path) -> Path:
        tiny(cls=TinyModel).save_pretrained(tmp_path / "custom")
        (tmp_path / "custom" / "custom_code.py").write_text(CODE)
        config = json.loads((tmp_path / "custom" / "config.json").read_text())
        config["model_type"] = "custom-for-tests"
        config["auto_map"] = {
            "AutoConfig": "custom_code.CustomConfig",
            "AutoModel": "custom_code.CustomModel",
        }
        put(tmp_path / "custom", "config.json", config)
        return tmp_path / "custom"

    @pytest.mark.parametrize("cls", [AutoConfig, AutoModel])
    def test_refused_without_consent(self, cls: Any, custom: Path) -> None:
        (custom / "custom_code.py").write_text("raise SystemExit('executed')")
        with pytest.raises(RemoteCodeError, match="trust_remote_code=True"):
            cls.from_pretrained(custom)

    def test_used_with_consent(self, custom: Path, tmp_path: Path) -> None:
        model = AutoModel.from_pretrained(custom, trust_remote_code=True)
        assert type(model).__name__ == "CustomModel"
        assert type(model.config).__name__ == "CustomConfig"
        assert equal_states(model, tiny(cls=TinyModel))
        model.save_pretrained(tmp_path / "again")
        assert (tmp_path / "again" / "custom_code.py").is_file()
        again = AutoModel.from_pretrained(tmp_path / "again", trust_remote_code=True)
        assert equal_states(again, model)

    def test_ours_is_preferred_without_consent(self, saved: Path) -> None:
        config = json.loads((saved / "config.json").read_text())
        put(saved, "config.json", config | {"auto_map": {"AutoModel": "evil.Model"}})
        assert type(AutoModel.from_pretrained(saved)) is TinyModel


def test_import_is_light() -> None:
    """The name adds little to torch itself, and imports no model."""
    code = (
        "import sys, time, torch\n"
        "start = time.process_time()\n"
        "from dovetail import AutoModelForCausalLM\n"
        "print(time.process_time() - start)\n"
        "assert not any(name.startswith('dovetail_models') and name.endswith('modeling')\n"
        "               for name in sys.modules)\n"
        "assert 'dovetail.loading' not in sys.modules\n"
    )
    times = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        times.append(float(done.stdout))
    assert min(times) < 0.3
