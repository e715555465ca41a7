"""Image preprocessing beside the reference library's: images per second of CPU time, batch of 64.

usage: python benchmarks/images.py [--rounds 3]

Each library runs in a process of its own, on one thread, with the processor that
`AutoImageProcessor` picks by default, on pictures of 640 x 480 pixels; the fastest of several calls
counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = {
    "dovetail": Path(sys.executable),
    "transformers": ROOT / ".venv-reference" / "bin" / "python",
}
BATCH, CALLS = 64, 3
CLASSES = ("ViTImageProcessor", "ConvNextImageProcessor", "DetrImageProcessor")
"""A square, the largest square and a batch with masks."""


def pictures() -> list[Any]:
    """A batch of decoded pictures."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    small = [noise.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(BATCH)]
    return [Image.fromarray(one).resize((640, 480), Image.Resampling.BICUBIC) for one in small]


def measure(library: str) -> dict[str, float]:
    """Images per second by class."""
    warnings.simplefilter("ignore")
    names = importlib.import_module(library)
    batch, results = pictures(), {}
    for name in CLASSES:
        with TemporaryDirectory() as folder:
            content = json.dumps({"image_processor_type": name})
            (Path(folder) / "preprocessor_config.json").write_text(content)
            processor = names.AutoImageProcessor.from_pretrained(folder)
        few = batch[:8] if name == "DetrImageProcessor" else batch
        processor(few[:2], return_tensors="pt")
        seconds = []
        for _ in range(CALLS):
            start = time.process_time()
            processor(few, return_tensors="pt")
            seconds.append(time.process_time() - start)
        results[name] = len(few) / min(seconds)
    return results


def run(library: str) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [str(PYTHONS[library]), __file__, "--library", library]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print images per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--library", choices=list(PYTHONS), help="measure one, print JSON")
    options = parser.parse_args()
    if options.library:
        print(json.dumps(measure(options.library)))
        return
    results: dict[str, list[dict[str, float]]] = {library: [] for library in PYTHONS}
    for _ in range(options.rounds):
        for library in PYTHONS:
            results[library].append(run(library))
    print(f"{'images per second':28}{'dovetail':>12}{'transformers':>14}{'ratio':>9}")
    for name in CLASSES:
        ours, theirs = (statistics.median(r[name] for r in results[one]) for one in PYTHONS)
        print(f"{name:28}{ours:12.4g}{theirs:14.4g}{ours / theirs:8.2f}x")


if __name__ == "__main__":
    main()
