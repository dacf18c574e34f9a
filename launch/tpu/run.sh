# shellcheck shell=bash disable=SC2154,SC2034 # tpu_vm.sh sets and reads these
# Sourced by tpu_vm.sh: the code on the hosts, the run on them, and watching it.

# on_hosts WORKER COMMAND: a shell command on one host of the slice, or "all" of them.
on_hosts() {
  cloud compute tpus tpu-vm ssh "$name" "${place[@]}" "--worker=$1" --quiet \
    ${reach[@]+"${reach[@]}"} '--ssh-flag=-o ServerAliveInterval=15' "--command=$2"
}

# persist COMMAND...: again, while ssh does not get through to a slice that is ready.
# Exit codes 2 and 3 are the command's own word that trying again will not help.
persist() {
  local try code
  for ((try = 1; try <= patience; try++)); do
    code=0
    "$@" || code=$?
    case $code in 0 | 2 | 3) return $code ;; esac
    ! grep -q "SSH agent" "$errors" || add_key || explain "reach $name"
    find_state
    [ "$state" = READY ] || return 1
    say "$name did not answer, try $try of $patience"
    pause $((5 * try))
  done
  fail "$name is ready but does not answer as it should; the same command tries" \
    "again"
}

# The code is HEAD, packed once, so that a slice that is made again gets the same.
pack_code() {
  [ -z "$revision" ] || return 0
  revision=$(git -C "$here" rev-parse HEAD) || fail "$here is not a git checkout"
  if [ -n "$(git -C "$here" status --porcelain --untracked-files=no)" ]; then
    say "warning: uncommitted changes stay here; the slice runs commit ${revision:0:12}"
  fi
  perform git -C "$here" bundle create --quiet "$scratch/cfasl.bundle" HEAD ||
    fail "git cannot pack the code"
}

send_code() {
  pack_code
  say "sending commit ${revision:0:12} to $name and setting it up (minutes)"
  persist cloud compute tpus tpu-vm scp "$scratch/cfasl.bundle" "$name:cfasl.bundle" \
    "${place[@]}" --worker=all --quiet ${reach[@]+"${reach[@]}"} || return
  persist on_hosts all "git init --quiet cfasl && cd cfasl && \
git fetch --quiet ../cfasl.bundle HEAD && \
git checkout --quiet --force --detach FETCH_HEAD && bash launch/tpu/host.sh setup"
}

# ask_hosts: set $answers to a line a host, "cfasl-host WORD REVISION".
ask_hosts() {
  answers=$(on_hosts all "if test -f cfasl/launch/tpu/host.sh; then \
bash cfasl/launch/tpu/host.sh status; else echo cfasl-host absent -; fi" \
    2>/dev/null) || return
  [ -z "$dry_run" ] || answers="cfasl-host $rehearsed_host -"
  answers=$(printf '%s\n' "$answers" | grep '^cfasl-host ')
}

says() { printf '%s\n' "$answers" | grep -qE "^cfasl-host ($1) "; }

# start_run: the same command on every host; those that run it already go on.
start_run() {
  pack_code
  persist ask_hosts || return
  if says absent; then
    send_code || return
  elif ! says running && printf '%s\n' "$answers" | grep -qv "$revision"; then
    send_code || return # commits since the last time
  elif says running && says 'idle|lost|stopped|exit:.*'; then
    say "only some hosts of $name are running: stopping them first"
    persist on_hosts all "bash cfasl/launch/tpu/host.sh stop" || return
  fi
  local words
  words=$(printf ' %q' "${command[@]}")
  say "starting on $name:$words"
  rehearsed_host=exit:0
  persist on_hosts all "bash cfasl/launch/tpu/host.sh start$words"
}

# watch_run: until something happens; set $verdict to done, fault (the run's own),
# stopped, gone (the slice) or broken (a host or a process of an otherwise ready slice).
# An hour without trouble makes up for what broke before.
watch_run() {
  local misses=0 steady=0
  verdict=""
  while [ -z "$verdict" ]; do
    pause 60
    find_state
    case $state in
      GONE | MISSING | FAILED | STOPPED) verdict=gone ;;
      READY)
        if ask_hosts; then
          misses=0
          judge
        else
          misses=$((misses + 1))
        fi ;;
      UNREACHABLE) misses=$((misses + 1)) ;;
    esac
    [ "$misses" -lt "$patience" ] || explain "watch $name, where the run goes on; the \
same command watches it again"
  done
}

judge() {
  if says 'absent|idle|lost'; then
    verdict=broken
  elif says stopped; then
    verdict=stopped
  elif says 'exit:(1|2)'; then
    verdict=fault
  elif says 'exit:([3-9]|[1-9][0-9]+)'; then
    verdict=broken
  elif says running; then
    tries=0
    steady=$((steady + 1))
    [ "$steady" -lt 60 ] || breaks=0
  else
    verdict="done"
  fi
  case $verdict in fault | broken) doubt ;; esac
}

# A run also fails when its slice is being taken away, a little before Google says so.
doubt() {
  pause 60
  find_state
  case $state in GONE | MISSING | FAILED) verdict=gone ;; esac
}

# run_to_end: through preemptions, with pauses that double up to ten minutes.
run_to_end() {
  tries=0 breaks=0
  while true; do
    verdict=gone
    local code=0
    if bring_up; then
      start_run || code=$?
      case $code in
        0) watch_run ;;
        2) fail "$name could not be set up" ;;
        3) fail "$name is busy with another run; 'stop' ends it" ;;
      esac
    fi
    case $verdict in
      gone) say "$name is gone ($detail); looking again in a moment" ;;
      broken)
        breaks=$((breaks + 1))
        [ "$breaks" -le 5 ] || fail "the run broke off $breaks times on $name" \
          "($(summary)); see 'logs'"
        say "the run broke off on $name ($(summary)): starting it again"
        persist on_hosts all "bash cfasl/launch/tpu/host.sh stop" || true ;;
      *) return ;;
    esac
    pause $((tries < 5 ? 30 << tries : 600))
    tries=$((tries + 1))
  done
}

summary() { printf '%s\n' "$answers" | cut -d ' ' -f 2 | sort | uniq -c | xargs; }
