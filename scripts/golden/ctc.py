"""Golden texts of the tokenizer of transcriptions, and what its processor makes of sounds and
texts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from cases import ROOT, seeded
from record import dump, rounded
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

PATH = ROOT / "tests" / "golden" / "audio" / "ctc.json"
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
TEXTS = ["HELLO WORLD", "HELLO  wORLD</s>A", "IT'S", "", " A ", "<s> A <pad> B", "É"]
FRAMES = [
    [11, 11, 5, 0, 5, 15, 15, 4, 4, 18, 8, 13, 0, 0, 15, 14, 0, 4, 4, 10, 6, 27, 12],
    [4, 4, 5, 0, 5],
    [3, 3, 5, 1, 1, 2],
    [0, 0],
    [],
]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "offsets": {"output_char_offsets": True, "output_word_offsets": True},
    "words": {"output_word_offsets": True},
    "ungrouped": {"group_tokens": False, "output_char_offsets": True},
    "without-special": {"skip_special_tokens": True},
    "spaced": {"spaces_between_special_tokens": True},
}


def produce() -> None:
    """Write what the reference says."""
    vocabulary = {token: index for index, token in enumerate(TOKENS)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.json"
        path.write_text(json.dumps(vocabulary))
        tokenizer = Wav2Vec2CTCTokenizer(str(path))
        lower = Wav2Vec2CTCTokenizer(str(path), do_lower_case=True)
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer)
    sounds = [seeded.noise("sound", (length,)) for length in (9, 5)]
    both = processor(sounds, text=TEXTS[:2], sampling_rate=16000, padding=True)
    content = {
        "tokens": TOKENS,
        "ids": {text: tokenizer(text)["input_ids"] for text in TEXTS},
        "lower-ids": lower("Hello you")["input_ids"],
        "lower-text": lower.decode(FRAMES[0]),
        "padded": dict(tokenizer(TEXTS[:3], padding=True)),
        "frames": FRAMES,
        "decoded": {
            name: [_plain(tokenizer.decode(ids, **options)) for ids in FRAMES if ids]
            for name, options in OPTIONS.items()
        },
        "options": OPTIONS,
        "batch": _plain(tokenizer.batch_decode(FRAMES[:3], **OPTIONS["words"])),
        "processed": {name: [list(map(float, row)) for row in rows] for name, rows in both.items()},
    }
    PATH.write_text(dump(rounded(json.loads(json.dumps(content)))) + "\n")


def _plain(value: Any) -> Any:
    """An output as JSON has it."""
    if isinstance(value, str):
        return value
    return json.loads(json.dumps(dict(value), default=int))
