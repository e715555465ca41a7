"""Distributions of strangers, built as wheels, installed into a fresh environment, used by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[1] / "plugin_sample"


@pytest.fixture(scope="session")
def alone(make_environment):
    """The core and the complete sample."""
    return make_environment(SAMPLES / "fathom")


@pytest.fixture(scope="session")
def crowd(make_environment):
    """The core and all four samples."""
    return make_environment(*(SAMPLES / name for name in ("fathom", "broken", "rival", "old")))


def test_only_the_wheels_are_there(alone):
    listed = json.loads(alone.run("dovetail", "plugins", "--json"))
    assert [(plugin["name"], plugin["status"]) for plugin in listed] == [
        ("core", "active"),
        ("fathom", "active"),
    ]
    assert (listed[1]["distribution"], listed[1]["version"]) == ("fathom-models", "1.2.3")
    assert listed[1]["provides"] == {
        "model type": ["fathom"],
        "task": ["surprise"],
        "quantization method": ["ternary"],
        "attention implementation": ["fathom_by_head"],
        "tool": ["echo_sounder"],
        "command": ["fathom"],
        "public name": [
            "FATHOM_IN_METRES",
            "FathomConfig",
            "FathomForCausalLM",
            "FathomModel",
            "FathomPreTrainedModel",
            "FathomTokenizer",
            "FathomTokenizerFast",
            "SurprisePipeline",
            "TernaryConfig",
            "TernaryQuantizer",
        ],
    }


def test_discovery_imports_no_torch_and_nothing_but_the_plugin_module(alone):
    code = """
        import sys
        import dovetail
        assert {"FathomModel", "AutoModel", "hookimpl"} <= set(dir(dovetail))
        foreign = sorted(name for name in sys.modules if name.startswith("fathom"))
        print(foreign, "torch" in sys.modules)
    """
    assert alone.python(code) == "['fathom', 'fathom.plugin'] False"


def test_model_tokenizer_attention_and_generation_through_the_auto_classes(alone):
    code = """
        import tempfile, pathlib, torch
        from dovetail import AutoConfig, AutoModelForCausalLM, AutoTokenizer, FathomTokenizer

        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "letters.txt").write_text("abcdefgh ")
        FathomTokenizer(str(folder / "letters.txt")).save_pretrained(folder)
        torch.manual_seed(0)
        config = AutoConfig.for_model("fathom", n_layer=3)
        model = AutoModelForCausalLM.from_config(config).eval()
        model.save_pretrained(folder)

        tokenizer = AutoTokenizer.from_pretrained(folder)
        loaded = AutoModelForCausalLM.from_pretrained(folder)
        by_head = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="fathom_by_head")
        assert type(tokenizer) is FathomTokenizer and type(loaded).__module__ == "fathom.modeling"
        inputs = tokenizer(["abc h", "bad"], padding=True, return_tensors="pt")
        assert inputs["input_ids"].tolist() == [[4, 5, 6, 12, 11], [5, 4, 7, 0, 0]]
        assert tokenizer.decode(inputs["input_ids"][0]) == "abc h"
        with torch.no_grad():
            logits = model(**inputs).logits
            assert torch.equal(loaded(**inputs).logits, logits)
            torch.testing.assert_close(by_head(**inputs).logits, logits)
        one = inputs["input_ids"][:1]
        ids = loaded.generate(one, max_new_tokens=8, do_sample=False)
        assert torch.equal(by_head.generate(one, max_new_tokens=8, do_sample=False), ids)
        print(loaded.config.num_hidden_layers, ids.shape[1] > 5)
    """
    assert alone.python(code) == "3 True"


def test_task_quantization_tool_and_name(alone):
    code = """
        import tempfile, pathlib, torch
        from dovetail import AutoConfig, AutoModelForCausalLM, FathomTokenizer, TernaryConfig
        from dovetail import FATHOM_IN_METRES, pipeline, registry

        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "letters.txt").write_text("abcdefgh ")
        FathomTokenizer(str(folder / "letters.txt")).save_pretrained(folder)
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(AutoConfig.for_model("fathom")).save_pretrained(folder)

        surprise = pipeline("surprise", str(folder))
        nats, bits = surprise("abba")["surprise"], surprise(["abba"], bits=True)[0]["surprise"]
        assert abs(nats / 0.6931 - bits) < 0.01, (nats, bits)

        small = AutoModelForCausalLM.from_pretrained(folder, quantization_config=TernaryConfig())
        small.save_pretrained(folder / "small")
        again = AutoModelForCausalLM.from_pretrained(folder / "small")
        layer = again.fathom.layers[0].query
        assert type(layer).__name__ == "TernaryLinear"
        assert layer.weight.unique().tolist() == [-1, 0, 1]
        ids = torch.tensor([[1, 4, 5]])
        with torch.no_grad():
            assert torch.equal(small(ids).logits, again(ids).logits)

        assert registry.tools().load("echo_sounder")()(10) == 10 * FATHOM_IN_METRES
        print("ok")
    """
    assert alone.python(code) == "ok"


def test_command(alone):
    assert alone.run("dovetail", "fathom", "mark twain") == "10 letters deep"
    assert "Measure a text." in alone.run("dovetail", "--help")


def test_names_of_official_packages_are_known_though_none_is_installed(alone):
    code = """
        try:
            from dovetail import LlamaForCausalLM
        except ImportError as error:
            print(type(error).__name__, error)
    """
    answer = alone.python(code)
    assert answer.startswith("MissingPluginError 'LlamaForCausalLM' belongs to")
    assert 'pip install "dovetail[text]"' in answer
    assert 'pip install "dovetail[text]"' in alone.run(
        "dovetail", "plugins", "why", "llama", check=False
    )


def test_a_broken_plugin_among_others_is_reported_and_costs_only_itself(crowd):
    code = """
        from dovetail import FathomTokenizer, registry
        print(registry.tools().names())
    """
    warning, names = crowd.python(code).splitlines()
    assert names == "['echo_sounder', 'lead_line']"
    assert "Plugin 'broken' of fathom-broken 0.4 is disabled" in warning
    assert "RuntimeError: the anchor is lost" in warning
    assert "fathom_broken.py:3" in warning
    assert crowd.python(code, DOVETAIL_DISABLE_PLUGINS="broken") == names


def test_a_rival_makes_asking_an_error_until_it_is_settled(crowd):
    quiet = {"DOVETAIL_DISABLE_PLUGINS": "fathom-broken"}
    code = "from dovetail import registry; print(registry.models().get('fathom').config)"
    failure = crowd.python(code, check=False, **quiet)
    assert "PluginConflictError" in failure
    assert "fathom-models 1.2.3" in failure
    assert "fathom-rival 0.4" in failure
    assert 'DOVETAIL_PREFER="fathom=' in failure
    chosen = crowd.python(code, DOVETAIL_PREFER="fathom=fathom-models", **quiet)
    assert chosen == "fathom.configuration:FathomConfig"
    why = crowd.run("dovetail", "plugins", "why", "surprise", **quiet)
    assert "task 'surprise' is provided by fathom-rival 0.4" in why
    assert "also claimed by fathom-models 1.2.3" in why


def test_an_allow_list_loads_just_what_it_names(crowd):
    listed = json.loads(crowd.run("dovetail", "plugins", "--json", DOVETAIL_PLUGINS="old"))
    states = {plugin["name"]: plugin["status"] for plugin in listed}
    assert states.pop("core") == states.pop("old") == "active"
    assert set(states.values()) == {"disabled"}
