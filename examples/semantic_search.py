"""Answer questions about a text by meaning: embed its lines, embed the question, rank by cosine.

usage: python examples/semantic_search.py MODEL [TEXT [QUESTIONS]]
"""

import sys
from pathlib import Path
from textwrap import shorten

import torch
from torch.nn.functional import normalize
from tqdm import tqdm

from dovetail import AutoModel, AutoTokenizer

DATA = Path(__file__).parent / "data"
BATCH = 32


@torch.inference_mode()
def embed(texts: list[str]) -> torch.Tensor:
    """Unit vectors (N, D): the mean of each text's token states, padding left out."""
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


folder, text, questions, *_ = [*sys.argv[1:], DATA / "alice.txt", DATA / "questions.txt"]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
lines = Path(text).read_text(encoding="utf-8").splitlines()
batches = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
vectors = torch.cat([embed(batch) for batch in tqdm(batches, desc="Embedding", unit="batch")])

for question in Path(questions).read_text(encoding="utf-8").splitlines():
    scores, places = (embed([question]) @ vectors.T)[0].topk(3)
    print(f"\n{question}")
    for score, place in zip(scores.tolist(), places.tolist(), strict=True):
        print(f"  {score:.2f}  line {place + 1:<3}  {shorten(lines[place], 140)}")
