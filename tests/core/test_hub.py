"""Finding files in folders, in the cache and on a Hub that works, fails, lies or is silent."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.core.hub_server import connected

from dovetail import hub
from dovetail.configs import PretrainedConfig
from dovetail.errors import HubError

huggingface_hub = pytest.importorskip("huggingface_hub")

MODEL = "org/model"
CONFIG = json.dumps({"hidden_size": 8}).encode()
WEIGHTS = bytes(range(256)) * 400  # more than the server sends without redirect


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub which the client is pointed at, and a cache of the test's own."""
    with connected(monkeypatch, tmp_path / "cache") as running:
        running.add(MODEL, {"config.json": CONFIG, "model.safetensors": WEIGHTS, "sub/a.txt": b"a"})
        yield running


def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


# --- local folders ---


def test_files_of_a_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "sub" / "a.txt").write_text("a")
    assert hub.cached_file(tmp_path, "config.json") == str(tmp_path / "config.json")
    assert hub.cached_file(tmp_path, "a.txt", subfolder="sub") == str(tmp_path / "sub" / "a.txt")
    assert hub.cached_file(tmp_path, "sub/a.txt") == str(tmp_path / "sub" / "a.txt")
    assert hub.has_file(tmp_path, "config.json")
    assert not hub.has_file(tmp_path, "other.json")


def test_a_missing_file_of_a_folder(tmp_path):
    (tmp_path / "config.json").write_bytes(CONFIG)
    assert hub.cached_file(tmp_path, "konfig.json", raise_on_missing=False) is None
    with pytest.raises(
        HubError, match=r"no file 'konfig.json'. Did you mean 'config.json'.* holds"
    ):
        hub.cached_file(tmp_path, "konfig.json")
    with pytest.raises(OSError, match="It holds: nothing"):
        hub.cached_file(tmp_path, "a", subfolder="absent")


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "C:secret", "a\0b", "", "a\nb"],
)
def test_names_never_leave_the_folder(tmp_path, name):
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(HubError, match=r"outside the folder|no file name"):
        hub.cached_file(folder, name, raise_on_missing=False)
    with pytest.raises(HubError, match=r"outside the folder|no file name"):
        hub.cached_file(MODEL, name, raise_on_missing=False)


def test_links_never_leave_the_folder(tmp_path):
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to("../secret")
    (folder / "real").write_text("r")
    (folder / "inside").symlink_to("real")
    with pytest.raises(HubError, match=r"is a link to .*secret, outside the folder"):
        hub.cached_file(folder, "link")
    assert hub.cached_file(folder, "inside") == str(folder / "inside")


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c", "", "~/x", "a b", "org/../x"])
def test_neither_folder_nor_id(name):
    with pytest.raises(HubError, match="no folder on this machine, and no id"):
        hub.cached_file(name, "config.json")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(HubError, match="is a file where a folder"):
        hub.cached_file(tmp_path / "x", "config.json")


# --- a Hub that works ---


def test_fetching_and_the_shared_cache(server, tmp_path):
    path = hub.cached_file(MODEL, "config.json")
    commit = server.repos[MODEL].refs["main"]
    snapshot = tmp_path / "cache" / "models--org--model" / "snapshots" / commit
    assert Path(path) == snapshot / "config.json"
    assert Path(path).read_bytes() == CONFIG
    assert hub.commit_of(path) == commit
    assert Path(hub.cached_file(MODEL, "model.safetensors")).read_bytes() == WEIGHTS
    assert Path(hub.cached_file(MODEL, "a.txt", subfolder="sub")).read_bytes() == b"a"
    assert huggingface_hub.hf_hub_download(MODEL, "config.json") == path


def test_own_cache_folder(server, tmp_path):
    path = hub.cached_file(MODEL, "config.json", cache_dir=tmp_path / "mine")
    assert path.startswith(str(tmp_path / "mine"))
    offline_path = hub.cached_file(
        MODEL, "config.json", cache_dir=tmp_path / "mine", local_files_only=True
    )
    assert offline_path == path


def test_an_unchanged_file_costs_one_head_request(server):
    hub.cached_file(MODEL, "config.json")
    server.requests.clear()
    hub.cached_file(MODEL, "config.json")
    assert server.asked_for("config.json") == ["HEAD"]


def test_a_changed_file_is_fetched_anew(server):
    first = hub.cached_file(MODEL, "config.json")
    server.add(MODEL, {"config.json": b'{"hidden_size": 16}'})
    second = hub.cached_file(MODEL, "config.json")
    assert first != second
    assert json.loads(Path(second).read_text()) == {"hidden_size": 16}
    assert Path(first).exists()


