"""`GenerationConfig`: fields, ranges, contradictions, idle settings, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from dovetail.configs import PretrainedConfig
from dovetail.errors import ConfigError, GenerationError, HubError
from dovetail.generation import GenerationConfig
from dovetail.generation.configuration import DEFAULTS, GenerationMode

FIELDS = {
    "assistant_confidence_threshold": 0.4, "bad_words_ids": None, "begin_suppress_tokens": None,
    "bos_token_id": None, "cache_config": None, "cache_implementation": None, "constraints": None,
    "decoder_start_token_id": None, "diversity_penalty": 0.0, "do_sample": False,
    "dola_layers": None,
    "early_stopping": False, "encoder_no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0,
    "eos_token_id": None, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None, "force_words_ids": None, "forced_bos_token_id": None,
    "forced_decoder_ids": None, "forced_eos_token_id": None, "generation_kwargs": {},
    "guidance_scale": None, "is_assistant": False, "length_penalty": 1.0, "low_memory": None,
    "max_length": 20, "max_matching_ngram_size": None, "max_new_tokens": None, "max_time": None,
    "min_length": 0, "min_new_tokens": None, "min_p": None, "no_repeat_ngram_size": 0,
    "num_assistant_tokens": 20, "num_assistant_tokens_schedule": "constant", "num_beam_groups": 1,
    "num_beams": 1, "num_return_sequences": 1, "output_attentions": False,
    "output_hidden_states": False, "output_logits": None, "output_scores": False,
    "pad_token_id": None, "penalty_alpha": None, "prompt_lookup_num_tokens": None,
    "remove_invalid_values": False, "renormalize_logits": False, "repetition_penalty": 1.0,
    "return_dict_in_generate": False, "return_legacy_cache": None, "sequence_bias": None,
    "stop_strings": None, "suppress_tokens": None, "temperature": 1.0, "token_healing": False,
    "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "use_cache": True, "watermarking_config": None,
}  # fmt: skip


OURS = {  # of later releases, and for texts of a given form
    "assistant_early_exit", "assistant_lookbehind", "target_lookbehind",
    "json_schema", "regex", "grammar", "prefill_chunk_size",
}  # fmt: skip


def test_every_field_has_the_default_of_the_field() -> None:
    assert {name: DEFAULTS[name] for name in FIELDS} == FIELDS
    assert DEFAULTS.keys() - FIELDS.keys() == OURS
    config = GenerationConfig()
    assert {name: getattr(config, name) for name in FIELDS} == FIELDS


def test_imports_no_torch() -> None:
    code = "import sys; from dovetail.generation import GenerationConfig as G; G(max_new_tokens=3)"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_round_trip_through_a_file_writes_only_what_differs(tmp_path: Path) -> None:
    config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        eos_token_id=[2, 3],
        sequence_bias={(1, 2): -2.0},
        foo="bar",
    )
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    assert written.pop("transformers_version")
    assert written == {
        "do_sample": True,
        "temperature": 0.7,
        "eos_token_id": [2, 3],
        "sequence_bias": [[[1, 2], -2.0]],
        "foo": "bar",
    }
    loaded = GenerationConfig.from_pretrained(tmp_path)
    assert loaded.foo == "bar"
    assert loaded.temperature == 0.7
    assert GenerationConfig.from_pretrained(tmp_path / "generation_config.json") == loaded


def test_keywords_override_the_file(tmp_path: Path) -> None:
    GenerationConfig(max_new_tokens=5).save_pretrained(tmp_path, config_file_name="other.json")
    config, unused = GenerationConfig.from_pretrained(
        tmp_path, "other.json", max_new_tokens=6, top_k=7, do_sample=True, return_unused_kwargs=True
    )
    assert (config.max_new_tokens, config.top_k) == (6, 7)
    assert unused == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ("[1]", "array"), ('{"top_p": 3}', "top_p=3")],
)
def test_damaged_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises((ConfigError, GenerationError), match=message):
        GenerationConfig.from_pretrained(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"generation_config\.json"):
        GenerationConfig.from_pretrained(tmp_path)


def test_nothing_misleading_is_saved(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = GenerationConfig(temperature=0.5)
    with pytest.raises(GenerationError, match=r"temperature=0\.5 has no effect.*Fix these issues"):
        config.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


IDLE: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 0.5}, "temperature=0.5 has no effect: it applies to sampling"),
    ({"top_p": 0.5}, "top_p=0.5"),
    ({"top_k": 5}, "top_k=5"),
    ({"length_penalty": 2.0}, "length_penalty=2.0 has no effect: it applies to beam search"),
    ({"early_stopping": True}, "early_stopping=True"),
    ({"output_scores": True}, "output_scores=True has no effect: return_dict_in_generate is False"),
    ({"use_cache": False, "cache_implementation": "static"}, "cache_implementation='static'"),
    ({"pad_token_id": -1}, "pad_token_id=-1 is negative"),
]


@pytest.mark.parametrize(("settings", "message"), IDLE)
def test_settings_without_effect_are_warned_about(settings: dict[str, Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message) as caught:
        GenerationConfig(**settings)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_an_update_warns_about_what_it_sets_alone() -> None:
    config = GenerationConfig(do_sample=True, temperature=0.5)
    assert config.update(do_sample=False, unknown=1) == {"unknown": 1}
    with pytest.warns(UserWarning, match=r"top_p=0\.5"):
        config.update(top_p=0.5)


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, "greedy_search"),
        ({"do_sample": True}, "sample"),
        ({"num_beams": 2}, "beam_search"),
        ({"num_beams": 2, "do_sample": True}, "beam_sample"),
        ({"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1.0}, "group_beam_search"),
        ({"num_beams": 2, "force_words_ids": [[1]]}, "constrained_beam_search"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive_search"),
        ({"prompt_lookup_num_tokens": 3}, "assisted_generation"),
        ({"dola_layers": "high"}, "dola_generation"),
    ],
)
def test_settings_choose_the_mode(settings: dict[str, Any], mode: str) -> None:
    assert GenerationConfig(**settings).get_generation_mode() == GenerationMode(mode)
    assert GenerationConfig(**settings).get_generation_mode() == mode


def test_an_assistant_chooses_assisted_generation() -> None:
    assert GenerationConfig().get_generation_mode(object()) == "assisted_generation"


@pytest.mark.parametrize("name", ["logits_processor", "streamer", "assistant_model"])
def test_arguments_of_a_call_are_no_settings(name: str) -> None:
    with pytest.raises(GenerationError, match=f"{name} is no setting"):
        GenerationConfig(**{name: 1})


def test_contradictions_name_both_settings() -> None:
    for settings, message in (
        ({"num_beams": 4, "num_beam_groups": 2}, "num_beam_groups=2 needs a diversity_penalty"),
        (
            {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True},
            "do_sample=True cannot be combined with groups",
        ),
        (
            {"num_beams": 2, "constraints": [1], "do_sample": True},
            "do_sample=True cannot be combined",
        ),
        ({"cache_config": {}}, "cache_config is set without cache_implementation"),
    ):
        with pytest.raises(GenerationError, match=message):
            GenerationConfig(**settings)


def test_what_a_model_config_says_about_generation() -> None:
    model_config = PretrainedConfig(
        eos_token_id=7,
        bos_token_id=1,
        max_length=33,
        num_beams=4,
        length_penalty=2.0,
        hidden_size=3,
    )
    config = GenerationConfig.from_model_config(model_config)
    assert (config.eos_token_id, config.max_length, config.num_beams) == (7, 33, 4)
    assert not hasattr(config, "hidden_size")
    assert config._from_model_config


def test_equality_hash_and_repr() -> None:
    one, other = GenerationConfig(max_new_tokens=3), GenerationConfig(max_new_tokens=3)
    assert one == other
    assert hash(one) == hash(other)
    assert one != GenerationConfig(max_new_tokens=4)
    assert repr(one) == 'GenerationConfig {\n  "max_new_tokens": 3\n}\n'


def test_saving_can_upload_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(
        GenerationConfig, "_upload_folder", lambda *args, **kw: calls.append((args, kw))
    )
    config = GenerationConfig(max_new_tokens=3)
    config.save_pretrained(tmp_path, push_to_hub=True, repo_id="me/mine")
    assert calls == [((config, tmp_path, ["generation_config.json"]), {"repo_id": "me/mine"})]
