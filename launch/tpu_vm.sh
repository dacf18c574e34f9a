#!/usr/bin/env bash
# Take a run to a TPU slice on Google Cloud and, through preemptions, to its end:
#
#   ./launch/tpu_vm.sh run --name=first --zone=us-east5-a --type=v6e-8 --spot \
#       --bucket=my-bucket -- --config=configs/shapes3d.py
#
#   create   ask for the slice and wait until it is ready
#   setup    send it the committed code and install it (EXTRA=tpu)
#   run      create and setup where needed, then run python -m cfasl_jax.main with what
#            follows "--" on every host, until it is done; again: resume, or watch.
#            With --study=FILE after "--", python -m cfasl_jax.study on a slice of one
#            host
#   logs     follow the log of the first host
#   stop     save, and end the run; the slice stays
#   fetch    copy the working directory from the bucket to runs/NAME
#   delete   end the slice and its costs; the bucket stays
#
#   --name=NAME --zone=ZONE             which slice; always needed
#   --type=TYPE [--version=VERSION]     accelerator, as v6e-8, and runtime
#   --spot                              cheaper, and may be taken away; else on demand
#   --bucket=BUCKET                     the run lives in gs://BUCKET/NAME
#   --data=gs://BUCKET/DIR              run: where prepared data sets are
#   --project=ID                        else gcloud's own
#   --delete-when-done                  run: delete the slice after a run that succeeded
#   --yes                               delete without asking
#   --dry-run                           check, print every command, call nothing
#
# Passed on to gcloud with the request for a slice, whose reference explains them:
#   --service-account=EMAIL --network=NAME --subnetwork=NAME --internal-ips --reserved
#   --valid-until-duration=TIME --labels=KEY=VALUE,...
# (--internal-ips is for every verb: it also says how to reach the slice.)
#
# launch/README.md walks through it.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=launch/tpu/gcloud.sh
. "$here/launch/tpu/gcloud.sh"
# shellcheck source=launch/tpu/slice.sh
. "$here/launch/tpu/slice.sh"
# shellcheck source=launch/tpu/run.sh
. "$here/launch/tpu/run.sh"

verb="" name="" zone="" type="" version="" spot="" bucket="" project=""
yes="" dry_run="" delete_when_done="" revision="" asked="" left="" data="" study=""
arguments=() request=() reach=()
key=~/.ssh/google_compute_engine            # gcloud's own
patience=10                                 # failed connections in a row
rehearsed_state=READY rehearsed_host=absent # what a dry run is told

read_options() {
  verb=${1:-}
  case $verb in
    create | setup | run | logs | stop | fetch | delete) shift ;;
    "" | help | -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
      exit 0 ;;
    *)
      fail "unknown verb '$verb'; one of create, setup, run, logs, stop, fetch," \
        "delete" ;;
  esac
  while [ $# -gt 0 ]; do
    case $1 in
      --name=*) name=${1#*=} ;;
      --zone=*) zone=${1#*=} ;;
      --type=*) type=${1#*=} ;;
      --version=*) version=${1#*=} ;;
      --bucket=*) bucket=${1#*=} ;;
      --project=*) project=${1#*=} ;;
      --data=*) data=${1#*=} ;;
      --service-account=* | --network=* | --subnetwork=* | --labels=* | \
        --valid-until-duration=* | --reserved)
        request+=("$1") ;;
      --internal-ips)
        request+=("$1")
        reach=(--internal-ip) ;;
      --spot) spot=spot ;;
      --yes) yes=1 ;;
      --dry-run) dry_run=1 ;;
      --delete-when-done) delete_when_done=1 ;;
      --)
        shift
        arguments=("$@")
        return ;;
      *)
        fail "unexpected '$1'; options are written --name=NAME, and what is meant for" \
          "cfasl_jax.main follows a '--'" ;;
    esac
    shift
  done
}

