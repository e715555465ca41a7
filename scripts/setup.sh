#!/usr/bin/env bash
# Create the environment in $VENV: torch first, so that nothing else picks another build of it, then the packages, editable.
set -euo pipefail

say() { printf '%s\n' "$*"; }

# The first interpreter that is new enough and can make an environment; PYTHON overrides the search.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    say "No Python 3.11 or newer with venv was found. Install one, or name it: make PYTHON=/path/to/python setup" >&2
    exit 1
}

if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    say "Creating $VENV with $("$python" --version)"
    "$python" -m venv "$VENV"
fi
pip() { "$VENV/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }

say "Installing $TORCH (a few minutes the first time)"
pip install "$TORCH"
say "Installing the tools"
pip install -r requirements-dev.txt

# torchaudio's wheel must match torch's build (processor or CUDA), which only the user knows: the audio package comes
# without its dependencies. Its functions in Python, which the tests compare ours with, are the same in every wheel.
say "Installing the packages: $PACKAGES"
editable=()
for package in $PACKAGES; do
    [ "$package" = models-audio ] || editable+=(-e "packages/$package")
done
pip install --no-build-isolation "${editable[@]}"
case " $PACKAGES " in *" models-audio "*) pip install --no-build-isolation --no-deps -e packages/models-audio torchaudio ;; esac
say "Ready: $("$VENV/bin/dovetail" --version)"
