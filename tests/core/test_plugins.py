"""Discovery: a broken plugin costs only itself, choices are obeyed, nothing heavy is imported."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dovetail import builtin, discovery, hookspecs, plugins, registry
from dovetail.declarations import (
    Declaration,
    ModelDeclaration,
    NamesDeclaration,
    PipelineDeclaration,
    family,
)
from dovetail.errors import PluginLoadError

GOOD = """
@hookimpl
def dovetail_tools():
    return [ToolDeclaration("acme-tool", tool="acme_good:Tool")]

class Tool: pass
"""


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "dovetail.plugins"]


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("dovetail")
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.WARNING, "dovetail")


def status(host: plugins.PluginHost, name: str) -> plugins.Plugin:
    return next(plugin for plugin in host.plugins if plugin.name == name)


def test_a_plugin_is_found_with_its_distribution_and_version(install, host, caplog):
    install("acme-good", GOOD, version="2.5")
    found = status(host, "good")
    assert (found.distribution, found.version, found.module) == ("acme-good", "2.5", "acme_good")
    assert found.status == "active"
    assert registry.tools().load("acme-tool").__name__ == "Tool"
    assert complaints(caplog) == []


BROKEN = {
    "raises": ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "imports what is missing": ("import acme_absent", "No module named 'acme_absent'"),
    "is no Python": ("def (", "acme_broken.py:3)"),
    "has an unprintable error": (
        """
        class Odd(Exception):
            def __str__(self): raise ValueError
        raise Odd
        """,
        "Odd",
    ),
    "has no hook": ("x = 1", "implements no hook"),
    "misspells a hook": (
        "@hookimpl\ndef dovetail_modles(): return []",
        "Unknown hook 'dovetail_modles'. Did you mean 'dovetail_models'",
    ),
    "forgets the mark": ("def dovetail_models(): return []", "write @hookimpl above it"),
    "wants an unknown argument": (
        "@hookimpl\ndef dovetail_models(core_versoin): return []",
        "core_versoin",
    ),
    "is a wrapper": (
        "@hookimpl(wrapper=True)\ndef dovetail_models(): return (yield)",
        "Hook dovetail_models is a wrapper",
    ),
    "raises in a hook": ("@hookimpl\ndef dovetail_models(): 1 / 0", "ZeroDivisionError"),
    "returns None": (
        "@hookimpl\ndef dovetail_models(): pass",
        "Hook dovetail_models returned NoneType None; it is to return a list of ModelDeclaration",
    ),
    "returns the wrong declaration": (
        "@hookimpl\ndef dovetail_models(): return [ToolDeclaration('a', 'b:C')]",
        "each item is to be a ModelDeclaration",
    ),
    "returns classes for targets": (
        "@hookimpl\ndef dovetail_tools(): return [ToolDeclaration('a', str)]",
        "with the target <class 'str'>; targets are strings such as",
    ),
    "returns a malformed target": (
        "@hookimpl\ndef dovetail_tools(): return [ToolDeclaration('a', 'acme.tool.Tool')]",
        "with the target 'acme.tool.Tool'",
    ),
    "forgets a comma": (
        "@hookimpl\ndef dovetail_tools(): return [ToolDeclaration('a', 'b:C', overrides=('d'))]",
        "declares overrides='d'; it is to be a tuple",
    ),
    "returns a list for a mapping": (
        "@hookimpl\ndef dovetail_models(): return [ModelDeclaration('a', 'b:C', auto=['b:D'])]",
        "declares auto=['b:D']; it is to be a Mapping",
    ),
    "exports a name that is none": (
        "@hookimpl\ndef dovetail_names(): return [NamesDeclaration({3: 'b:D'})]",
        "declares the name 3",
    ),
    "returns a name that is none": (
        "@hookimpl\ndef dovetail_tools(): return [ToolDeclaration(None, 'a:B')]",
        "declares the name None",
    ),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_reported_once_and_costs_only_itself(
    source, cause, install, host, caplog
):
    install("acme-good", GOOD)
    install("acme-broken", source, version="3.1")
    for _ in range(2):
        assert status(host, "broken").status == "failed"
        host.select()  # a new discovery does not repeat the warning
    assert cause in status(host, "broken").reason
    assert registry.tools().get("acme-tool").tool == "acme_good:Tool"
    (message,) = complaints(caplog)
    assert "Plugin 'broken' of acme-broken 3.1 is disabled" in message
    assert cause in message
    assert "DOVETAIL_DISABLE_PLUGINS=broken" in message


def test_nothing_of_a_plugin_counts_when_one_of_its_hooks_fails(install, host):
    install(
        "acme-half",
        """
        @hookimpl
        def dovetail_tools(): return [ToolDeclaration("acme-tool", tool="acme_half:Tool")]
        @hookimpl
        def dovetail_models(): raise RuntimeError
        """,
    )
    assert status(host, "half").status == "failed"
    assert "acme-tool" not in registry.tools()


def test_an_interrupt_is_passed_on_and_the_next_question_works(install, host):
    install(
        "acme-slow",
        """
        import sys
        if not hasattr(sys, "acme_interrupted"):
            sys.acme_interrupted = True
            raise KeyboardInterrupt
        @hookimpl
        def dovetail_models(): return []
        """,
    )
    with pytest.raises(KeyboardInterrupt):
        host.plugins  # noqa: B018
    assert status(host, "slow").status == "active"
    del sys.acme_interrupted  # type: ignore[attr-defined]


def test_an_old_plugin_with_fewer_arguments_and_an_object_as_plugin_work(install, host):
    install(
        "acme-both",
        """
        class Plugin:
            @hookimpl
            def dovetail_tools(self, core_version):
                return [ToolDeclaration("tool-" + core_version, tool="acme_both:Plugin")]
            @hookimpl
            def dovetail_models(self): return ()
        plugin = Plugin()
        """,
        entry_points="[dovetail]\nboth = acme_both:plugin\n",
    )
    assert status(host, "both").status == "active"
    assert f"tool-{discovery.core_version()}" in registry.tools()


def test_damaged_metadata_of_one_distribution_spoils_nothing(install, host, caplog):
    install("acme-good", GOOD)
    install("acme-damaged", "", entry_points="[dovetail]\nno equals sign here\n")
    assert status(host, "good").status == "active"
    assert status(host, "acme-damaged").status == "failed"
    (message,) = complaints(caplog)
    assert "acme-damaged 1.0" in message
    assert "entry points cannot be read" in message


def test_a_distribution_without_metadata_still_works(install, host):
    info = install("acme-good", GOOD)
    (info / "METADATA").unlink()
    found = status(host, "good")
    assert found.status == "active"
    assert str(found) == "unknown distribution (version unknown)"


def test_what_loading_took_is_kept(install, host):
    install("acme-slow", "import time\ntime.sleep(0.05)\n" + GOOD)
    assert 0.05 < status(host, "slow").seconds < 5


def test_a_plugin_that_asks_for_plugin_names_while_loading_is_told_so(install, host):
    install("acme-eager", "from dovetail import LlamaForCausalLM")
    assert "while plugins were being discovered" in status(host, "eager").reason


def test_a_core_that_is_not_installed_has_an_unknown_version(monkeypatch):
    import importlib_metadata

    def absent(name):
        raise importlib_metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib_metadata, "distribution", absent)
    assert discovery.core_version.__wrapped__() == "0+unknown"


# Choices


def test_deny_list_of_the_environment_takes_either_name(install, host, monkeypatch):
    install("acme-good", GOOD)
    for name in ("good", "acme-good", "Acme_Good"):
        monkeypatch.setenv(plugins.DISABLE, f" {name} ,")
        host.reset()
        assert status(host, "good").status == "disabled"
        assert plugins.DISABLE in status(host, "good").reason
        assert "acme-tool" not in registry.tools()


def test_a_disabled_plugin_is_not_imported(install, host, monkeypatch, caplog):
    install("acme-broken", "raise RuntimeError")
    monkeypatch.setenv(plugins.DISABLE, "broken")
    assert status(host, "broken").status == "disabled"
    assert "acme_broken" not in sys.modules
    assert complaints(caplog) == []


def test_allow_list_of_the_environment(install, host, monkeypatch):
    install("acme-good", GOOD)
    install("acme-other", "@hookimpl\ndef dovetail_models(): return []")
    monkeypatch.setenv(plugins.ALLOW, "good")
    assert status(host, "good").status == "active"
    assert status(host, "other").status == "disabled"
    monkeypatch.setenv(plugins.ALLOW, "none")
    host.reset()
    assert {plugin.name for plugin in host.plugins if plugin.status == "active"} == {"core"}
    monkeypatch.setenv(plugins.ALLOW, "")
    host.reset()
    assert status(host, "other").status == "active"


def test_choices_by_call(install, host, caplog):
    install("acme-good", GOOD)
    plugins.disable("good")
    assert status(host, "good").status == "disabled"
    plugins.enable("acme_good")
    assert status(host, "good").status == "active"
    plugins.allow("core")
    assert status(host, "good").status == "disabled"
    plugins.enable("good")
    assert status(host, "good").status == "active"
    plugins.allow()
    assert host.selection.allowed is None
    plugins.enable("goood")
    (message,) = complaints(caplog)
    assert "No installed plugin is called 'goood'" in message


@pytest.mark.parametrize("variable", [plugins.DISABLE, plugins.ALLOW])
def test_misspelt_names_are_warned_about_once(variable, install, host, monkeypatch, caplog):
    install("acme-good", GOOD)
    monkeypatch.setenv(variable, "goood")
    assert host.plugins
    host.select()
    assert host.plugins
    (message,) = complaints(caplog)
    assert "No installed plugin is called 'goood'" in message
    assert "Did you mean 'good'" in message


def test_a_malformed_preference_and_the_core_in_the_deny_list_are_warned_about(
    host, monkeypatch, caplog
):
    monkeypatch.setenv(plugins.PREFER, "llama")
    monkeypatch.setenv(plugins.DISABLE, "core")
    host.reset()
    assert status(host, "core").status == "active"
    cannot, form = complaints(caplog)
    assert "cannot be disabled" in cannot
    assert "DOVETAIL_PREFER holds 'llama', which is not of the form name=plugin" in form


def test_a_preference_for_what_the_plugin_does_not_have_is_warned_about(
    install, host, monkeypatch, caplog
):
    install("acme-good", GOOD)
    monkeypatch.setenv(plugins.PREFER, "acme-tol=good")
    assert host.plugins
    (message,) = complaints(caplog)
    assert "prefers acme-good 1.0 for 'acme-tol', which it does not provide" in message
    assert "Did you mean 'acme-tool'" in message


# The core's own hooks, the specs and the processes they are called in


def test_every_hook_takes_core_version_and_returns_declarations():
    kinds = discovery.hook_kinds()
    assert set(kinds) == {n for n in vars(hookspecs) if n.startswith("dovetail_")}
    assert all(issubclass(kind, Declaration) for kind in kinds.values())
    assert set(kinds.values()) == set(Declaration.__subclasses__())
    for name in kinds:
        spec = getattr(hookspecs, name)
        assert list(spec.__annotations__) == ["core_version", "return"]
        assert "Example:" in spec.__doc__


def test_the_core_goes_through_the_same_hooks():
    declared = discovery.collect(builtin, discovery.specified_hooks())
    assert {item.keys[0] for item in declared} >= {"sdpa", "plugins", "new-plugin"}
    with pytest.raises(PluginLoadError, match="implements no hook"):
        discovery.collect(object(), discovery.specified_hooks())


def test_calling_the_hooks_again_gives_the_same(install):
    install("acme-good", GOOD)
    one, two = (discovery.discover(discovery.Selection()) for _ in range(2))
    assert one == two


def test_every_target_that_an_active_plugin_declares_resolves(host):
    for _, declaration in host.discovery.found:
        for target in discovery.targets(declaration):
            assert registry.resolve(target) is not None


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_discovery_in_child_processes(method, host):
    core = host.plugins[0]
    expected = registry.provided_by(core)
    host.reset()
    held = threading.Event(), threading.Event()

    def hold() -> None:
        with host._lock:  # a forked child inherits the lock as held
            held[0].set()
            held[1].wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held[0].wait(20)
    try:
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply_async(registry.provided_by, (core,)).get(timeout=60) == expected
    finally:
        held[1].set()
        thread.join()


def test_many_threads_discover_once(install, host):
    install("acme-good", GOOD)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: id(host.discovery), range(32)))
    assert len(set(found)) == 1


def test_fields_and_exports_of_declarations():
    llama = family("acme", "acme_lm", "Acme", ("Model", "ForCausalLM"), tokenizer="AcmeTokenizer")
    assert llama.keys == ("acme",)
    assert set(llama.exports) == {
        "AcmeConfig",
        "AcmeForCausalLM",
        "AcmeModel",
        "AcmePreTrainedModel",
        "AcmeTokenizer",
        "AcmeTokenizerFast",
    }
    assert set(discovery.targets(llama)) == set(llama.exports.values())
    task = PipelineDeclaration("a", "m:P", ("AutoModel",), aliases=("b",))
    assert task.keys == ("a", "b")
    assert NamesDeclaration({"N": "m:N"}).keys == ()
    assert ModelDeclaration("x", config=dict).exports == {}  # an object stands for itself


def test_discovery_imports_no_torch_and_is_quick():
    code = (
        "import sys, time; from dovetail import plugins; import importlib_metadata;"
        "start = time.process_time(); plugins.manager().plugins;"
        "print(time.process_time() - start, 'torch' in sys.modules)"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert all(heavy == "False" for _, heavy in outputs)
    assert min(float(seconds) for seconds, _ in outputs) < 0.05