def test_a_pinned_revision_is_not_asked_for_again(server):
    commit = server.repos[MODEL].refs["main"]
    path = hub.cached_file(MODEL, "config.json", revision=commit)
    server.add(MODEL, {"config.json": b"{}"})
    server.requests.clear()
    assert hub.cached_file(MODEL, "config.json", revision=commit) == path
    assert hub.cached_file(MODEL, "config.json", commit_hash=commit) == path
    assert server.requests == []


def test_absence_at_a_commit_is_remembered(server):
    commit = server.repos[MODEL].refs["main"]
    options = {"revision": commit, "raise_on_missing": False}
    assert hub.cached_file(MODEL, "other.json", **options) is None
    server.requests.clear()
    assert hub.cached_file(MODEL, "other.json", **options) is None
    assert server.requests == []


def test_files_of_one_load_stay_together(server):
    commit = hub.commit_of(hub.cached_file(MODEL, "config.json"))
    server.add(MODEL, {"config.json": b"{}", "model.safetensors": b"new"})
    path = hub.cached_file(MODEL, "model.safetensors", commit_hash=commit)
    assert Path(path).read_bytes() == WEIGHTS


def test_branches_and_tags(server):
    server.repos[MODEL].commit({"config.json": b"{}"}, branch="v2")
    assert Path(hub.cached_file(MODEL, "config.json", revision="v2")).read_bytes() == b"{}"
    assert Path(hub.cached_file(MODEL, "config.json")).read_bytes() == CONFIG


def test_several_files_at_once(server):
    names = [f"part-{i}" for i in range(9)]
    server.add(MODEL, {name: name.encode() * 3000 for name in names})
    paths = hub.cached_files(MODEL, names)
    assert [Path(path).name for path in paths] == names
    assert [Path(path).read_bytes()[:6] for path in paths] == [name.encode() for name in names]


def test_forced_download(server):
    path = hub.cached_file(MODEL, "config.json")
    server.requests.clear()
    assert hub.cached_file(MODEL, "config.json", force_download=True) == path
    assert "GET" in server.asked_for("config.json")


def test_config_from_the_hub(server):
    config = PretrainedConfig.from_pretrained(MODEL)
    assert config.hidden_size == 8
    assert config._commit_hash == server.repos[MODEL].refs["main"]
    assert "_commit_hash" not in config.to_dict()


# --- a Hub that says no ---


