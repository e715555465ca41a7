"""What is measured, in a process of its own: ``worker.py LIBRARY BENCHMARK FOLDER``.

The process prepares, then makes one measurement for each line it reads and answers with a line of
JSON. Both libraries have the same public names, so the same lines measure either.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

Figures = dict[str, float]
PROMPT, NEW = 16, 25
SHAPE = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "rms_norm_eps",
}  # fmt: skip
SMALL = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
}
"""The shape of a draft model of 21M parameters, in place of the decoder's of 135M."""


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


def prepare_import(library: str, folder: Path) -> Callable[[], Figures]:
    """Importing the library alone."""
    return lambda: {"import_s": seconds(lambda: importlib.import_module(library))}


def prepare_auto(library: str, folder: Path) -> Callable[[], Figures]:
    """What a class for models adds to a process that has imported torch."""
    importlib.import_module("torch")
    auto = lambda: importlib.import_module(library).AutoModelForCausalLM  # noqa: E731
    return lambda: {"auto_model_s": seconds(auto)}


def prepare_load(library: str, folder: Path) -> Callable[[], Figures]:
    """Loading, and reading every weight once."""
    module = importlib.import_module(library)
    auto, _ = module.AutoModelForCausalLM, module.LlamaForCausalLM  # importing is no part of it
    size = (folder / "decoder" / "model.safetensors").stat().st_size

    def measure() -> Figures:
        before = resident_memory()
        start = time.perf_counter()
        model = auto.from_pretrained(folder / "decoder")
        loaded = time.perf_counter() - start
        for parameter in model.parameters():
            parameter.sum()
        ready = time.perf_counter() - start
        peak = (peak_memory() - before) / size
        return {"load_s": loaded, "load_and_read_s": ready, "peak_over_checkpoint": peak}

    return measure


def prepare_generate(library: str, folder: Path) -> Callable[[], Figures]:
    """Greedy decoding at batch 1 and 8, and where the time of a token goes."""
    import torch

    model = importlib.import_module(library).AutoModelForCausalLM.from_pretrained(
        folder / "decoder"
    )
    prompts = torch.randint(1, 49152, (8, PROMPT), generator=torch.Generator().manual_seed(0))
    products = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    rows = {module.in_features: torch.randn(1, 1, module.in_features) for module in products}

    def generate(batch: int, count: int) -> None:
        ids = prompts[:batch]
        options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
        model.generate(ids, attention_mask=torch.ones_like(ids), **options)

    def multiply() -> None:
        with torch.inference_mode():
            for module in products:
                module(rows[module.in_features])

    def measure() -> Figures:
        figures: Figures = {}
        for batch in (1, 8):
            first, whole = (seconds(partial(generate, batch, count)) for count in (1, NEW))
            figures[f"tokens_per_s_{batch}"] = batch * NEW / whole
            figures[f"ms_per_token_{batch}"] = (whole - first) / (NEW - 1) * 1e3
        figures["matrix_ms"] = min(seconds(multiply) for _ in range(5)) * 1e3
        figures["other_ms"] = figures["ms_per_token_1"] - figures["matrix_ms"]
        return figures

    generate(8, 2)
    return measure


def prepare_decode(
    size: str, dtype: str, batches: Sequence[int], library: str, folder: Path
) -> Callable[[], Figures]:
    """Milliseconds of one greedy step at each batch size."""
    import torch

    auto = importlib.import_module(library).AutoModelForCausalLM
    name, steps = {"135M": ("decoder", 24), "1B": ("decoder-1B", 6)}[size]
    model = auto.from_pretrained(folder / name, torch_dtype=getattr(torch, dtype))
    prompts = torch.randint(1, 49152, (max(batches), PROMPT))

    def generate(batch: int, count: int) -> None:
        ids = prompts[:batch]
        options = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
        model.generate(ids, attention_mask=torch.ones_like(ids), **options)

    def measure() -> Figures:
        figures: Figures = {}
        for batch in batches:
            first, whole = (seconds(partial(generate, batch, count)) for count in (1, steps))
            figures[f"ms_{batch}"] = (whole - first) / (steps - 1) * 1e3
        return figures

    generate(1, 2)
    return measure


def texts(folder: Path, count: int) -> list[str]:
    """So many pieces of the book that comes with the repository, of some sixty words."""
    words = (folder.parents[1] / "examples" / "data" / "alice.txt").read_text().split()
    return [" ".join(words[start : start + 60]) for start in range(0, 60 * count, 60)]


def prepare_tokenize(library: str, folder: Path) -> Callable[[], Figures]:
    """Paragraphs per second."""
    tokenizer = importlib.import_module(library).AutoTokenizer.from_pretrained(folder / "encoder")
    batch = texts(folder, 64)
    options = {"padding": True, "truncation": True}

    def measure() -> Figures:
        return {
            "single_per_s": 64 / seconds(lambda: [tokenizer(text) for text in batch]),
            "batched_per_s": 64 / seconds(lambda: tokenizer(batch, **options)),
            "tensors_per_s": 64 / seconds(lambda: tokenizer(batch, return_tensors="pt", **options)),
        }

    measure()
    return measure


