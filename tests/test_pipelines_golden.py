"""Every run of every task agrees with what the reference returned for the same checkpoint."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dovetail
from dovetail.testing.golden import TOLERANCE, Golden
from dovetail.testing.pictures import kept, summary, with_pictures
from dovetail.testing.seeded import integers

FOLDER = Path(__file__).parent / "golden" / "pipelines"
FILES = sorted([*FOLDER.glob("*.json"), *FOLDER.glob("vision/*.json")])
RUNS = [(path, index) for path in FILES for index in range(len(Golden.read(path).content["runs"]))]


def run_name(case: tuple[Path, int]) -> str:
    path, index = case
    return f"{path.stem}-{Golden.read(path).content['runs'][index]['name']}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each checkpoint with its tokenizer and image processor, as the reference library would have
    saved it."""
    made = {}
    for path in FILES:
        golden = Golden.read(path)
        folder = tmp_path_factory.mktemp(path.stem)
        golden.write_checkpoint(folder)
        if golden.content["tokenizer"]:
            for file in (FOLDER / "tokenizers" / golden.content["tokenizer"]).iterdir():
                shutil.copy(file, folder)
        if settings := golden.content.get("image_processor"):
            (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        made[path.stem] = folder
    return made


def difference(ours: Any, theirs: Any, where: str = "result") -> str:
    """The first place where two results differ, or nothing."""
    if isinstance(ours, Image.Image):
        ours = kept(ours)
    if isinstance(ours, np.ndarray | torch.Tensor) and isinstance(theirs, dict):
        ours = summary(np.asarray(ours, dtype=np.float64))
    if isinstance(ours, np.generic | np.ndarray | torch.Tensor):
        ours = ours.tolist()
    if isinstance(theirs, dict) and isinstance(ours, dict) and list(ours) == list(theirs):
        return next(
            (d for key in theirs if (d := difference(ours[key], theirs[key], f"{where}.{key}"))), ""
        )
    if isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{where}[{i}]"))), "")
    if isinstance(theirs, float) and isinstance(ours, float):
        return "" if abs(ours - theirs) <= TOLERANCE else f"{where}: {ours} is not {theirs}"
    return (
        ""
        if type(ours) is type(theirs) and ours == theirs
        else f"{where}: {ours!r} is not {theirs!r}"
    )


@pytest.mark.parametrize("case", RUNS, ids=run_name)
def test_results_equal_the_reference(case: tuple[Path, int], folders: dict[str, Path]):
    path, index = case
    content = Golden.read(path).content
    run = content["runs"][index]
    options, folder = run.get("options", {}), str(folders[path.stem])
    if "image_processor" in content:  # PIL's arithmetic, which the reference's processors use
        options = {"image_processor": (folder, {"use_fast": False}), **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # some runs use retired arguments
        warnings.simplefilter("ignore", UserWarning)
        pipe = dovetail.pipeline(run["task"], folder, **options)
        arguments = with_pictures(run["arguments"], integers)
        if "offset_mapping" in arguments:
            arguments["offset_mapping"] = [tuple(pair) for pair in arguments["offset_mapping"]]
        result = pipe(*with_pictures(run["inputs"], integers), **arguments)
    assert not difference(result, run["result"])
