"""Code that comes with a checkpoint: never run without consent, and then pinned."""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from tests.core.hub_server import connected

from dovetail.configs import PretrainedConfig
from dovetail.dynamic import (
    PACKAGE,
    copy_module,
    custom_object_save,
    get_class_from_dynamic_module,
    resolve_trust_remote_code,
)
from dovetail.errors import ConfigError, HubError, RemoteCodeError

MODEL = "org/model"
CONFIG_CODE = """
from dovetail.configs import PretrainedConfig
from .helpers_tiny import WIDTH

class TinyConfig(PretrainedConfig):
    model_type = "tiny-remote"
    width: int = WIDTH
"""
FILES = {
    "configuration_tiny.py": CONFIG_CODE,
    "helpers_tiny.py": "from .deeper.numbers import THREE\nWIDTH = THREE + 4\n",
    "deeper/__init__.py": "",
    "deeper/numbers.py": "THREE = 3\n",
    "config.json": json.dumps({"auto_map": {"AutoConfig": "configuration_tiny.TinyConfig"}}),
}


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "model"
    for name, text in FILES.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)
    return base


@pytest.fixture
def server(monkeypatch, tmp_path):
    with connected(monkeypatch, tmp_path / "cache") as running:
        running.add(MODEL, {name: text.encode() for name, text in FILES.items()})
        yield running


# --- consent ---


@pytest.mark.parametrize(
    ("trust", "local", "remote", "expected"),
    [
        (True, False, True, True),
        (True, True, True, True),
        (None, True, True, False),
        (False, True, True, False),
        (True, True, False, False),
        (None, False, False, False),
    ],
)
def test_consent(trust, local, remote, expected):
    assert resolve_trust_remote_code(trust, "org/model", local, remote) is expected


@pytest.mark.parametrize("trust", [None, False])
def test_without_consent_the_error_names_the_argument(trust):
    with pytest.raises(
        RemoteCodeError, match=r"org/model .*trust_remote_code=True.*revision="
    ) as caught:
        resolve_trust_remote_code(trust, "org/model", False, True)
    assert isinstance(caught.value, ValueError)


# --- running ---


def test_a_class_of_a_folder(folder):
    cls = get_class_from_dynamic_module("configuration_tiny.TinyConfig", folder)
    assert cls().width == 7
    assert cls.__module__.startswith(PACKAGE + ".")
    assert get_class_from_dynamic_module("configuration_tiny.TinyConfig", folder) is cls
    assert not list(folder.rglob("__pycache__"))
    assert str(folder) not in sys.path


def test_changed_code_is_other_code(folder):
    first = get_class_from_dynamic_module("configuration_tiny.TinyConfig", folder)
    (folder / "helpers_tiny.py").write_text("WIDTH = 11\n")
    second = get_class_from_dynamic_module("configuration_tiny.TinyConfig", folder)
    assert (first().width, second().width) == (7, 11)


def test_byte_code_beside_the_source_is_not_believed(folder, tmp_path):
    import py_compile

    other = tmp_path / "other.py"
    other.write_text("WIDTH = 666\n")
    planted = folder / "__pycache__" / f"helpers_tiny.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(other), cfile=str(planted), invalidation_mode=mode)
    assert get_class_from_dynamic_module("configuration_tiny.TinyConfig", folder)().width == 7


@pytest.mark.parametrize(
    "reference",
    [
        "../evil.Class",
        "os.system.x",
        "TinyConfig",
        "configuration_tiny",
        "a/b.Class",
        "--configuration_tiny.TinyConfig",
        "configuration_tiny.Tiny Config",
        "",
        None,
        ["a.B"],
    ],
)
def test_malformed_references_are_refused(folder, reference):
    with pytest.raises(RemoteCodeError, match=r"not of the form 'module.Class'"):
        get_class_from_dynamic_module(reference, folder)


def test_what_is_not_there_is_named(folder):
    with pytest.raises(RemoteCodeError, match=r"no 'TinyKonfig'. Did you mean 'TinyConfig'"):
        get_class_from_dynamic_module("configuration_tiny.TinyKonfig", folder)
    with pytest.raises(HubError, match=r"no file 'absent.py'"):
        get_class_from_dynamic_module("absent.Class", folder)


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import no_such_package_here", RemoteCodeError, "pip install no_such_package_here"),
        ("from .absent import x", HubError, r"no module absent.py"),
        ("1 / 0", RemoteCodeError, "ZeroDivisionError: division by zero"),
        ("def broken(:", RemoteCodeError, "SyntaxError"),
        ("from .helpers_tiny import ABSENT", RemoteCodeError, "cannot import name 'ABSENT'"),
    ],
)
def test_code_that_fails_says_how(folder, code, error, message):
    (folder / "failing.py").write_text(code)
    with pytest.raises(error, match=message):
        get_class_from_dynamic_module("failing.Class", folder)


