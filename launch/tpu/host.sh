#!/usr/bin/env bash
# What tpu_vm.sh has every host of a slice do. A run is started detached, with a log and
# an exit status on disk, so that it outlives the connection that started it:
#
#   host.sh setup | start COMMAND... | status | log | stop
set -euo pipefail
cd "$(dirname "$0")/../.."
job=runs/.host

# The images bring a Python that is too old, or one without venv; uv brings one that
# does, without root.
usable_python() {
  local python
  for python in python3.13 python3.12 python3.11 python3; do
    if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  export PIP_BREAK_SYSTEM_PACKAGES=1
  python3 -m pip install --quiet --user uv >&2
  python3 -m uv python install --quiet 3.12 >&2
  python3 -m uv python find --managed-python 3.12
}

setup() {
  PYTHON=$(usable_python)
  export PYTHON
  # shellcheck source=launch/environment.sh
  . launch/environment.sh
  environment tpu
}

running() { [ -f $job/pid ] && alive "$(cat $job/pid)"; }

# After a restart of the host a number may be another process's.
alive() { grep -qa launch/tpu/host.sh "/proc/$1/cmdline" 2>/dev/null; }

start() {
  local command
  command=$(printf '%q ' "$@")
  mkdir -p $job
  if running; then
    [ "$(cat $job/command)" = "$command" ] && return
    echo "$(hostname): another run is going on here: $(cat $job/command)" >&2
    exit 3
  fi
  rm -f $job/exit $job/stopped
  echo "$command" >$job/command
  setsid nohup bash launch/tpu/host.sh keep "$@" >>$job/log 2>&1 </dev/null &
  echo $! >$job/pid
}

# keep COMMAND...: run it to its end, copy its log and leave its exit status; a SIGTERM
# to the group ends the command, not this shell.
keep() {
  local code=0
  trap : TERM
  # shellcheck disable=SC1091
  . .venv/bin/activate
  "$@" || code=$?
  copy_log "$@"
  echo $code >$job/exit.part
  mv $job/exit.part $job/exit
}

# copy_log COMMAND...: this host's log to logs/ in the bucket of the command's --workdir,
# since the disk it is on goes with the slice. The name of a host is its slice's own.
copy_log() {
  local argument url=""
  for argument in "$@"; do
    case $argument in --workdir=*://*) url=${argument#*=}/logs/$(hostname).log ;; esac
  done
  [ -n "$url" ] || return 0
  timeout 60 python -c 'import sys, fsspec
files, path = fsspec.url_to_fs(sys.argv[2])
files.put_file(sys.argv[1], path)' $job/log "$url" || echo "cannot copy this log to $url"
}

# One line: running, exit:N, stopped, lost (ended without a status) or idle; and the
# revision of the code.
status() {
  local word=idle
  if running; then
    word=running
  elif [ -f $job/stopped ]; then
    word=stopped
  elif [ -f $job/exit ]; then
    word=exit:$(cat $job/exit)
  elif [ -f $job/pid ]; then
    word=lost
  fi
  echo "cfasl-host $word $(git rev-parse HEAD)"
}

log() {
  [ -f $job/log ] || {
    echo "no run was started here" >&2
    exit 3
  }
  if running; then
    tail -n 50 -F --pid="$(cat $job/pid)" $job/log
  else
    tail -n 50 $job/log
  fi
}

# SIGTERM saves a checkpoint first; what does not end within two minutes is killed, and
# its log copied from here.
stop() {
  local pid tenths=0
  running || return 0
  pid=$(cat $job/pid)
  touch $job/stopped
  kill -TERM -- "-$pid" 2>/dev/null || true
  while alive "$pid" && [ $tenths -lt 1200 ]; do
    sleep 0.1
    tenths=$((tenths + 1))
  done
  alive "$pid" || return 0
  kill -KILL -- "-$pid" 2>/dev/null || true
  # shellcheck disable=SC1091
  . .venv/bin/activate
  eval "copy_log $(cat $job/command)" # quoted by start
}

"$@"
