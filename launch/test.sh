#!/usr/bin/env bash
# Check formatting, lint, types and tests; arguments go to pytest:
#
#   ./launch/test.sh tests/codebook_test.py -k composite
set -euo pipefail
cd "$(dirname "$0")/.."

. launch/environment.sh
environment dev
ruff format --check .
ruff check .
mypy
shellcheck --external-sources launch/*.sh launch/tpu/*.sh launch/slurm.sbatch .ci/run
# All tests go to several processes, a file to one of them: much of their time is spent
# in a compiler that uses one core.
if [ $# -eq 0 ]; then
  set -- --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
fi
python -m pytest "$@"
