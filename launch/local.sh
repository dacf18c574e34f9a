#!/usr/bin/env bash
# Train, score and report on this machine; arguments as for python -m cfasl_jax.main:
#
#   ./launch/local.sh --config=configs/shapes3d.py:quick --workdir=runs/first
#
# The first call sets up .venv. EXTRA=cuda13 (or EXTRA=cuda, where the
# driver is too old for it) or EXTRA=tpu installs JAX for that device.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

# Paths among the arguments are the caller's: set up elsewhere, run here.
. "$here/launch/environment.sh"
pushd "$here" >/dev/null
environment "${EXTRA:-}"
popd >/dev/null
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec python -m cfasl_jax.main "$@"
