#!/usr/bin/env bash
# Print every benchmark beside the newest release of the reference library, which gets an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

latest=.venv-latest
if ! "$latest/bin/python" -c 'import transformers' 2>/dev/null; then
    "${VENV:-.venv}/bin/python" -m venv --clear "$latest"
    "$latest/bin/python" -m pip --quiet --disable-pip-version-check install -r benchmarks/requirements.txt
fi
exec "${VENV:-.venv}/bin/python" benchmarks/run.py "$@"
