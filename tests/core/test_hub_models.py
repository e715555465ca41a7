"""Whole models from and to a Hub: one commit each, cached, resumed, and never from elsewhere."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.core.hub_server import connected
from tests.core.tiny import TinyForCausalLM, equal_states, tiny

from dovetail.errors import CheckpointError, HubError

MODEL = "org/tiny"
ROOT = str(Path(__file__).parents[2])


def files_of(model, folder, **options):
    """The files that saving writes, as a repository holds them."""
    model.save_pretrained(folder, **options)
    names = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in names}


@pytest.fixture
def model():
    return tiny(3)


@pytest.fixture
def server(monkeypatch, tmp_path, model):
    with connected(monkeypatch, tmp_path / "cache") as running:
        running.add(MODEL, files_of(model, tmp_path / "saved", max_shard_size="1KB"))
        yield running


def load(**options):
    return TinyForCausalLM.from_pretrained(MODEL, **options)


def test_a_sharded_model_of_the_hub(server, model):
    assert "model.safetensors.index.json" in server.repos[MODEL].commits.popitem()[1]


def test_loading(server, model):
    assert equal_states(load(), model)


def test_pushing_and_loading_again(server, model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model.push_to_hub("me/pushed", max_shard_size="1KB", token="t")
    repo = server.repos["me/pushed"]
    names = set(repo.commits[repo.refs["main"]])
    assert {"config.json", "model.safetensors.index.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert repo.messages[-1] == "Upload model"
    assert equal_states(TinyForCausalLM.from_pretrained("me/pushed", token="t"), model)


def test_all_files_come_from_one_commit(server, model, tmp_path):
    """The branch moves as soon as the config was read."""
    other = files_of(tiny(4, hidden_size=16), tmp_path / "other", max_shard_size="1KB")

    def move(method, path):
        if (
            method == "GET"
            and path.endswith("config.json")
            and len(server.repos[MODEL].commits) == 1
        ):
            server.add(MODEL, other)

    server.after = move
    assert equal_states(load(), model)
    assert load().config.hidden_size == 16


def test_a_revision(server, model, tmp_path):
    commit = server.repos[MODEL].refs["main"]
    server.add(MODEL, files_of(tiny(5), tmp_path / "newer"))
    assert equal_states(load(revision=commit), model)
    assert not equal_states(load(), model)
    server.requests.clear()
    load(revision=commit)
    assert server.requests == []


def test_a_subfolder(server, model, tmp_path):
    files = files_of(model, tmp_path / "part")
    server.add("org/parts", {f"deep/part/{name}": data for name, data in files.items()})
    assert equal_states(TinyForCausalLM.from_pretrained("org/parts", subfolder="deep/part"), model)
    with pytest.raises(HubError, match=r"no file 'config.json'"):
        TinyForCausalLM.from_pretrained("org/parts")


def test_a_cut_download(server, model):
    server.cuts, server.cut_at, server.large = 2, 300, 100
    assert equal_states(load(), model)


@pytest.mark.parametrize("fault", ["status", "delay", "garbage"])
def test_a_dead_hub_and_a_warm_cache(server, model, caplog, fault):
    load()
    setattr(server, fault, {"status": 500, "delay": 30.0, "garbage": b"?"}[fault])
    server.requests.clear()
    started = time.monotonic()
    assert equal_states(load(), model)
    assert time.monotonic() - started < 3
    assert len(server.requests) == 1
    assert caplog.text.count("Using the cached files") == 1


def test_a_dead_hub_and_a_cold_cache(server):
    server.status = 500
    started = time.monotonic()
    with pytest.raises(HubError, match="could not be asked about org/tiny"):
        load()
    assert time.monotonic() - started < 3


def test_a_warm_cache_offline_opens_no_socket(server, tmp_path):
    load()
    code = f"""
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
sys.path.insert(0, {ROOT!r})
from tests.core.tiny import TinyForCausalLM
TinyForCausalLM.from_pretrained({MODEL!r})
assert seen == [], seen
"""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


@pytest.mark.parametrize("shard", ["../../../secret", "/etc/passwd", "a\\b", "http://x/y"])
def test_an_index_reaches_nothing_outside_the_repository(server, model, shard):
    repo = server.repos[MODEL]
    files = dict(repo.commits[repo.refs["main"]])
    index = json.loads(files["model.safetensors.index.json"])
    index["weight_map"]["lm_head.weight"] = shard
    server.add(MODEL, {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    server.requests.clear()
    with pytest.raises((CheckpointError, HubError), match=r"outside the folder|no file|lacks"):
        load()
    assert not [path for method, path in server.requests if "passwd" in path or "secret" in path]


def test_a_truncated_shard_is_named(server):
    repo = server.repos[MODEL]
    files = dict(repo.commits[repo.refs["main"]])
    name = next(name for name in files if name.endswith(".safetensors"))
    server.add(MODEL, {**files, name: files[name][:-10]})
    with pytest.raises(CheckpointError, match=name):
        load()