check_options() {
  [[ $name =~ ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$ ]] || fail "--name='$name' must be" \
    "small letters, digits and hyphens, a letter first, 40 at most"
  [[ $zone =~ ^[a-z]+-[a-z]+[0-9]+-[a-z]$ ]] ||
    fail "--zone='$zone' is not the name of a zone, such as us-east5-a"
  type=${type/#v5e-/v5litepod-} # gcloud's name for it
  case $verb in create | run)
    [[ $type =~ ^[a-z][a-z0-9]*-[0-9]+$ ]] ||
      fail "--type='$type' is not an accelerator type, such as v6e-8 or v4-32" ;;
  esac
  case "$spot ${request[*]-}" in *spot*--reserved*)
    fail "--spot and --reserved exclude each other" ;;
  esac
  # https://cloud.google.com/tpu/docs/runtimes
  if [ -z "$version" ]; then
    case $type in
      v6e-*) version=v2-alpha-tpuv6e ;;
      v5p-*) version=v2-alpha-tpuv5 ;;
      v5litepod-*) version=v2-alpha-tpuv5-lite ;;
      *) version=tpu-ubuntu2204-base ;;
    esac
  fi
}

# The run's home must outlive the slice, so it is a bucket.
choose_workdir() {
  local argument
  case " ${arguments[*]-}" in *" --study"*) study=1 ;; esac
  [ -z "$data" ] || [ -z "$study" ] || fail "a study says itself where its data are:" \
    "write 'data.dir': '$data' into its 'set' instead of --data"
  [ -z "$data" ] || arguments+=("--config.data.dir=${data%/}")
  bucket=${bucket#gs://}
  workdir=${bucket:+gs://${bucket%/}/$name}
  for argument in ${arguments[@]+"${arguments[@]}"}; do
    case $argument in
      --workdir=gs://* | -workdir=gs://*) workdir=${argument#*=} ;;
      --workdir* | -workdir*)
        fail "'$argument' would be lost with the slice; give" \
          "--workdir=gs://BUCKET/PATH, or --bucket=BUCKET alone" ;;
    esac
  done
  case $verb in run | fetch)
    [ -n "$workdir" ] || fail "--bucket=BUCKET is needed; the run is kept there" ;;
  esac
}

create() {
  [ -z "$workdir" ] || check_bucket
  check_key
  trap 'say "no longer waiting"; exit 130' INT TERM
  until bring_up; do pause 60; done
}

setup() {
  require_ready
  send_code || fail "$name could not be set up"
  say "$name is set up"
}

run() {
  check_command
  check_bucket
  check_data
  check_key
  command=(python -m cfasl_jax.main --distributed)
  [ -z "$study" ] || command=(python -m cfasl_jax.study)
  command+=("--workdir=$workdir" ${arguments[@]+"${arguments[@]}"})
  trap 'say "no longer watching; a run goes on, and the same command watches it again";
 exit 130' INT TERM
  run_to_end
  trap - INT TERM
  case $verdict in
    done) say "the run is done: $workdir" ;;
    stopped)
      say "the run was stopped, and saved; the same command resumes it"
      exit 143 ;;
    fault)
      on_hosts all "tail -n 20 cfasl/runs/.host/log" || true
      say "the run failed by itself and is not tried again"
      says exit:2 && exit 2
      exit 1 ;;
  esac
  [ -z "$delete_when_done" ] || remove
}

logs() {
  require_ready
  persist on_hosts 0 "bash cfasl/launch/tpu/host.sh log" ||
    fail "no run was started on $name, or it was taken away"
}

stop() {
  require_ready
  persist on_hosts all "bash cfasl/launch/tpu/host.sh stop" ||
    fail "$name was taken away"
  say "the run is saved and ended"
}

fetch() {
  check_bucket
  perform mkdir -p "runs/$name"
  cloud storage rsync --recursive "$workdir" "runs/$name" \
    ${project:+"--project=$project"} || explain "copy $workdir"
  say "copied to runs/$name"
}

delete() {
  find_state
  case $state in
    UNREACHABLE) explain "see the state of $name" ;;
    MISSING)
      say "there is no slice $name in $zone"
      return ;;
  esac
  if [ -z "$yes$dry_run" ]; then
    local answer=""
    read -r -p "delete slice $name in $zone and all that is on its disks? [y/N] " \
      answer || true
    case $answer in
      y | yes) ;;
      *) fail "not deleted; answer y, or add --yes" ;;
    esac
  fi
  remove
}

read_options "$@"
check_options
choose_workdir
scratch=$(mktemp -d)
errors=$scratch/errors
: >"$errors"
trap leave EXIT
exec 3>&1 # where a dry run prints, within $(...) too
check_gcloud
place=("--zone=$zone")
[ -z "$project" ] || place+=("--project=$project")
case $verb in create | run) [ -z "$dry_run" ] || rehearsed_state=MISSING ;; esac
"$verb"
