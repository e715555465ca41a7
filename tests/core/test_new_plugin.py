"""``dovetail new-plugin``: what it writes works as written; names that cannot be are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from dovetail.cli.new_plugin import new_plugin
from dovetail.discovery import core_version
from dovetail.newplugin import KINDS, Names, NewPluginError, write_plugin


@pytest.fixture(scope="session")
def written(tmp_path_factory, make_environment):
    """One new package of each kind, all installed into one environment."""
    parent = tmp_path_factory.mktemp("written")
    folders = {kind: write_plugin(f"zephyr-{kind}", kind, parent) for kind in KINDS}
    return folders, make_environment(*folders.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_package_pass_as_written(kind, written):
    folders, environment = written
    options = ("-q", "-W", "error", "-p", "no:cacheprovider")
    answer = environment.run("python", "-m", "pytest", *options, str(folders[kind]))
    assert " passed" in answer
    assert "skipped" not in answer


@pytest.mark.slow
def test_new_packages_are_plugins_at_once(written):
    _, environment = written
    listing = environment.run("dovetail", "plugins")
    for kind in KINDS:
        assert f"zephyr-{kind}  (zephyr-{kind} 0.1.0)\n" in listing
    assert "failed" not in listing


@pytest.mark.parametrize("kind", KINDS)
def test_every_trace_of_the_template_is_renamed(kind, tmp_path):
    folder = write_plugin("My.Own_plugin", kind, tmp_path)
    assert folder == tmp_path / "my-own-plugin"
    paths = [path for path in folder.rglob("*") if path.is_file()]
    texts = [path.as_posix() + path.read_text() for path in paths]
    assert not any(word in text.lower() for text in texts for word in ("acme", "example"))
    package = folder / "src" / "my_own_plugin"
    assert {"__init__.py", "plugin.py", "py.typed"} <= {path.name for path in package.iterdir()}
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-own-plugin"
    assert project["dependencies"] == [f"dovetail>={core_version()}"]
    assert project["entry-points"]["dovetail"] == {"my-own-plugin": "my_own_plugin.plugin"}
    assert (folder / "tests" / "test_my_own_plugin.py").exists()
    assert list(tmp_path.iterdir()) == [folder], "nothing is left beside it"


def test_spellings_of_a_name():
    assert Names.of("Acme_LM.2") == Names("acme-lm-2", "acme_lm_2", "AcmeLm2")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "cannot be the name of a package"),
        ("2fast", "begin with a letter"),
        ("a/../b", "cannot be the name of a package"),
        ("acme-", "cannot be the name of a package"),
        ("a--b", "single dashes"),
        ("naïve", "cannot be the name of a package"),
        ("class", "a name of Python itself"),
        ("json", "a name of Python itself"),
        ("dovetail", "looks like an official package"),
        ("dovetail-models-text", "looks like an official package"),
    ],
)
def test_names_that_cannot_be(name, reason, tmp_path):
    with pytest.raises(NewPluginError, match=reason):
        write_plugin(name, "model", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path):
    write_plugin("acme", "tool", tmp_path)
    (tmp_path / "acme" / "README.md").write_text("mine")
    with pytest.raises(NewPluginError, match="exists; choose another name"):
        write_plugin("acme", "model", tmp_path)
    assert (tmp_path / "acme" / "README.md").read_text() == "mine"
    with pytest.raises(NewPluginError, match="no kind 'modle'; choose one of model, pipeline"):
        write_plugin("other", "modle", tmp_path)


def test_a_failure_half_way_leaves_nothing(tmp_path, monkeypatch):
    count = iter(range(4))
    write = Path.write_text

    def write_some(path, *arguments, **options):
        if next(count, None) is None:
            raise OSError(28, "No space left on device")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", write_some)
    with pytest.raises(OSError, match="No space left"):
        write_plugin("acme", "model", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_to_do_next(tmp_path):
    answer = CliRunner().invoke(new_plugin, ["acme-bow", "--kind", "tool", "--into", str(tmp_path)])
    assert answer.exit_code == 0
    assert f"cd {tmp_path / 'acme-bow'}" in answer.output
    assert "pytest" in answer.output
    wrong = CliRunner().invoke(new_plugin, ["acme", "--kind", "modle"])
    assert wrong.exit_code == 2
    assert "'modle' is not one of" in wrong.output
