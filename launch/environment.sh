# shellcheck shell=bash
# Sourced by the scripts beside it: a virtual environment in .venv with this project in
# it, made on the first call and reused until what it is made from changes.

# environment EXTRA: install the project with an extra such as "dev" ("" for none),
# then leave the environment active.
environment() {
  local extra=$1 python=${PYTHON:-python3} wanted stamp
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "error: Python 3.11 or later is needed; point PYTHON at one, as in" \
      "PYTHON=python3.11 $0" >&2
    exit 2
  fi
  # An environment names its folder in many files: one that was moved or copied is of no
  # use. Only one that was made here is removed.
  if compgen -G ".venv/.installed-*" >/dev/null &&
    ! grep -qF "$(pwd -P)/.venv" .venv/pyvenv.cfg; then
    rm -rf .venv
  fi
  stamp=.venv/.installed-${extra:-base}
  wanted=$(cat setup.py constraints.txt | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "setting up .venv (once; a minute or two)" >&2
    if [ ! -x .venv/bin/python ] && ! "$python" -m venv .venv; then
      rm -rf .venv
      echo "error: $python cannot make virtual environments; install its venv module" \
        "(Debian: apt-get install python3-venv)" >&2
      exit 2
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint constraints.txt --editable ".${extra:+[$extra]}" || exit 1
    # Written last: a set-up that was cut off is done again.
    echo "$wanted" >"$stamp"
  fi
  # shellcheck disable=SC1091
  . .venv/bin/activate
}
