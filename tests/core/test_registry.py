"""Registries: lookup, double claims, names of missing packages, additions in process."""

from __future__ import annotations

import json

import pytest

import dovetail
from dovetail import discovery, plugins, registry
from dovetail.declarations import (
    AttentionDeclaration,
    ConverterDeclaration,
    PipelineDeclaration,
    ToolDeclaration,
)
from dovetail.errors import (
    MissingPluginError,
    PluginConflictError,
    PluginLoadError,
    UnknownNameError,
)
from dovetail.names import known_names, known_owner

FIRST = """
@hookimpl
def dovetail_models():
    return [ModelDeclaration("acmelm", config="acme_first:AcmeConfig",
                             auto={"AutoModel": "acme_first:AcmeModel"})]

class AcmeConfig: pass
class AcmeModel: pass
"""
RIVAL = FIRST.replace("acme_first", "acme_rival")
OVERRIDING = RIVAL.replace("auto=", "overrides=('acme-first',), auto=")


# Lookup


def test_unknown_names_list_near_ones():
    with pytest.raises(UnknownNameError, match=r"no task 'text-clasification'.*'text-classificat"):
        registry.pipelines().get("text-clasification")
    with pytest.raises(ValueError, match=r"no attention implementation 'sdap'. Did you .*'sdpa'"):
        registry.attentions().get("sdap")
    with pytest.raises(UnknownNameError, match="`dovetail plugins` lists what is installed"):
        registry.tools().get("zzzzzz")


def test_an_unknown_name_mentions_the_plugins_that_are_not_in_use(install):
    install("acme-first", FIRST)
    install("acme-broken", "1 / 0")
    plugins.disable("first")
    with pytest.raises(UnknownNameError, match=r"not in use: broken \(failed\), first \(disabled"):
        registry.models().get("acmelm")
    with pytest.raises(ImportError, match="Plugins not in use: broken"):
        from dovetail import AcmeModel  # noqa: F401


@pytest.mark.parametrize("name", [None, 3, ["llama"], {"a": 1}, "x" * 10_000_000, "\0", ""])
def test_names_that_files_may_hold_are_refused_at_once_and_briefly(name):
    for kind in (registry.models(), registry.attentions()):
        with pytest.raises(UnknownNameError) as caught:
            kind.get(name)
        assert len(str(caught.value)) < 1000


@pytest.fixture
def alone(monkeypatch, host):
    """A process in which no plugin is installed."""
    monkeypatch.setattr(discovery, "installed_plugins", lambda: ([], []))
    host.reset()


@pytest.mark.usefixtures("alone")
def test_a_known_name_says_which_package_to_install():
    with pytest.raises(MissingPluginError, match=r'pip install "dovetail\[text\]"') as caught:
        registry.models().get("llama")
    assert "'dovetail-models-text', which is not installed" in str(caught.value)
    with pytest.raises(ImportError, match=r'pip install "dovetail\[vision\]"'):
        registry.pipelines().get("image-classification")
    with pytest.raises(MissingPluginError, match=r'pip install "dovetail\[quantizers\]"'):
        registry.quantizers().get("gptq")


@pytest.mark.usefixtures("alone")
def test_importing_a_name_of_a_missing_package():
    with pytest.raises(MissingPluginError, match=r'pip install "dovetail\[text\]"'):
        from dovetail import LlamaForCausalLM  # noqa: F401
    with pytest.raises(MissingPluginError, match=r'pip install "dovetail\[training\]"'):
        dovetail.Trainer  # noqa: B018


def test_a_known_name_of_a_disabled_or_outdated_package(host, install):
    install(
        "dovetail-quantizers",
        "",
        version="0.0.1",
        entry_points="[dovetail]\nquantizers = acme_old_quantizers\n",
        acme_old_quantizers="""
            from dovetail import hookimpl
            @hookimpl
            def dovetail_quantizers(): return []
            """,
    )
    with pytest.raises(MissingPluginError, match=r"installed version 0\.0\.1 does not have it"):
        registry.quantizers().get("gptq")
    plugins.disable("dovetail-quantizers")
    with pytest.raises(MissingPluginError, match=r"installed but is disabled: disabled by D"):
        registry.quantizers().get("gptq")


