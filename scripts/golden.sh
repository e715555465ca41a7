#!/usr/bin/env bash
# Make the golden files anew, all of them or those of the model types named, in an environment that holds the reference library.
# ``quantizers [case ...]`` makes the quantized checkpoints, in an environment with the packages that define their formats.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = quantizers ]; then
    formats=.venv-quantizers
    if ! "$formats/bin/python" -c 'import bitsandbytes, compressed_tensors, gguf, hqq, torchao' 2>/dev/null; then
        "${VENV:-.venv}/bin/python" -m venv --clear "$formats"
        "$formats/bin/python" -m pip --quiet --disable-pip-version-check install -r scripts/golden/requirements-quantizers.txt
    fi
    export OMP_NUM_THREADS=1
    "$formats/bin/python" scripts/golden/gguf_blocks.py
    exec "$formats/bin/python" scripts/golden/quantized.py "${@:2}"
fi

reference=.venv-reference
if ! "$reference/bin/python" -c 'import transformers' 2>/dev/null; then
    "${VENV:-.venv}/bin/python" -m venv --clear "$reference"
    "$reference/bin/python" -m pip --quiet --disable-pip-version-check install -r scripts/golden/requirements.txt
fi
OMP_NUM_THREADS=1 exec "$reference/bin/python" scripts/golden/produce.py "$@"
