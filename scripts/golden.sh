#!/usr/bin/env bash
# Make the golden files anew, all of them or those of the model types named, in an environment that holds the reference library.
set -euo pipefail
cd "$(dirname "$0")/.."

reference=.venv-reference
if ! "$reference/bin/python" -c 'import transformers' 2>/dev/null; then
    "${VENV:-.venv}/bin/python" -m venv --clear "$reference"
    "$reference/bin/python" -m pip --quiet --disable-pip-version-check install -r scripts/golden/requirements.txt
fi
OMP_NUM_THREADS=1 exec "$reference/bin/python" scripts/golden/produce.py "$@"