def test_the_table_of_known_names_agrees_with_what_is_installed(host):
    official = {
        owner.distribution for owner in map(owner_of_public, known_names("public")) if owner
    }
    for kind, table in (
        ("model", host.claims(registry.models().kind)),
        ("pipeline", host.claims(registry.pipelines().kind)),
        ("quantizer", host.claims(registry.quantizers().kind)),
        ("public", host.exports()),
    ):
        for name, claims in table.items():
            owner = known_owner(kind, name)
            for claim in claims:
                if owner is not None and claim.plugin.distribution in official:
                    assert owner.distribution == claim.plugin.distribution, name


def owner_of_public(name: str):
    return known_owner("public", name)


def test_a_target_that_cannot_be_imported_names_the_plugin_and_the_cause(install):
    install(
        "acme-lazy",
        """
        @hookimpl
        def dovetail_tools():
            return [
                ToolDeclaration("needs", tool="acme_needs:Tool"),
                ToolDeclaration("absent", tool="acme_absent:Tool"),
                ToolDeclaration("typo", tool="acme_lazy:Tol"),
                ToolDeclaration("fails", tool="acme_fails:Tool"),
            ]
        class Tool: pass
        """,
        acme_needs="import acme_third_party.part",
        acme_fails="1 / 0",
    )
    tools = registry.tools()
    with pytest.raises(
        PluginLoadError, match=r"needs the package 'acme_third_party', which is not"
    ):
        tools.load("needs")
    with pytest.raises(ImportError, match=r"No module named 'acme_absent'.*acme-lazy 1\.0"):
        tools.load("absent")
    with pytest.raises(PluginLoadError, match=r"has no 'Tol'. Did you mean 'Tool'"):
        tools.load("typo")
    with pytest.raises(PluginLoadError, match=r"declared by acme-lazy 1\.0") as caught:
        tools.load("fails")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_resolve():
    assert registry.resolve("collections:abc.Mapping.get").__name__ == "get"
    assert registry.resolve(dict) is dict
    with pytest.raises(PluginLoadError, match="is no target"):
        registry.resolve("collections.abc")


# Double claims


def test_a_double_claim_is_an_error_for_whoever_asks(install, host):
    install("acme-first", FIRST)
    install("acme-rival", RIVAL, version="0.3")
    assert "acmelm" in registry.models().names()
    with pytest.raises(PluginConflictError) as caught:
        registry.models().get("acmelm")
    message = str(caught.value)
    assert "acme-first 1.0" in message
    assert "acme-rival 0.3" in message
    assert 'DOVETAIL_PREFER="acmelm=acme-rival"' in message
    assert "overrides" in message
    with pytest.raises(PluginConflictError, match="AcmeModel"):
        from dovetail import AcmeModel  # noqa: F401
    assert registry.models().declarations() == [
        registry.models().get(name) for name in registry.models().names() if name != "acmelm"
    ]


def test_a_declaration_that_overrides_wins(install):
    install("acme-first", FIRST)
    install("acme-rival", OVERRIDING)
    assert registry.models().get("acmelm").config == "acme_rival:AcmeConfig"
    assert dovetail.AcmeModel.__module__ == "acme_rival"


def test_two_that_override_each_other_remain_a_conflict(install):
    install("acme-first", FIRST.replace("auto=", "overrides=('acme-rival',), auto="))
    install("acme-rival", OVERRIDING)
    with pytest.raises(PluginConflictError):
        registry.models().get("acmelm")


@pytest.mark.parametrize("preferred", ["first", "acme-rival"])
def test_a_preference_settles_the_type_and_its_classes(preferred, install, host, monkeypatch):
    install("acme-first", FIRST)
    install("acme-rival", OVERRIDING)
    module = "acme_" + preferred.removeprefix("acme-")
    monkeypatch.setenv(plugins.PREFER, f"other=x, acmelm = {preferred}")
    assert registry.models().get("acmelm").config == f"{module}:AcmeConfig"
    assert dovetail.AcmeConfig.__module__ == module


