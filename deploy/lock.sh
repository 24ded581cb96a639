#!/bin/sh
# Write the lock files anew from pyproject.toml. Needs uv in the virtual environment.
set -eu
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile -q pyproject.toml --generate-hashes --python-version 3.11 --no-header --no-annotate --no-emit-index-url "$@"; }
compile --extra build -o requirements.lock
compile --extra build --extra dev -c requirements.lock -o requirements-dev.lock
