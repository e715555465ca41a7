"""Pipelines from and to a Hub: the real client against a small server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.core.hub_server import HubServer, connected

import dovetail
from dovetail.testing.golden import Golden

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub with one classifier, which the client is pointed at."""
    with connected(monkeypatch, tmp_path / "cache") as running:
        running.add("org/classifier", files_of("classifier", tmp_path / "source"))
        yield running


def files_of(checkpoint: str, folder: Path) -> dict[str, bytes]:
    golden = Golden.read(GOLDEN / f"{checkpoint}.json")
    golden.write_checkpoint(folder)
    shutil.copytree(GOLDEN / "tokenizers" / golden.content["tokenizer"], folder, dirs_exist_ok=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_hub_says_which_task_a_model_is_for(server, tmp_path):
    server.repos["org/classifier"].pipeline_tag = "text-classification"
    pipe = dovetail.pipeline(model="org/classifier")
    assert pipe.task == "text-classification"
    local = dovetail.pipeline(model=str(tmp_path / "source"))
    assert pipe("hello world") == local("hello world")


def test_a_hub_that_does_not_know_the_task(server):
    with pytest.raises(RuntimeError, match=r"does not say which task 'org/classifier' is for"):
        dovetail.pipeline(model="org/classifier")


def test_an_offline_hub_asks_for_the_task_and_serves_what_is_cached(server, monkeypatch):
    online = dovetail.pipeline("text-classification", "org/classifier")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RuntimeError, match="HF_HUB_OFFLINE"):
        dovetail.pipeline(model="org/classifier")
    offline = dovetail.pipeline("text-classification", "org/classifier")
    assert offline("great") == online("great")


def test_the_default_model_of_a_task_comes_with_a_warning(server, caplog):
    files = server.repos["org/classifier"]
    name = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    commit = server.add(name, files.commits[files.refs["main"]])
    server.repos[name].refs["714eb0f"] = commit
    pipe = dovetail.pipeline("sentiment-analysis")
    assert pipe("great")[0]["label"] in ("NEGATIVE", "NEUTRAL", "POSITIVE")
    assert f"{name} (revision 714eb0f) is used" in caplog.text


def test_pipelines_are_pushed_whole(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipe = dovetail.pipeline("text-classification", str(tmp_path / "source"))
    pipe.push_to_hub("me/pushed", token="t")
    repo = server.repos["me/pushed"]
    assert repo.messages[-1] == "Upload pipeline"
    files = set(repo.commits[repo.refs["main"]])
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= files
    again = dovetail.pipeline("text-classification", "me/pushed", token="t")
    assert again("hello world") == pipe("hello world")
    options = {"push_to_hub": True, "repo_id": "me/saved", "token": "t"}
    pipe.save_pretrained(tmp_path / "saved", commit_message="Here", **options)
    assert server.repos["me/saved"].messages[-1] == "Here"