def test_a_preference_by_call_for_one_public_name(install):
    install("acme-first", FIRST)
    install("acme-rival", RIVAL)
    plugins.prefer("AcmeModel", "acme-first")
    assert dovetail.AcmeModel.__module__ == "acme_first"
    with pytest.raises(PluginConflictError):
        dovetail.AcmeConfig  # noqa: B018


def test_the_same_target_declared_twice_is_no_conflict(install):
    install("acme-first", FIRST)
    install(
        "acme-names",
        "@hookimpl\ndef dovetail_names():\n"
        "    return [NamesDeclaration({'AcmeModel': 'acme_first:AcmeModel'})]",
    )
    assert dovetail.AcmeModel.__module__ == "acme_first"


def test_an_alias_of_a_family_can_be_contested_like_any_name(install):
    install(
        "acme-first",
        """
        @hookimpl
        def dovetail_models():
            return [family("acmelm", "acme_first", "Acme", ("Model",), tokenizer="AcmeTokenizer")]
        """,
    )
    install(
        "acme-rival",
        "@hookimpl\ndef dovetail_names():\n"
        "    return [NamesDeclaration({'AcmeTokenizerFast': 'acme_rival:dovetail_names'})]",
    )
    with pytest.raises(PluginConflictError, match=r"acme-first 1\.0.*acme-rival 1\.0"):
        dovetail.AcmeTokenizerFast  # noqa: B018
    plugins.prefer("AcmeTokenizerFast", "rival")
    assert dovetail.AcmeTokenizerFast.__module__ == "acme_rival"


def test_names_of_the_core_cannot_be_taken(install):
    install(
        "acme-names",
        "@hookimpl\ndef dovetail_names():\n"
        "    return [NamesDeclaration({'hookimpl': 'acme_names:dovetail_names'})]",
    )
    assert dovetail.hookimpl.project_name == "dovetail"
    (meaning,) = registry.why("hookimpl")
    assert [claim.plugin.name for claim in meaning.verdict.rivals] == ["core", "names"]


def test_why(install):
    install("acme-first", FIRST)
    install("acme-rival", OVERRIDING)
    (meaning,) = registry.why("acmelm")
    assert meaning.kind == "model type"
    assert meaning.verdict.holder.plugin.name == "rival"
    assert [plugin.name for plugin in registry.models().providers("acmelm")] == ["rival", "first"]
    (meaning,) = registry.why("AcmeModel")
    assert meaning.kind == registry.PUBLIC
    assert registry.target_of(meaning.verdict.holder) == "acme_rival:AcmeModel"
    assert registry.why("no such thing") == []
    assert registry.models().providers("no such thing") == ()


# Additions in this process


def test_additions_come_first_and_can_be_taken_back():
    tools = registry.tools()
    tools.add(dict, name="acme-tool")
    try:
        assert tools.load("acme-tool") is dict
        assert "acme-tool" in tools
        assert "acme-tool" in list(tools)
        with pytest.raises(PluginConflictError, match="already provided by this process"):
            tools.add(ToolDeclaration("acme-tool", tool="a:B"))
        tools.add(list, name="acme-tool", exist_ok=True)
        assert tools.load("acme-tool") is list
    finally:
        tools.remove("acme-tool")
    assert "acme-tool" not in tools
    with pytest.raises(UnknownNameError):
        tools.remove("acme-tool")
    with pytest.raises(TypeError, match="name="):
        tools.add(dict)


def test_an_addition_may_replace_what_a_plugin_provides():
    attentions = registry.attentions()
    mine = AttentionDeclaration("sdpa", function=print)
    with pytest.raises(PluginConflictError, match="already provided by dovetail"):
        attentions.add(mine)
    attentions.add(mine, exist_ok=True)
    assert [str(plugin) for plugin in attentions.providers("sdpa")][1].startswith("dovetail ")
    attentions.remove("sdpa")
    assert attentions.get("sdpa").function == "dovetail.layers.attention:sdpa_attention"