@pytest.mark.parametrize(
    ("repo", "filename", "options", "message"),
    [
        ("org/nothing", "config.json", {}, "neither a folder on this machine nor a repository"),
        (MODEL, "x.json", {}, "org/model has no file 'x.json' at revision 'main'"),
        (MODEL, "config.json", {"revision": "v9"}, "org/model has no revision 'v9'"),
        ("org/gated", "config.json", {}, "org/gated is gated.*HF_TOKEN"),
        ("org/gated", "config.json", {"token": "other"}, "org/gated is gated.*hf auth login"),
        ("org/private", "config.json", {"token": "other"}, "if it is private"),
    ],
)
def test_refusals_say_what_to_do(server, repo, filename, options, message):
    server.add("org/gated", {"config.json": CONFIG}, gated=True, token="secret")
    server.add("org/private", {"config.json": CONFIG}, token="secret")
    started = time.monotonic()
    with pytest.raises(HubError, match=message) as caught:
        hub.cached_file(repo, filename, **options)
    assert isinstance(caught.value, OSError)
    assert time.monotonic() - started < 3
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("repo", ["org/gated", "org/private"])
def test_a_token_opens(server, repo, monkeypatch):
    server.add(repo, {"config.json": CONFIG}, gated=repo == "org/gated", token="secret")
    assert hub.cached_file(repo, "config.json", token="secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert hub.cached_file(repo, "config.json", force_download=True)


def test_optional_files(server):
    assert hub.cached_file(MODEL, "x.json", raise_on_missing=False) is None
    assert hub.has_file(MODEL, "config.json")
    with pytest.raises(HubError, match="has no revision"):
        hub.cached_file(MODEL, "x.json", revision="v9", raise_on_missing=False)
    with pytest.raises(HubError, match="neither a folder"):
        hub.cached_file("org/nothing", "x.json", raise_on_missing=False)


def test_a_cached_repository_that_became_private_still_loads(server, caplog):
    path = hub.cached_file(MODEL, "config.json")
    server.repos[MODEL].token = "secret"
    assert hub.cached_file(MODEL, "config.json") == path
    assert "if it is private" in caplog.text
    assert "Using the cached files of revision 'main'" in caplog.text


# --- a Hub that fails ---

FAULTS = {
    "refuses connections": {},
    "answers 503": {"status": 503},
    "answers 500": {"status": 500},
    "is silent": {"delay": 30.0},
    "sends garbage": {"garbage": b"\x16\x03\x01\x00garbage\r\n\r\n"},
    "sends a web page": {"garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"},
    "hangs up": {"garbage": b""},
    "drips": {"garbage": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000, "drip": 0.2},
    "sends endless headers": {"garbage": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000},
}


def break_down(server, monkeypatch, fault):
    if fault == "refuses connections":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    for name, value in FAULTS[fault].items():
        setattr(server, name, value)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cached_model_loads_although_the_hub(server, monkeypatch, caplog, fault):
    path = hub.cached_file(MODEL, "config.json")
    weights = hub.cached_file(MODEL, "model.safetensors")
    break_down(server, monkeypatch, fault)
    server.requests.clear()
    started = time.monotonic()
    assert hub.cached_file(MODEL, "config.json") == path
    assert hub.cached_file(MODEL, "model.safetensors") == weights
    assert hub.cached_file(MODEL, "generation_config.json", raise_on_missing=False) is None
    assert time.monotonic() - started < 3
    assert len(server.requests) <= 1, "the Hub is asked once, then left alone"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "could not be asked about org/model" in warnings[0]
    assert f"(commit {hub.commit_of(path)})" in warnings[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_cached_fails_soon_although_the_hub(server, monkeypatch, fault):
    break_down(server, monkeypatch, fault)
    started = time.monotonic()
    with pytest.raises(HubError, match=r"could not be asked about org/model.*not in the cache"):
        hub.cached_file(MODEL, "config.json")
    with pytest.raises(HubError, match="not in the cache"):
        hub.cached_file(MODEL, "config.json", raise_on_missing=False)
    assert time.monotonic() - started < 4


def test_a_slow_hub_is_not_asked_about_every_file(server, monkeypatch, caplog):
    for name in ("config.json", "model.safetensors"):
        hub.cached_file(MODEL, name)
    monkeypatch.setattr(hub, "SLOW_SECONDS", 0.1)
    server.delay = 0.3
    server.requests.clear()
    for name in ("config.json", "model.safetensors", "config.json"):
        hub.cached_file(MODEL, name)
    assert server.asked_for("config.json") == ["HEAD"]
    assert len(server.requests) == 1
    assert hub.cached_file(MODEL, "a.txt", subfolder="sub", raise_on_missing=False)
    assert "seconds to answer. For 60 seconds, cached files are used unchecked" in caplog.text


def test_a_hub_that_recovers_is_asked_again(server, monkeypatch):
    hub.cached_file(MODEL, "config.json")
    server.status = 503
    hub.cached_file(MODEL, "config.json")
    server.status = None
    server.add(MODEL, {"config.json": b"{}"})
    assert Path(hub.cached_file(MODEL, "config.json")).read_bytes() == CONFIG
    monkeypatch.setattr(hub, "SILENCE_SECONDS", 0)
    hub._unreachable.clear()
    assert Path(hub.cached_file(MODEL, "config.json")).read_bytes() == b"{}"


def test_a_cut_connection_is_resumed(server, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    server.cuts, server.cut_at = 1, 60_000
    assert Path(hub.cached_file(MODEL, "model.safetensors")).read_bytes() == WEIGHTS
    assert server.ranges == ["bytes=60000-"]


def test_a_killed_download_is_never_taken_for_the_file(server, tmp_path):
    code = f"""
import os, threading
from dovetail import hub
threading.Timer(1.5, os._exit, [9]).start()
hub.cached_file({MODEL!r}, "model.safetensors")
"""
    server.cuts, server.cut_at = 100, 2_000
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    with pytest.raises(HubError, match="not in the cache"):
        hub.cached_file(MODEL, "model.safetensors", local_files_only=True)
    assert "GET" in [method for method, path in server.requests if path.startswith("/cdn/")]
    server.cuts = 0
    assert Path(hub.cached_file(MODEL, "model.safetensors")).read_bytes() == WEIGHTS


# --- no network ---


def test_offline_uses_the_cache_alone(server, monkeypatch):
    path = hub.cached_file(MODEL, "config.json")
    offline(monkeypatch)
    server.requests.clear()
    assert hub.cached_file(MODEL, "config.json") == path
    assert hub.cached_file(MODEL, "x.json", raise_on_missing=False) is None
    with pytest.raises(HubError, match=r"not in the cache .*HF_HUB_OFFLINE.*dovetail download org"):
        hub.cached_file(MODEL, "model.safetensors")
    with pytest.raises(HubError, match="not in the cache"):
        hub.cached_file("org/other", "config.json", raise_on_missing=False)
    assert server.requests == []


def test_local_files_only_does_the_same(server):
    with pytest.raises(HubError, match="local_files_only"):
        hub.cached_file(MODEL, "config.json", local_files_only=True)
    path = hub.cached_file(MODEL, "config.json")
    server.requests.clear()
    assert hub.cached_file(MODEL, "config.json", local_files_only=True) == path
    assert server.requests == []


def test_a_forced_download_needs_the_network(server):
    hub.cached_file(MODEL, "config.json")
    with pytest.raises(HubError, match="Leave out force_download"):
        hub.cached_file(MODEL, "config.json", force_download=True, local_files_only=True)


def test_another_cached_revision_is_suggested(server, monkeypatch):
    commit = server.repos[MODEL].refs["main"]
    hub.cached_file(MODEL, "config.json", revision=commit)
    offline(monkeypatch)
    with pytest.raises(HubError, match=f"revision='{commit}': pass that to use it"):
        hub.cached_file(MODEL, "config.json", revision="v3")


def test_a_warm_cache_opens_no_socket(server, tmp_path):
    """In a process of its own, where the audit hook sees every socket, with the real variables."""
    hub.cached_file(MODEL, "config.json")
    hub.cached_file(MODEL, "model.safetensors")
    code = f"""
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
from dovetail import hub
from dovetail.configs import PretrainedConfig
config = PretrainedConfig.from_pretrained({MODEL!r})
assert config.hidden_size == 8
hub.cached_file({MODEL!r}, "model.safetensors", commit_hash=config._commit_hash)
assert hub.cached_file({MODEL!r}, "generation_config.json", raise_on_missing=False) is None
assert seen == [], seen
"""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_variables_of_the_client_work(server, tmp_path):
    code = """
from dovetail import hub
print(hub.cached_file("org/gated", "config.json"))
"""
    server.add("org/gated", {"config.json": CONFIG}, gated=True, token="secret")
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "secret",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(tmp_path / "home" / "hub" / "models--org--gated"))


def test_the_module_imports_neither_torch_nor_the_client():
    code = "import sys, dovetail.hub; assert not {'torch', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- uploading ---


def test_push_makes_a_repository_and_one_commit(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    info = PretrainedConfig(hidden_size=4).push_to_hub("me/new", token="t")
    repo = server.repos["me/new"]
    assert info.oid == repo.refs["main"]
    assert repo.messages[-1] == "Upload config"
    pushed = PretrainedConfig.from_pretrained("me/new", token="t")
    assert pushed.hidden_size == 4
    assert list(repo.commits[repo.refs["main"]]) == ["config.json"]


def test_save_and_push(server, tmp_path):
    (tmp_path / "private-notes.txt").write_text("mine")
    PretrainedConfig(hidden_size=4).save_pretrained(
        tmp_path, push_to_hub=True, repo_id="me/saved", commit_message="Hello", token="t"
    )
    repo = server.repos["me/saved"]
    assert list(repo.commits[repo.refs["main"]]) == ["config.json"]
    assert repo.messages[-1] == "Hello"


def test_push_to_a_branch_with_tags(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PretrainedConfig().push_to_hub("me/tagged", revision="dev", tags=["small"], token="t")
    repo = server.repos["me/tagged"]
    files = repo.commits[repo.refs["dev"]]
    assert b"- small" in files["README.md"]
    assert "config.json" not in repo.commits[repo.refs["main"]]


def test_large_files_are_pushed_too(server, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / ".dovetail-manifest.json").write_text("{}")
    PretrainedConfig()._upload_folder(tmp_path, repo_id="me/large", token="t")
    repo = server.repos["me/large"]
    assert repo.commits[repo.refs["main"]] == {"model.safetensors": WEIGHTS}


def test_a_failed_push_says_so(server, tmp_path):
    server.status = 403
    with pytest.raises(HubError, match=r"could not be uploaded to 'me/none'.*right to write"):
        PretrainedConfig().push_to_hub("me/none", token="t")
