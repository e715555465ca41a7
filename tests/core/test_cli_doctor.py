"""``dovetail doctor`` and ``dovetail env``: each thing that can be broken is found and
explained.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dovetail import plugins
from dovetail.cli import doctor, execute
from dovetail.cli.checks import Finding, cache, installation, machine
from dovetail.cli.env import settings

TOOL = """
@hookimpl
def dovetail_tools():
    return [ToolDeclaration("acme-tool", "acme_{}:Tool")]
"""


def about(findings: list[Finding], word: str) -> list[Finding]:
    return [item for item in findings if word in f"{item.subject} {item.problem}"]


def require(info, *lines: str) -> None:
    metadata = info / "METADATA"
    head, _, body = metadata.read_text().partition("\n\n")
    requirements = "".join(f"\nRequires-Dist: {line}" for line in lines)
    metadata.write_text(f"{head}{requirements}\n\n{body}")


def test_versions_that_clash_and_requirements_that_are_missing(install):
    info = install("acme-good", TOOL.format("good"))
    require(info, "pluggy<0.1", "acme-absent>=2", "numpy", 'acme-extra; extra == "more"')
    clash, missing = about(installation.versions(), "acme-good")
    assert clash.level == "error"
    assert clash.problem.startswith("requires pluggy<0.1, but ")
    assert clash.remedy == 'pip install "pluggy<0.1"'
    assert missing.level == "warning"
    assert "acme-absent>=2, which is not installed" in missing.problem


def test_a_plugin_that_fails_to_load_and_one_switched_off(install, host, monkeypatch):
    install("acme-bad", "raise RuntimeError('no luck')")
    install("acme-good", TOOL.format("good"))
    monkeypatch.setenv(plugins.DISABLE, "acme-good,acme-typo")
    host.reset()
    found = installation.failing_plugins()
    broken = about(found, "acme-bad 1.0")[0]
    assert broken.level == "error"
    assert "RuntimeError: no luck" in broken.problem
    assert "DOVETAIL_DISABLE_PLUGINS=bad" in broken.remedy
    assert about(found, "acme-good 1.0")[0].level == "note"
    assert about(found, "acme-typo")[0].level == "warning"


def test_double_claims(install, host, monkeypatch):
    install("acme-one", TOOL.format("one"))
    install("acme-two", TOOL.format("two"))
    (conflict,) = about(installation.contested_names(), "acme-tool")
    assert conflict.level == "error"
    assert "acme-one 1.0 and acme-two 1.0" in conflict.problem
    monkeypatch.setenv(plugins.PREFER, "acme-tool=two")
    host.reset()
    (shadowed,) = about(installation.contested_names(), "acme-tool")
    assert shadowed.level == "warning"
    assert "acme-one 1.0 is shadowed by acme-two 1.0" in shadowed.problem


def test_optional_packages_that_do_not_import(tmp_path, monkeypatch):
    sources = {
        "acme_fine": "",
        "acme_raises": "raise OSError('libfoo.so: cannot open')",
        "acme_dies": "import os; os._exit(7)",
        "acme_last": "",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(
        installation, "OPTIONAL", {**{name: name for name in sources}, "acme_absent": "x"}
    )
    raises, dies = installation.optional_packages()
    assert raises.subject == "acme_raises"
    assert "OSError: libfoo.so: cannot open" in raises.problem
    assert "pip install --force-reinstall acme_raises" in raises.remedy
    assert dies.subject == "acme_dies"
    assert "the process died (7)" in dies.problem


def test_an_optional_package_that_hangs(tmp_path, monkeypatch):
    (tmp_path / "acme_hangs.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(installation, "OPTIONAL", {"acme_hangs": "acme-hangs"})
    monkeypatch.setattr(installation, "IMPORT_SECONDS", 1)
    (finding,) = installation.optional_packages()
    assert "no answer within 1 s" in finding.problem


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository in a cache of its own, whole."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "models--org--name"
    snapshot = folder / "snapshots" / COMMIT
    for part in (folder / "blobs", folder / "refs", snapshot):
        part.mkdir(parents=True)
    (folder / "blobs" / "aa").write_text("{}")
    (folder / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").symlink_to("../../blobs/aa")
    return folder


def test_a_whole_cache_and_no_cache_give_no_findings(repo, monkeypatch, tmp_path):
    assert cache.cache_entries() == []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none" / "hub"))
    assert cache.cache_entries() == []
    assert {item.level for item in cache.disk_space()} <= {"warning"}


def test_a_download_that_stopped(repo):
    (repo / "blobs" / "bb.incomplete").write_bytes(b"x" * 2048)
    (finding,) = cache.cache_entries()
    assert (finding.level, finding.subject) == ("warning", "org/name")
    assert "stopped after 2 KiB: bb.incomplete" in finding.problem
    assert finding.remedy == "dovetail download org/name resumes it"


def test_a_link_to_nothing(repo):
    (repo / "blobs" / "aa").unlink()
    (finding,) = cache.cache_entries()
    assert finding.level == "error"
    assert f"snapshots/{COMMIT}/config.json points to a file that is gone" in finding.problem
    assert "delete " in finding.remedy


def test_a_revision_without_files(repo):
    (repo / "refs" / "v2").write_text("f" * 40)
    (finding,) = cache.cache_entries()
    assert "no file is here of revision 'v2', commit ffffffffffff" in finding.problem


def test_missing_shards_and_a_damaged_index(repo):
    index = repo / "snapshots" / COMMIT / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}))
    (index.parent / "m-1.safetensors").write_text("")
    (finding,) = cache.cache_entries()
    assert "1 of 2 weight files are missing, first m-2.safetensors" in finding.problem
    index.write_text("[]")
    (finding,) = cache.cache_entries()
    assert finding.level == "error"
    assert "cannot be read as an index" in finding.problem


def test_a_disk_that_is_nearly_full(repo, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda place: SimpleNamespace(free=3 * 2**20))
    (finding,) = cache.disk_space()
    assert "only 3 MiB are free" in finding.problem


@pytest.mark.parametrize(
    ("settings", "cores", "quota", "expected"),
    [
        ({}, 8, None, ""),
        ({"OMP_NUM_THREADS": "8"}, 8, None, ""),
        ({"OMP_NUM_THREADS": "1"}, 2, None, ""),
        ({"OMP_NUM_THREADS": "64"}, 8, None, "64 threads share 8 cores"),
        ({"MKL_NUM_THREADS": "2"}, 16, None, "only 2 of 16 cores"),
        ({"OMP_NUM_THREADS": "all"}, 8, None, "'all' is no number of threads"),
        ({}, 8, 2.5, "may use 2.5 of 8 cores"),
        ({"OMP_NUM_THREADS": "8"}, 8, 2.0, ""),
        ({"TOKENIZERS_PARALLELISM": "false"}, 8, None, "tokenized by one core"),
    ],
)
def test_threads_that_will_be_slow(settings, cores, quota, expected):
    found = machine.thread_findings(settings, cores, quota)
    assert len(found) == bool(expected)
    assert all(expected in item.problem for item in found)


def test_the_quota_of_a_container(tmp_path):
    limit = tmp_path / "cpu.max"
    limit.write_text("250000 100000\n")
    assert machine.cpu_quota(limit) == 2.5
    limit.write_text("max 100000\n")
    assert machine.cpu_quota(limit) is None
    assert machine.cpu_quota(tmp_path / "absent") is None


def test_a_card_that_torch_cannot_use(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "NVIDIA_DRIVER", tmp_path)
    monkeypatch.setattr(machine, "version", lambda name: "2.13.0+cpu")
    assert "runs on the processor only" in machine.graphics_card()[0].problem
    monkeypatch.setattr(machine, "version", lambda name: "2.13.0")
    assert machine.graphics_card() == []


def report(level: str | None) -> dict:
    found = [Finding(level, "thing", "is odd", "mend it")] if level else []
    return {"first": lambda: found, "second": list}


@pytest.mark.parametrize(
    ("level", "status", "line"),
    [
        (None, 0, "Everything is in order."),
        ("note", 0, "1 note."),
        ("warning", 0, "1 warning."),
        ("error", 1, "1 error."),
    ],
)
def test_the_exit_status_says_whether_something_is_broken(level, status, line, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "all_checks", lambda: report(level))
    assert execute(["doctor"]) == status
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == line
    if level:
        assert f"{level}: thing: is odd" in text
        assert "-> mend it" in text
    assert execute(["doctor", "--json"]) == status
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (status == 0)
    assert answer["checks"]["second"] == []


def test_the_real_doctor_runs_and_every_check_answers(capsys):
    status = execute(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert status == (0 if answer["ok"] else 1)
    assert set(answer["checks"]) == set(doctor.all_checks())


def test_env_masks_secrets_and_prints_json(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert settings()["HF_TOKEN"] == "***"
    assert execute(["env", "--json"]) == 0
    text = capsys.readouterr().out
    assert "hf_secret" not in text
    facts = json.loads(text)
    assert facts["settings"]["HF_HUB_OFFLINE"] == "1"
    assert facts["libraries"]["torch"] == facts["libraries"]["torch"].strip() != "not installed"
    assert execute(["env"]) == 0
    assert "system:" in capsys.readouterr().out


def test_env_survives_a_torch_that_does_not_import():
    source = (
        "import sys; sys.modules['torch'] = None\n"
        "from dovetail.cli.env import torch_facts\n"
        "print(torch_facts())"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert "fails" in done.stdout
