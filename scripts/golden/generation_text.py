"""Writes what the reference library's streamers, stop strings and watermark detector make of texts.

Runs in the reference library's environment: ``python scripts/golden/generation_text.py``. The
tokenizers are made of the files in `tests/golden/tokenizers`.

What the reference (4.46.3) gets wrong is left out: it overlooks stop strings that begin or end
within a token of half a character, its detector counts repeated n-grams though told to ignore them,
and its p-values are not those of the normal distribution (0.35 where that has 0.23).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from queue import Queue
from typing import Any

import torch
import transformers
from generation import ROOT, seeded
from generation_calls import Calls
from record import rounded

FILES = ROOT / "tests/golden/tokenizers"
TEXTS = [
    "The quick brown fox, and the lazy dog!",
    "naïve café ÀÉÎ Straße\n한국어 텍스트\n\nend",
    "日本語のテキスト。漢字 and words",
    "👍🏽 👨‍👩‍👧 emoji",
    "def f(x):\n    return x + 1\n",
    " don't  stop ",
]
STOPS: list[tuple[str, list[str]]] = [
    ("The quick brown fox, and the lazy dog!", ["fox", " and", "y d"]),
    ("The quick brown fox, and the lazy dog!", ["brown fox, and"]),
    ("naïve café Straße", ["fé S", "caf"]),
    ("def f(x):\n    return x + 1\n", ["\n", "return", "x +"]),
    ("one two three one two", ["two", "e t"]),
    ("stop\n\nUser: go on", ["\n\nUser:", "User"]),
]
SCHEMES: dict[str, dict[str, Any]] = {
    "left": {"bias": 4.0},
    "left, wide": {"bias": 6.0, "context_width": 3, "greenlist_ratio": 0.5},
    "self": {"bias": 6.0, "seeding_scheme": "selfhash"},
    "self, wide": {
        "bias": 8.0,
        "seeding_scheme": "selfhash",
        "context_width": 2,
        "hashing_key": 1234567,
    },
}
FIELDS = ("num_tokens_scored", "num_green_tokens", "green_fraction", "z_score", "prediction")


def tokenizers() -> dict[str, Any]:
    """Byte-level pairs, pairs of characters with bytes to fall back on, and pieces of words."""
    path = {file.name: str(file) for file in FILES.iterdir()}
    return {
        "gpt2": transformers.GPT2TokenizerFast(path["vocab.json"], path["merges.txt"]),
        "llama": transformers.LlamaTokenizerFast(path["bpe.model"], add_prefix_space=True),
        "bert": transformers.BertTokenizerFast(path["vocab.txt"]),
    }


def streamed(tokenizer: Any, text: str, **options: Any) -> dict[str, Any]:
    """The pieces that come out as a prompt of two tokens goes in, and then one after the other."""
    ids = tokenizer(text).input_ids
    streamer = transformers.TextIteratorStreamer(tokenizer, **options)
    streamer.text_queue = Queue()
    streamer.put(torch.tensor([ids[:2]]))
    for token in ids[2:]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    return {"ids": ids, "options": options, "pieces": list(streamer)}


def stopped(tokenizer: Any, text: str, stops: list[str]) -> dict[str, Any]:
    """After which of its tokens the text stops."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    criterion = transformers.StopStringCriteria(tokenizer, stops)
    done = [
        bool(criterion(torch.tensor([ids[:length]]), None)) for length in range(1, len(ids) + 1)
    ]
    return {"ids": ids, "stops": stops, "done": done}


def detected(calls: Calls, name: str, scheme: dict[str, Any]) -> dict[str, Any]:
    """What a detector finds in texts with the mark and in others."""
    model = calls.build(name)
    settings = transformers.WatermarkingConfig(**scheme)
    ids, mask = calls.prompts(model.config.is_encoder_decoder, "pair")
    torch.manual_seed(3)
    options = {"attention_mask": mask, "max_new_tokens": 30, "do_sample": True, "top_k": 0}
    options |= {"eos_token_id": None}
    marked = model.generate(ids, watermarking_config=settings, **options)[:, -30:]
    repetitive = marked[:1, :6].repeat(1, 5)
    texts = torch.cat((marked, model.generate(ids, **options)[:, -30:], repetitive))
    texts[0, 0] = detector_start(model)
    detector = transformers.WatermarkDetector(model.config, "cpu", settings)
    found = detector(texts, return_dict=True)
    fields = {key: getattr(found, key).tolist() for key in FIELDS}
    return {
        "model": name,
        "scheme": scheme,
        "texts": texts.tolist(),
        "found": fields,
        "strict": detector(texts, z_threshold=6.0).tolist(),
    }


def detector_start(model: Any) -> int:
    """The token that a detector leaves out where a text begins with it."""
    seq2seq = model.config.is_encoder_decoder
    return model.config.decoder_start_token_id if seq2seq else model.config.bos_token_id


def main(path: Path) -> None:
    """Write the file."""
    transformers.logging.set_verbosity_error()
    calls = Calls(transformers, seeded)
    made: dict[str, list[Any]] = {"streams": [], "stops": [], "marks": []}
    for name, tokenizer in tokenizers().items():
        for text in TEXTS:
            for options in ({}, {"skip_prompt": True, "skip_special_tokens": True}):
                found = streamed(tokenizer, text, **options)
                made["streams"].append({"tokenizer": name, **found})
        made["stops"] += [{"tokenizer": name, **stopped(tokenizer, *case)} for case in STOPS]
    for name in ("llama", "t5"):
        for scheme in SCHEMES.values():
            made["marks"].append(detected(calls, name, scheme))
    body = ",\n".join(
        f'"{key}": [\n' + ",\n".join(json.dumps(rounded(entry)) for entry in entries) + "\n]"
        for key, entries in made.items()
    )
    path.write_text(f"{{{body}}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "tests/golden/generation/text.json")
