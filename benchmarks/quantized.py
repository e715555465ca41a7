"""Milliseconds per decoding step and memory of Dovetail's own packed weights, beside float32 here
and the reference library's newest release: a 16-bit checkpoint, batch 1, greedy, random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fixtures import FOLDER, prepare_decoder
from run import require_reference
from worker import SIZES

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = {
    "dovetail": sys.executable,
    "transformers": str(ROOT / ".venv-latest" / "bin" / "python"),
}
KINDS = (
    ("transformers", "float32", None),
    ("transformers", "bfloat16", None),
    ("dovetail", "float32", None),
    ("dovetail", "float32", "half"),
    ("dovetail", "float32", "int8"),
    ("dovetail", "float32", "int4"),
)
PROMPT, STEPS = 32, 24


def sixteen_bits(size: str) -> Path:
    """The decoder of a size as a checkpoint in bfloat16, as the Hub holds most."""
    import torch

    from dovetail import AutoModelForCausalLM

    source = prepare_decoder(size)
    folder = FOLDER / f"{source.name}-bfloat16"
    if not (folder / "model.safetensors").exists():
        model = AutoModelForCausalLM.from_pretrained(source, torch_dtype=torch.bfloat16)
        model.save_pretrained(folder)
    return folder


def measure(library: str, folder: str, dtype: str, method: str | None, threads: int) -> None:
    """Load, decode, and print what it took as JSON."""
    import importlib

    import torch

    torch.set_num_threads(threads)
    options = {} if method is None else {"quantization_config": method}
    began = time.perf_counter()
    model = importlib.import_module(library).AutoModelForCausalLM.from_pretrained(
        folder, torch_dtype=getattr(torch, dtype), **options
    )
    seconds = time.perf_counter() - began
    ids = torch.arange(3, 3 + PROMPT)[None]
    with torch.inference_mode():
        steps = min((decode(model, ids) for _ in range(3)), key=statistics.median)
    status = Path("/proc/self/status").read_text().splitlines()
    private = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    print(json.dumps({"ms": statistics.median(steps) * 1e3, "mb": private / 1e3, "load": seconds}))


def decode(model: Any, ids: Any) -> list[float]:
    """Seconds of each greedy step after a prompt."""
    out, times = model(ids, use_cache=True), []
    for _ in range(STEPS):
        token = out.logits[:, -1:].argmax(-1)
        began = time.perf_counter()
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        times.append(time.perf_counter() - began)
    return times


def collect(kind: tuple[str, str, str | None], folder: Path, threads: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    library, dtype, method = kind
    words = [library, str(folder), dtype, method or "-", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [PYTHONS[library], __file__, "--worker", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Parse the command line, run what it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES)
    parser.add_argument("--threads", nargs="+", default=(1, 2), type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        library, folder, dtype, method, threads = options.worker
        measure(library, folder, dtype, None if method == "-" else method, int(threads))
        return
    require_reference()
    print(f"{'size':6}{'threads':>8}  {'library':14}{'computes in':12}{'method':8}", end="")
    print(f"{'ms a step':>10}{'ratio':>8}{'MB':>8}{'load s':>8}")
    for size in options.sizes:
        folder = sixteen_bits(size)
        for threads in options.threads:
            compare(size, folder, threads, options.rounds)


def compare(size: str, folder: Path, threads: int, rounds: int) -> None:
    """Measure every kind, in turns, and print a line for each."""
    results: dict[tuple[str, str, str | None], list[dict[str, float]]] = {k: [] for k in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            results[kind].append(collect(kind, folder, threads))
    base = statistics.median(one["ms"] for one in results[KINDS[0]])
    for kind in KINDS:
        library, dtype, method = kind
        ms, mb, load = (
            statistics.median(one[name] for one in results[kind]) for name in ("ms", "mb", "load")
        )
        print(f"{size:6}{threads:8}  {library:14}{dtype:12}{method or '':8}", end="")
        print(f"{ms:10.1f}{base / ms:7.2f}x{mb:8.0f}{load:8.2f}", flush=True)


if __name__ == "__main__":
    main()