def test_aliases_of_a_task_lead_to_it_and_count_once():
    tasks = registry.pipelines()
    task = PipelineDeclaration("acme-task", "collections:Counter", ("AutoModel",), aliases=("at",))
    tasks.add(task)
    try:
        assert tasks.get("at") is task
        assert tasks.declarations().count(task) == 1
    finally:
        tasks.remove("at")
    assert "acme-task" not in tasks


def test_converters_are_found_by_model_type_and_layout():
    assert ConverterDeclaration("llama", "meta", "a:B").keys == ("llama/meta",)


def test_every_registry_has_its_own_kind():
    everything = registry.all_registries()
    assert len({item.kind for item in everything}) == len(everything) == 12
    assert len({item.label for item in everything}) == 12
    listed = [
        registry.models,
        registry.pipelines,
        registry.quantizers,
        registry.attentions,
        registry.strategies,
        registry.caches,
        registry.checks,
        registry.tools,
        registry.engines,
        registry.commands,
        registry.callbacks,
        registry.converters,
    ]
    assert tuple(accessor() for accessor in listed) == everything


# The command


def dovetail_plugins(*words: str):
    from click.testing import CliRunner

    from dovetail.cli.plugins import plugins as command

    return CliRunner().invoke(command, words)


def test_the_command_lists_plugins(install):
    install("acme-first", FIRST)
    install("acme-broken", "1 / 0")
    answer = dovetail_plugins()
    assert answer.exit_code == 0
    assert (
        "first  (acme-first 1.0)\n    model types: acmelm\n    public names: 2\n" in answer.output
    )
    assert "broken  (acme-broken 1.0)  [failed]\n    ZeroDivisionError" in answer.output
    records = {record["name"]: record for record in json.loads(dovetail_plugins("--json").stdout)}
    assert records["first"]["provides"] == {
        "model type": ["acmelm"],
        "public name": ["AcmeConfig", "AcmeModel"],
    }
    assert "ZeroDivisionError" in records["broken"]["detail"]


def test_the_command_points_at_a_slow_plugin(install, monkeypatch):
    monkeypatch.setattr("dovetail.cli.plugins.SLOW", 0.0)
    install("acme-first", FIRST)
    assert "slow: took 0.0 s to load" in dovetail_plugins().output


def test_the_command_says_why(install):
    install("acme-first", FIRST)
    install("acme-rival", OVERRIDING)
    answer = dovetail_plugins("why", "acmelm")
    assert answer.exit_code == 0
    assert answer.output.splitlines() == [
        "model type 'acmelm' is provided by acme-rival 1.0",
        "    acme_rival:AcmeConfig",
        "    because: its declaration overrides the others",
        "    also claimed by acme-first 1.0: acme_first:AcmeConfig",
    ]
    record = json.loads(dovetail_plugins("why", "AcmeModel", "--json").output)
    assert record["provided"][0]["holder"]["target"] == "acme_rival:AcmeModel"


def test_the_command_shows_a_conflict_and_how_to_settle_it(install):
    install("acme-first", FIRST)
    install("acme-rival", RIVAL)
    answer = dovetail_plugins("why", "acmelm")
    assert answer.exit_code == 1
    assert "'acmelm' is contested" in answer.output
    assert 'DOVETAIL_PREFER="acmelm=acme-rival"' in answer.output


@pytest.mark.usefixtures("alone")
def test_the_command_knows_what_is_not_installed():
    assert isinstance(dovetail_plugins("why", "llama").exception, MissingPluginError)
    error = dovetail_plugins("why", "sdpaa").exception
    assert isinstance(error, UnknownNameError)
    assert "Did you mean 'sdpa'" in str(error)
    assert dovetail_plugins("why", "llama", "--json").exit_code == 1
