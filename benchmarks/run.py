"""Run the benchmarks and print Dovetail's figures beside the reference library's.

Each library runs in its own process; the two take turns; medians are compared.
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


ONCE = {"import", "auto", "load"}
"""What can be measured once in a process only."""


class Worker:
    """A process that measures one benchmark of one library whenever it is asked to."""

    def __init__(self, library: str, benchmark: str, threads: int | None = None) -> None:
        variables = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        if threads is not None:
            variables["OMP_NUM_THREADS"] = str(threads)
        self.name = f"{library} at {benchmark}"
        self.process = subprocess.Popen(
            [str(LIBRARIES[library]), str(WORKER), library, benchmark, str(FOLDER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )
        self.answer()

    def answer(self) -> str:
        """The next line of the process."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.name} failed, see above")
        return line

    def measure(self) -> dict[str, float]:
        """One measurement."""
        if self.process.stdin:
            print(file=self.process.stdin, flush=True)
        return json.loads(self.answer())

    def stop(self) -> None:
        """End the process."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def collect(
    benchmark: str, rounds: int, threads: int | None = None
) -> dict[str, list[dict[str, float]]]:
    """`rounds` measurements of each library, in turns, on so many threads."""
    results: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    workers: dict[str, Worker] = {}
    for turn in range(rounds):
        for library in sorted(LIBRARIES, reverse=turn % 2 == 1):
            worker = workers.get(library) or Worker(library, benchmark, threads)
            results[library].append(worker.measure())
            if benchmark in ONCE:
                worker.stop()
            else:
                workers[library] = worker
    for worker in workers.values():
        worker.stop()
    return results


def compare(benchmark: str, rounds: int) -> None:
    """Measure both libraries and print a line per figure."""
    results = collect(benchmark, rounds)
    for figure, (label, more_is_better) in ROWS[benchmark].items():
        ours, theirs = (
            statistics.median(result[figure] for result in results[library])
            for library in LIBRARIES
        )
        ratio = ours / theirs if more_is_better else theirs / ours
        print(f"{benchmark:10}{label:46}{ours:12.4g}{theirs:14.4g}{ratio:9.2f}x", flush=True)


def version(library: str) -> str:
    """What is measured."""
    code = (
        f"from importlib.metadata import version as v; print(v({library!r}), 'torch', v('torch'))"
    )
    return subprocess.run(
        [LIBRARIES[library], "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def require_reference() -> None:
    """End with advice when there is nothing to compare with."""
    if not REFERENCE.exists():
        raise SystemExit(
            f"{REFERENCE} is missing: `make bench` creates the reference's environment."
        )


def main(arguments: Iterable[str] | None = None) -> None:
    """Parse the command line, run what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", help=f"{', '.join(ROWS)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    if unknown := set(options.benchmarks) - set(ROWS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    require_reference()
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
