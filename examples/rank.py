"""Rank the texts of one file of embeddings for each question of another.

Both come from `dovetail run feature-extraction FILE --pool mean -f jsonl -o OUT`.

usage: python examples/rank.py TEXTS.jsonl QUESTIONS.jsonl
"""

import json
import sys
from pathlib import Path
from textwrap import shorten

import numpy as np


def read(path: str) -> tuple[list[str], np.ndarray]:
    """The inputs and their unit vectors (N, D)."""
    records = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    vectors = np.array([record["output"] for record in records])
    return [r["input"] for r in records], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


texts, vectors = read(sys.argv[1])
questions, wanted = read(sys.argv[2])
for question, scores in zip(questions, wanted @ vectors.T, strict=True):
    print(f"\n{question}")
    for place in np.argsort(-scores)[:3]:
        print(f"  {scores[place]:.2f}  line {place + 1:<3}  {shorten(texts[place], 140)}")
