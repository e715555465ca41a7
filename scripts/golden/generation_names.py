"""Writes the constructors of the reference library's public names for generation, and what its
processors for speech forbid, for `tests/core/test_generation_names.py`.

Runs in the reference library's environment, as part of ``produce.py generation``.
"""

from __future__ import annotations

import inspect
import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig, generation
from transformers.generation import logits_process

VOCABULARY, MARKER, ROWS = 24, 14, 48
LEFT_OUT = ("_", "TF", "Flax", "SynthID", "Bayesian")  # other frameworks; another watermark
KINDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature(kind: type) -> list[list[Any]]:
    """Each argument of a constructor with its default as Python writes it, None without one."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return [
        [entry.name, None if entry.default is entry.empty else repr(entry.default)]
        for entry in parameters
        if entry.kind not in KINDS
    ]


def signatures() -> dict[str, list[list[Any]]]:
    """Of all classes that the library exports, but for `LEFT_OUT`."""
    names = set(dir(generation)) & set(dir(transformers))
    kinds = {
        name: getattr(generation, name) for name in sorted(names) if not name.startswith(LEFT_OUT)
    }
    return {name: signature(kind) for name, kind in kinds.items() if inspect.isclass(kind)}


def transcripts() -> list[dict[str, Any]]:
    """Texts with time stamps here and there, and the tokens that may not follow."""
    cases = []
    draw = random.Random(0)
    for number in range(ROWS):
        settings: dict[str, Any] = {"no_timestamps_token_id": MARKER, "eos_token_id": 5}
        if number % 2:
            settings["max_initial_timestamp_index"] = 3
        if number % 5 == 0:
            settings["forced_decoder_ids"] = [[1, 2]]
        arguments = {
            "begin_index": None if number % 5 == 0 else 1 + number % 3,
            "_detect_timestamp_from_logprob": None if number % 3 else False,
        }
        length = (arguments["begin_index"] or 2) + number % 6
        stamp = MARKER + 1
        ids = []
        for _ in range(length):
            stamp = min(stamp + draw.randint(0, 1), VOCABULARY - 1)
            ids.append(stamp if draw.random() < 0.5 else draw.randint(0, MARKER - 1))
        scores = [round(draw.gauss(0, 2), 3) for _ in range(VOCABULARY)]
        config = GenerationConfig(**settings)
        processor = logits_process.WhisperTimeStampLogitsProcessor(config, **arguments)
        found = processor(torch.tensor([ids]), torch.tensor([scores]))[0]
        case = {"settings": settings, "arguments": arguments, "ids": ids, "scores": scores}
        cases.append({**case, "forbidden": found.isneginf().nonzero().flatten().tolist()})
    return cases


def codebooks() -> list[dict[str, Any]]:
    """Lengths of texts, and the tokens that may not follow."""
    arguments = {"input_start_len": 2, "semantic_vocab_size": 9, "codebook_size": 7}
    processor = logits_process.AlternatingCodebooksLogitsProcessor(**arguments)
    cases = []
    for length in range(1, 7):
        found = processor(torch.zeros(1, length, dtype=torch.long), torch.zeros(1, VOCABULARY))[0]
        forbidden = found.isneginf().nonzero().flatten().tolist()
        cases.append({"arguments": arguments, "length": length, "forbidden": forbidden})
    return cases


def main(folder: Path) -> None:
    """Write ``names.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "reference": f"transformers {transformers.__version__}",
        "signatures": signatures(),
        "transcripts": transcripts(),
        "codebooks": codebooks(),
    }
    lines = []
    for key, value in content.items():
        if isinstance(value, list):
            entries = ",\n".join(json.dumps(entry) for entry in value)
            lines.append(f'"{key}": [\n{entries}\n]')
        elif isinstance(value, dict):
            entries = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f'"{key}": {{\n{entries}\n}}')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    (folder / "names.json").write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
