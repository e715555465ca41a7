"""``dovetail download``: which files, where they lie, what is said when there are none."""

from __future__ import annotations

import pytest

from dovetail.cli import download, execute
from dovetail.errors import HubError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = [
    "config.json",
    "model.safetensors",
    "onnx/model.onnx",
    "pytorch_model.bin",
    "sub/tokenizer.json",
    "tf_model.h5",
]


@pytest.fixture
def hub(monkeypatch):
    """The Hub, as far as this command sees it; `asked` holds what was fetched how."""
    asked: dict = {}
    root = f"/cache/models--org--name/snapshots/{COMMIT}"

    def cached_files(repo, names, **options):
        asked.update(repo=repo, names=names, **options)
        return [f"{root}/{name}" for name in names]

    monkeypatch.setattr(download, "cached_file", lambda *args, **options: f"{root}/config.json")
    monkeypatch.setattr(download, "cached_files", cached_files)
    monkeypatch.setattr(download, "repository_files", lambda *args: list(asked.get("files", FILES)))
    return asked


def test_safetensors_alone_and_the_folder_on_standard_output(hub, capsys):
    assert execute(["download", "org/name", "--revision", "v1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"/cache/models--org--name/snapshots/{COMMIT}\n"
    assert "3 files of org/name" in captured.err
    assert hub["names"] == ["config.json", "model.safetensors", "sub/tokenizer.json"]
    assert (hub["commit_hash"], hub["revision"]) == (COMMIT, "v1")


def test_pickled_weights_where_there_is_nothing_else(hub):
    hub["files"] = ["config.json", "pytorch_model.bin", "model.gguf"]
    assert execute(["download", "org/name"]) == 0
    assert hub["names"] == ["config.json", "pytorch_model.bin"]


def test_patterns_and_all(hub, capsys):
    assert execute(["download", "org/name", "*.json"]) == 0
    assert hub["names"] == ["config.json", "sub/tokenizer.json"]
    assert execute(["download", "org/name", "--all", "--force"]) == 0
    assert hub["names"] == FILES
    assert hub["force_download"] is True


def test_a_pattern_that_matches_nothing(hub, capsys):
    assert execute(["download", "org/name", "confg.json"]) == 2
    assert "Did you mean 'config.json'" in capsys.readouterr().err


def test_a_hub_that_does_not_list_its_files(monkeypatch):
    class Api:
        def list_repo_files(self, *args, **options):
            raise ConnectionError("refused\ndetails")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(
        HubError, match=r"could not be listed \(ConnectionError: refused\)"
    ) as caught:
        download.repository_files("org/name", None, "model")
    assert isinstance(caught.value.__cause__, ConnectionError)
