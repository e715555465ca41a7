"""Run the benchmarks and print Dovetail's figures beside the reference library's.

Each measurement runs in its own process; the two libraries take turns; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from fixtures import FOLDER, ROOT, prepare

WORKER = Path(__file__).with_name("worker.py")
REFERENCE = ROOT / ".venv-latest" / "bin" / "python"
LIBRARIES = {"dovetail": Path(sys.executable), "transformers": REFERENCE}
ROWS: dict[str, dict[str, tuple[str, bool]]] = {
    "import": {"import_s": ("import the library, s", False)},
    "auto": {"auto_model_s": ("AutoModelForCausalLM after import torch, s", False)},
    "load": {
        "load_s": ("from_pretrained, s", False),
        "load_and_read_s": ("from_pretrained and reading all weights, s", False),
        "peak_over_checkpoint": ("peak memory over checkpoint size", False),
    },
    "generate": {
        "ms_per_token_1": ("batch 1: ms per token", False),
        "matrix_ms": ("    of it in matrix products", False),
        "other_ms": ("    everything else", False),
        "tokens_per_s_1": ("batch 1: tokens per second", True),
        "ms_per_token_8": ("batch 8: ms per step", False),
        "tokens_per_s_8": ("batch 8: tokens per second", True),
    },
    "tokenize": {
        "single_per_s": ("texts per second, one by one", True),
        "batched_per_s": ("texts per second, batches of 64", True),
        "tensors_per_s": ("texts per second, batches of 64 as tensors", True),
    },
    "pipeline": {
        "single_per_s": ("texts per second, one by one", True),
        "batched_per_s": ("texts per second, batches of 8", True),
    },
}
"""Benchmark to figure to its description and whether more is better."""


def measure(library: str, benchmark: str) -> dict[str, float]:
    """One run of the worker."""
    command = [str(LIBRARIES[library]), str(WORKER), library, benchmark, str(FOLDER)]
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{library} failed at {benchmark}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(benchmark: str, rounds: int) -> None:
    """Measure both libraries in turns and print a line per figure."""
    results: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    for turn in range(rounds):
        order = list(LIBRARIES) if turn % 2 == 0 else list(LIBRARIES)[::-1]
        for library in order:
            results[library].append(measure(library, benchmark))
    for figure, (label, more_is_better) in ROWS[benchmark].items():
        ours, theirs = (
            statistics.median(result[figure] for result in results[library])
            for library in LIBRARIES
        )
        ratio = (
            (ours / theirs if more_is_better else theirs / ours)
            if ours and theirs
            else float("nan")
        )
        print(f"{benchmark:10}{label:46}{ours:12.4g}{theirs:14.4g}{ratio:9.2f}x", flush=True)


def version(library: str) -> str:
    """What is measured."""
    code = (
        f"from importlib.metadata import version as v; print(v({library!r}), 'torch', v('torch'))"
    )
    return subprocess.run(
        [LIBRARIES[library], "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def main(arguments: Iterable[str] | None = None) -> None:
    """Parse the command line, run what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", help=f"{', '.join(ROWS)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    if unknown := set(options.benchmarks) - set(ROWS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if not REFERENCE.exists():
        raise SystemExit(
            f"{REFERENCE} is missing: `make bench` creates the reference's environment."
        )
    prepare()
    for library in LIBRARIES:
        print(f"{library} {version(library)}")
    print(f"{os.cpu_count()} processors; medians of {options.rounds} alternating runs")
    print("ratio above 1: dovetail is better\n")
    print(f"{'':56}{'dovetail':>12}{'transformers':>14}{'ratio':>10}")
    for benchmark in options.benchmarks or ROWS:
        compare(benchmark, options.rounds)


if __name__ == "__main__":
    main()
