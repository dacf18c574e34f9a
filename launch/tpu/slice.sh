# shellcheck shell=bash disable=SC2154,SC2034 # tpu_vm.sh sets and reads these
# Sourced by tpu_vm.sh: a slice's life. It is asked for as a queued resource, which
# waits for capacity where a plain creation would fail, and holds one node of its name.

# find_state: set $state to READY, WAITING, GONE (preempted, or ended for good), FAILED,
# STOPPED, MISSING or UNREACHABLE, $detail to Google's own word, and $left to the last
# state that was seen.
find_state() {
  look
  [ "$state" = UNREACHABLE ] || left=$state
}

look() {
  if ! detail=$(cloud compute tpus queued-resources describe "$name" "${place[@]}" \
    --format='value(state.state)' 2>/dev/null); then
    state=UNREACHABLE
    ! grep -q NOT_FOUND "$errors" || state=MISSING
    return 0
  fi
  if [ -n "$dry_run" ] || [ "$detail" = ACTIVE ]; then
    find_node_state
    return
  fi
  case $detail in
    FAILED) state=FAILED ;;
    SUSPENDING | SUSPENDED | DELETING) state=GONE ;;
    *) state=WAITING ;;
  esac
}

find_node_state() {
  if ! detail=$(cloud compute tpus tpu-vm describe "$name" "${place[@]}" \
    --format='value(state)' 2>/dev/null); then
    state=UNREACHABLE
    ! grep -q NOT_FOUND "$errors" || state=GONE
    return 0
  fi
  case $detail in
    READY) state=READY ;;
    CREATING | STARTING | RESTARTING | REIMAGING | REPAIRING | UNHIDING)
      state=WAITING ;;
    STOPPED | STOPPING)
      # Someone's doing on demand, but one of the ways in which a spot slice ends.
      state=STOPPED
      [ -z "$spot" ] || state=GONE ;;
    *) state=GONE ;;
  esac
  [ -z "$dry_run" ] || state=$rehearsed_state
}

price_note() {
  echo "it costs money until './launch/tpu_vm.sh delete --name=$name --zone=$zone" \
    "--project=$project'"
}

# leave: however this script ends, what it leaves behind is named, with its price.
leave() {
  rm -rf "$scratch"
  case $left in
    READY) say "$name is still there, and $(price_note)" ;;
    WAITING)
      say "the request for $name stays in the queue; once it is filled, $(price_note)" ;;
  esac
}

# make_slice: ask for the slice and wait until it is ready; non-zero if it was taken
# away meanwhile. Whatever was refused is withdrawn, so that it holds no quota.
make_slice() {
  check_offer
  say "asking for $name: $type, $version, ${spot:-on demand}, in $zone;" \
    "once it is ready $(price_note)"
  left=WAITING
  if ! cloud compute tpus queued-resources create "$name" "--node-id=$name" \
    "${place[@]}" "--accelerator-type=$type" "--runtime-version=$version" \
    ${spot:+--spot} ${request[@]+"${request[@]}"} --quiet; then
    cp "$errors" "$errors.first"
    withdraw
    cp "$errors.first" "$errors"
    explain "create $name"
  fi
  asked=1 rehearsed_state=READY
  wait_ready
}

# wait_ready: as long as the queue takes, since a request that waits costs nothing.
wait_ready() {
  local told="" misses=0
  while true; do
    find_state
    case $state in
      READY)
        say "$name is ready; $(price_note)"
        return ;;
      FAILED)
        cloud compute tpus queued-resources describe "$name" "${place[@]}" \
          --format='value(state.failedData.error.message)' \
          >"$errors.first" 2>/dev/null || true
        withdraw
        cp "$errors.first" "$errors"
        explain "create $name" ;;
      GONE | STOPPED | MISSING) return 1 ;;
      UNREACHABLE)
        misses=$((misses + 1))
        [ "$misses" -lt "$patience" ] || explain "see the state of $name" ;;
      *) misses=0 ;;
    esac
    [ "$told" = "$detail" ] || say "$name: ${detail:-no answer}; waiting"
    told=$detail
    pause 30
  done
}

# withdraw: after a refusal, leave nothing that could still come to life and cost money.
withdraw() {
  find_state
  [ "$state" = MISSING ] || remove
}

# remove: delete the request and the node it holds, and see that they are gone.
remove() {
  local try
  for try in 1 2 3; do
    if cloud compute tpus queued-resources delete "$name" "${place[@]}" --force --quiet \
      >/dev/null || grep -q NOT_FOUND "$errors"; then
      left=""
      say "$name is deleted"
      return
    fi
    [ "$try" = 3 ] || pause $((10 * try))
  done
  explain "delete $name, which may still cost money"
}

# bring_up: a ready slice, made where it is missing and made again where it was taken;
# non-zero if it was taken once more on the way.
bring_up() {
  find_state
  case $state in
    READY) asked=1 ;;
    WAITING)
      asked=1
      wait_ready ;;
    STOPPED)
      fail "$name is stopped; 'gcloud compute tpus tpu-vm start $name --zone=$zone'" \
        "starts it" ;;
    UNREACHABLE) explain "see the state of $name" ;;
    MISSING)
      # A preempted slice leaves its request behind; its user leaves nothing.
      [ -z "$asked" ] || fail "$name was deleted meanwhile, so it is not made again"
      make_slice ;;
    *)
      say "$name is gone ($detail): deleting what is left and making it again"
      remove
      make_slice ;;
  esac
}

# require_ready: for the verbs that make nothing.
require_ready() {
  find_state
  case $state in
    READY) ;;
    UNREACHABLE) explain "see the state of $name" ;;
    MISSING) fail "there is no slice $name in $zone; 'create' or 'run' makes it" ;;
    *) fail "slice $name is not ready but $detail; 'run' brings it up" ;;
  esac
}