def test_code_of_the_hub_comes_from_one_commit(server, caplog):
    commit = server.repos[MODEL].refs["main"]
    cls = get_class_from_dynamic_module("configuration_tiny.TinyConfig", MODEL)
    assert cls().width == 7
    assert f"Running code of {MODEL} at commit {commit}" in caplog.text
    assert f"revision='{commit}'" in caplog.text
    changed = {**FILES, "helpers_tiny.py": "WIDTH = 9\n"}
    server.add(MODEL, {name: text.encode() for name, text in changed.items()})
    name = "configuration_tiny.TinyConfig"
    for pin in ({"revision": commit}, {"code_revision": commit}, {"commit_hash": commit}):
        assert get_class_from_dynamic_module(name, MODEL, **pin) is cls
    assert get_class_from_dynamic_module(name, MODEL)().width == 9


def test_relative_imports_stay_at_the_commit(server):
    """The branch moves between the first module and the one that it imports when first used."""
    code = b"def late():\n    from .helpers_tiny import WIDTH\n    return WIDTH\n"
    server.add(MODEL, {"lazy.py": code, "helpers_tiny.py": b"WIDTH = 1\n"})
    late = get_class_from_dynamic_module("lazy.late", MODEL)
    server.add(MODEL, {"lazy.py": code, "helpers_tiny.py": b"WIDTH = 2\n"})
    assert late() == 1


def test_a_pinned_revision_runs_without_warning(server, caplog):
    commit = server.repos[MODEL].refs["main"]
    get_class_from_dynamic_module("configuration_tiny.TinyConfig", MODEL, revision=commit)
    assert caplog.text == ""


def test_code_of_another_repository_needs_a_commit(server):
    commit = server.add("stranger/code", {"evil.py": b"class Evil: pass\n"})
    reference = "stranger/code--evil.Evil"
    for pin in ({}, {"code_revision": "main"}, {"revision": commit}):
        with pytest.raises(RemoteCodeError, match=r"another repository, stranger/code.*code_revis"):
            get_class_from_dynamic_module(reference, MODEL, **pin)
    assert server.requests == []
    found = get_class_from_dynamic_module(reference, MODEL, code_revision=commit)
    assert found.__name__ == "Evil"
    same = get_class_from_dynamic_module(f"{MODEL}--configuration_tiny.TinyConfig", MODEL)
    assert same().width == 7


def test_importing_the_module_runs_nothing():
    code = f"""
import sys, dovetail.dynamic
assert {PACKAGE!r} not in sys.modules
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- auto classes ---


def test_auto_config_asks_for_consent(folder):
    from dovetail.auto.config import AutoConfig

    with pytest.raises(RemoteCodeError, match="trust_remote_code=True"):
        AutoConfig.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert (type(config).__name__, config.width) == ("TinyConfig", 7)


# --- saving ---


@pytest.fixture
def authored(tmp_path, monkeypatch):
    """A package of the user's own with a config class."""
    package = tmp_path / "authored_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helpers.py").write_text("WIDTH = 5\n")
    (package / "configuration_mine.py").write_text(
        "from dovetail.configs import PretrainedConfig\n"
        "from .helpers import WIDTH\n"
        "class MineConfig(PretrainedConfig):\n"
        "    model_type = 'mine'\n"
        "    width: int = WIDTH\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import authored_pkg.configuration_mine as module

    yield module
    for name in [name for name in sys.modules if name.startswith("authored_pkg")]:
        del sys.modules[name]


def test_registered_classes_are_saved_with_their_source(authored, tmp_path):
    authored.MineConfig.register_for_auto_class()
    target = tmp_path / "saved"
    authored.MineConfig(width=6).save_pretrained(target)
    names = {path.name for path in target.iterdir()}
    assert names == {"config.json", "configuration_mine.py", "helpers.py"}
    values = json.loads((target / "config.json").read_text())
    assert values["auto_map"] == {"AutoConfig": "configuration_mine.MineConfig"}
    cls = get_class_from_dynamic_module(values["auto_map"]["AutoConfig"], target)
    assert cls.from_pretrained(target).width == 6
    with pytest.raises(ConfigError, match=r"'AutoKonfig' is no auto class. Did you mean"):
        authored.MineConfig.register_for_auto_class("AutoKonfig")


def test_saving_names_the_class_in_other_configs(authored, tmp_path):
    authored.MineConfig._auto_class = "AutoTokenizer"
    settings = {"auto_map": {"AutoConfig": "x.Y"}}
    written = custom_object_save(authored.MineConfig(), tmp_path, config=settings)
    assert written == ["configuration_mine.py", "helpers.py"]
    assert settings["auto_map"] == {
        "AutoConfig": "x.Y",
        "AutoTokenizer": [None, "configuration_mine.MineConfig"],
    }


def test_what_cannot_be_saved_says_so(tmp_path):
    class Main(PretrainedConfig):
        attribute_map: ClassVar[dict[str, str]] = {}

    Main.__module__ = "__main__"
    with pytest.raises(RemoteCodeError, match="defined in the running script"):
        copy_module(Main, tmp_path)
    assert list(Path(tmp_path).iterdir()) == []
