"""One measurement in a process of its own: ``worker.py LIBRARY BENCHMARK FOLDER`` prints JSON.

Both libraries have the same public names, so the same lines measure either.
"""

from __future__ import annotations

import importlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROMPT, NEW = 16, 64
MATRIX_PRODUCTS = {
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
    "aten::baddbmm",
    "aten::mv",
    "aten::addmv",
    "aten::mkldnn_linear",
    "mkldnn::_linear_pointwise",
}


def seconds(action: Callable[[], Any]) -> float:
    """How long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def peak_memory() -> int:
    """Most bytes this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_memory() -> int:
    """Bytes of this process that are resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_import(library: str, folder: Path) -> dict[str, float]:
    """Importing the library alone."""
    return {"import_s": seconds(lambda: importlib.import_module(library))}


def measure_auto(library: str, folder: Path) -> dict[str, float]:
    """What a class for models adds to a process that has imported torch."""
    importlib.import_module("torch")
    more = seconds(lambda: importlib.import_module(library).AutoModelForCausalLM)
    return {"auto_model_s": more}


def measure_load(library: str, folder: Path) -> dict[str, float]:
    """Loading, and reading every weight once."""
    auto = importlib.import_module(library).AutoModelForCausalLM
    before = resident_memory()
    start = time.perf_counter()
    model = auto.from_pretrained(folder / "decoder")
    loaded = time.perf_counter() - start
    touched = sum(float(parameter.sum()) for parameter in model.parameters())
    ready = time.perf_counter() - start
    size = (folder / "decoder" / "model.safetensors").stat().st_size
    if touched != touched:
        raise SystemExit("the checkpoint holds numbers that are none")
    return {
        "load_s": loaded,
        "load_and_read_s": ready,
        "peak_over_checkpoint": (peak_memory() - before) / size,
    }


def measure_generate(library: str, folder: Path) -> dict[str, float]:
    """Greedy decoding at batch 1 and 8, and where the time of a token goes."""
    import torch

    model = importlib.import_module(library).AutoModelForCausalLM.from_pretrained(
        folder / "decoder"
    )
    prompts = torch.randint(1, 49152, (8, PROMPT), generator=torch.Generator().manual_seed(0))
    results: dict[str, float] = {}
    for batch in (1, 8):
        ids = prompts[:batch]

        def generate(count: int, ids: Any = ids) -> Any:
            options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
            return model.generate(ids, attention_mask=torch.ones_like(ids), **options)

        generate(4)
        first = statistics.median(seconds(lambda: generate(1)) for _ in range(3))
        whole = min(seconds(lambda: generate(NEW)) for _ in range(2))
        results[f"tokens_per_s_{batch}"] = batch * NEW / whole
        results[f"ms_per_token_{batch}"] = (whole - first) / (NEW - 1) * 1e3
        if batch == 1:
            results["matrix_ms"] = matrix_milliseconds(
                lambda: generate(17), lambda: generate(1), 16
            )
            results["other_ms"] = results["ms_per_token_1"] - results["matrix_ms"]
    return results


def matrix_milliseconds(long: Callable[[], Any], short: Callable[[], Any], tokens: int) -> float:
    """Milliseconds per token inside matrix products, by profiling a long and a short run."""
    return (profiled(long) - profiled(short)) / tokens


def profiled(action: Callable[[], Any]) -> float:
    """Milliseconds that `action` spends in matrix products."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        action()
    events = profiler.key_averages()
    return sum(event.self_cpu_time_total for event in events if event.key in MATRIX_PRODUCTS) / 1e3


def texts(folder: Path) -> list[str]:
    """Paragraphs of the book that comes with the repository."""
    book = folder.parents[1] / "examples" / "data" / "alice.txt"
    return [text.replace("\n", " ") for text in book.read_text().split("\n\n") if len(text) > 80]


def measure_tokenize(library: str, folder: Path) -> dict[str, float]:
    """Paragraphs per second."""
    tokenizer = importlib.import_module(library).AutoTokenizer.from_pretrained(folder / "encoder")
    batch = (texts(folder) * 64)[:64]
    tokenizer(batch, padding=True, truncation=True)
    single = min(seconds(lambda: [tokenizer(text) for text in batch]) for _ in range(5))
    many = min(seconds(lambda: tokenizer(batch, padding=True, truncation=True)) for _ in range(10))
    tensors = min(
        seconds(lambda: tokenizer(batch, padding=True, truncation=True, return_tensors="pt"))
        for _ in range(10)
    )
    return {"single_per_s": 64 / single, "batched_per_s": 64 / many, "tensors_per_s": 64 / tensors}


def measure_pipeline(library: str, folder: Path) -> dict[str, float]:
    """Paragraphs per second through ``feature-extraction``."""
    pipeline = importlib.import_module(library).pipeline
    extract = pipeline("feature-extraction", model=str(folder / "encoder"), device="cpu")
    batch = (texts(folder) * 32)[:32]
    extract(batch[:2])
    single = min(seconds(lambda: [extract(text) for text in batch]) for _ in range(2))
    many = min(seconds(lambda: extract(batch, batch_size=8)) for _ in range(2))
    return {"single_per_s": 32 / single, "batched_per_s": 32 / many}


BENCHMARKS: dict[str, Callable[[str, Path], dict[str, float]]] = {
    "import": measure_import,
    "auto": measure_auto,
    "load": measure_load,
    "generate": measure_generate,
    "tokenize": measure_tokenize,
    "pipeline": measure_pipeline,
}

if __name__ == "__main__":
    library, benchmark, folder = sys.argv[1:]
    print(json.dumps(BENCHMARKS[benchmark](library, Path(folder))))
