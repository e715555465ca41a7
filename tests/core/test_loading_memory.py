"""Peak memory of a load, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.tiny import tiny

ROOT = Path(__file__).parents[2]
LOAD = """
import json, sys
import torch
from dovetail.loading import load_pretrained
from dovetail.generation import GenerationConfig
from tests.core.tiny import TinyForCausalLM, tiny

def kilobytes(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

folder, options = sys.argv[1], json.loads(sys.argv[2])
tiny()(torch.tensor([[1]]))                        # what a first use imports does not count
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")                                # forget the peak so far
before = kilobytes("VmRSS")
model = TinyForCausalLM.from_pretrained(folder, **options)
loaded = kilobytes("VmHWM") - before
total = sum(float(parameter.sum()) for parameter in model.parameters())
print(json.dumps({"loaded": loaded * 1024,
                  "peak": (kilobytes("VmHWM") - before) * 1024,
                  "model": model.get_memory_footprint()}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    sizes = {"vocab_size": 12000, "hidden_size": 512, "num_hidden_layers": 12}
    tiny(**sizes).save_pretrained(folder / "one")
    tiny(**sizes).save_pretrained(folder / "shards", max_shard_size="20MB")
    tiny(**sizes).save_pretrained(folder / "pickled", safe_serialization=False)
    return folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("folder", "options", "limit"),
    [
        ("one", {}, 1.1),
        ("shards", {}, 1.1),
        ("pickled", {}, 1.1),
        ("one", {"device_map": "cpu"}, 1.1),
        # In half precision the model is half of the file; one tensor in full comes on top.
        ("one", {"torch_dtype": "bfloat16"}, 0.5 * 1.1 + 0.4),
    ],
)
def test_peak_memory(folder: str, options: dict[str, str], limit: float, large: Path) -> None:
    source = large / folder
    size = sum(path.stat().st_size for path in source.iterdir() if path.suffix != ".json")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(source), json.dumps(options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["peak"] <= limit * size, (measured, size)
    if folder != "pickled" and not options:
        # Mapped weights cost nothing before they are used, although all were looked through.
        assert measured["loaded"] < 0.4 * size, (measured, size)