def prepare_pipeline(library: str, folder: Path) -> Callable[[], Figures]:
    """Paragraphs per second through ``feature-extraction``."""
    pipeline = importlib.import_module(library).pipeline
    extract = pipeline("feature-extraction", model=str(folder / "encoder"), device="cpu")
    batch = texts(folder, 32)

    def measure() -> Figures:
        return {
            "single_per_s": 32 / seconds(lambda: [extract(text) for text in batch]),
            "batched_per_s": 32 / seconds(lambda: extract(batch, batch_size=8)),
        }

    extract(batch[:2])
    return measure


def prepare_continuous(library: str, folder: Path) -> Callable[[], Figures]:
    """16 requests whose prompts and texts have from 4 to 128 tokens, most of them few: in a padded
    batch, and continuously."""
    import torch

    module = importlib.import_module(library)
    model = module.AutoModelForCausalLM.from_pretrained(folder / "decoder")
    config = module.GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0)
    batching = module.ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=512)
    generator = torch.Generator().manual_seed(0)
    lengths, counts = (4 * 32 ** torch.rand(2, 16, generator=generator)).long().tolist()
    prompts = [torch.randint(1, 49152, (length,), generator=generator) for length in lengths]
    longest = max(lengths)
    ids = torch.stack([torch.nn.functional.pad(p, (longest - len(p), 0)) for p in prompts])

    def pad() -> None:
        model.generate(
            ids,
            attention_mask=(ids != 0).long(),
            generation_config=config,
            max_new_tokens=max(counts),
        )

    def serve() -> None:
        with model.continuous_batching_context_manager(
            generation_config=config, continuous_batching_config=batching
        ) as manager:
            for prompt, count in zip(prompts, counts, strict=True):
                manager.add_request(prompt.tolist(), max_new_tokens=count)
            for _ in prompts:
                manager.get_result()

    def measure() -> Figures:
        figures: Figures = {}
        for name, action in (("padded", pad), ("continuous", serve)):
            used = time.process_time()
            figures[f"{name}_per_s"] = sum(counts) / seconds(action)
            figures[f"{name}_cpu_s"] = time.process_time() - used
        return figures

    model.generate(ids[:2], generation_config=config, max_new_tokens=2)
    return measure


def reciting(library: str, settings: dict[str, Any], period: int, slips: int = 0) -> Any:
    """A Llama that goes round in a circle of `period` tokens, or slips at each `slips`-th of them.

    The layers do all their work, but their last matrices are zero: so the next token follows from
    the last one alone, through an output layer that knows it.
    """
    import torch

    module = importlib.import_module(library)
    torch.manual_seed(0)
    model = module.LlamaForCausalLM(module.LlamaConfig(**settings, tie_word_embeddings=False))
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        table = model.model.embed_tokens.weight.normal_()
        head = model.lm_head.weight.zero_()
        for token in range(1, period + 1):
            slipped = slips and token % slips == 0
            head[period + 1 if slipped else token % period + 1] += table[token]
    return model.eval()


def prepare_speculation(library: str, folder: Path) -> Callable[[], Figures]:
    """Greedy decoding of a text that repeats itself after 48 tokens: plainly, by prompt lookup, and
    with a draft model that is wrong at every tenth token."""
    import torch
    from fixtures import DECODER

    shape = {key: DECODER[key] for key in DECODER.keys() & SHAPE}
    model = reciting(library, shape, 48)
    draft = reciting(library, shape | SMALL, 48, slips=10)
    prompt = (torch.arange(96) % 48 + 1)[None]
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "lookup": {"prompt_lookup_num_tokens": 10},
        "draft": {"assistant_model": draft},
    }
    options = {"max_new_tokens": 64, "do_sample": False, "pad_token_id": 0, "eos_token_id": 0}
    options["attention_mask"] = torch.ones_like(prompt)

    def measure() -> Figures:
        figures: Figures = {}
        for name, way in ways.items():
            used = time.process_time()
            figures[f"{name}_ms"] = (
                seconds(partial(model.generate, prompt, **options, **way)) / 0.064
            )
            figures[f"{name}_cpu_ms"] = (time.process_time() - used) / 0.064
        return figures

    texts = [model.generate(prompt, **options, **way).tolist() for way in ways.values()]
    if texts != texts[:1] * len(texts):
        raise SystemExit("assistance changed the text")
    return measure


BENCHMARKS: dict[str, Callable[[str, Path], Callable[[], Figures]]] = {
    "import": prepare_import,
    "auto": prepare_auto,
    "load": prepare_load,
    "generate": prepare_generate,
    "continuous": prepare_continuous,
    "speculation": prepare_speculation,
    "tokenize": prepare_tokenize,
    "pipeline": prepare_pipeline,
}

SIZES, DTYPES, BATCHES = ("135M", "1B"), ("float32", "bfloat16"), (1, 4, 16)
BENCHMARKS |= {
    f"decode-{size}-{dtype}": partial(prepare_decode, size, dtype, BATCHES)
    for size in SIZES
    for dtype in DTYPES
}

if __name__ == "__main__":
    library, benchmark, folder = sys.argv[1:]
    measure = BENCHMARKS[benchmark](library, Path(folder))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
