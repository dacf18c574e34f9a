# shellcheck shell=bash disable=SC2154,SC2034 # tpu_vm.sh sets and reads these
# Sourced by tpu_vm.sh, which sets the options used here: calls of gcloud, and what to
# tell the user when they fail.

say() { [ -n "$dry_run" ] || echo "$(date '+%F %T') $*" >&2; }

fail() {
  echo "error: $*" >&2
  exit 2
}

# pause SECONDS: tests set LAUNCH_PAUSE to wait for less.
pause() { [ -n "$dry_run" ] || sleep "${LAUNCH_PAUSE:-$1}"; }

# perform COMMAND...: the command, or in a dry run its words on the screen.
perform() {
  if [ -n "$dry_run" ]; then
    printf '%q ' "$@" >&3
    echo >&3
  else
    "$@"
  fi
}

# cloud ARGUMENTS...: gcloud. What it writes to stderr is shown and kept in $errors.
cloud() {
  if [ -n "$dry_run" ]; then
    perform gcloud "$@"
  else
    { gcloud "$@" 2>&1 >&4 | tee "$errors" >&2; } 4>&1
  fi
}

# explain ACTION: end with one sentence on why gcloud did not do it.
explain() {
  local words why
  words=$(cat "$errors")
  case $words in
    *"gcloud auth login"* | *Reauthentication* | *invalid_grant*)
      why="you are not logged in; run 'gcloud auth login'" ;;
    *"no more capacity"* | *"Insufficient capacity"*)
      why="$zone has no $type to give now; try later, or another --zone" ;;
    *[Qq]uota* | *QUOTA* | *RESOURCE_EXHAUSTED*)
      why="your quota for ${type:-this type} in ${zone%-*} is zero or used up"
      [ -n "$spot" ] || why="$why; spot slices have a quota of their own: try --spot"
      why="$why; ask for more at https://console.cloud.google.com/iam-admin/quotas,"
      why="$why delete what holds it (gcloud compute tpus queued-resources list"
      why="$why --zone=$zone), or change --type or --zone" ;;
    *SERVICE_DISABLED* | *"has not been used in project"*)
      why="an API is off; run 'gcloud services enable compute.googleapis.com"
      why="$why tpu.googleapis.com'" ;;
    *[Bb]illing*)
      why="project $project has no billing account; link one in the console" ;;
    *"locations/$zone'"* | *"Location $zone "*)
      why="there is no zone $zone for you; 'gcloud compute tpus locations list'"
      why="$why names those with TPUs" ;;
    *PERMISSION_DENIED* | *"does not have permission"* | *"does not have storage"*)
      why="your account may not do that in project $project; ask its owner for the"
      why="$why roles TPU Admin, Service Account User and Storage Admin" ;;
    *"SSH agent"*)
      why="your ssh-agent does not hold the key; run 'ssh-add"
      why="$why ~/.ssh/google_compute_engine'" ;;
    *) why="gcloud failed" ;;
  esac
  # Its own words name the limit, the type or the permission.
  words=$(grep -m 1 ERROR "$errors" || tail -n 1 "$errors")
  fail "cannot $1: $why${words:+
  (gcloud: ${words#ERROR: })}"
}

check_gcloud() {
  [ -z "$dry_run" ] || return 0
  command -v gcloud >/dev/null || fail "gcloud is missing; install it from" \
    "https://cloud.google.com/sdk/docs/install, then run 'gcloud auth login'"
  command -v git >/dev/null || fail "git is missing; it packs the code"
  local account
  account=$(cloud auth list --filter=status:ACTIVE --format='value(account)' \
    2>/dev/null) || true
  [ -n "$account" ] || fail "you are not logged in; run 'gcloud auth login'"
  if [ -z "$project" ]; then
    project=$(cloud config get-value project 2>/dev/null) || true
    [ -n "$project" ] || fail "no project is chosen; add --project=ID, or run" \
      "'gcloud config set project ID'"
  fi
}

check_bucket() {
  local bucket=${workdir#gs://}
  bucket=gs://${bucket%%/*}
  cloud storage buckets describe "$bucket" --format='value(location)' \
    ${project:+"--project=$project"} >/dev/null 2>&1 && return
  case $(cat "$errors") in
    *404* | *"not found"*)
      fail "there is no bucket $bucket; 'gcloud storage buckets create $bucket" \
        "--location=${zone%-*}' makes it" ;;
    *) explain "look at $bucket" ;;
  esac
}

# What follows "--" is checked here, with this machine's own .venv: nothing wrong in it is
# to be found out on a slice that already costs money. Sets $needed to the address of the
# data set that the run reads from a bucket.
check_command() {
  # shellcheck source=launch/environment.sh
  needed=$(cd "$here" && . launch/environment.sh && environment "" >&2 &&
    python -m launch.tpu.check "$type" ${arguments[@]+"${arguments[@]}"}) || exit 2
}

check_data() {
  [ -n "$needed" ] || return 0
  cloud storage ls "$needed" ${project:+"--project=$project"} >/dev/null 2>&1 && return
  case $(cat "$errors") in
    *404* | *"not found"* | *"matched no objects"*)
      fail "there is no $needed: put the data set there with 'python -m cfasl_jax.data" \
        "prepare NAME --dir=gs://BUCKET/DIR'" ;;
    *) explain "look at $needed" ;;
  esac
}

# To several hosts gcloud takes the key from the ssh-agent where one runs, and refuses if
# that holds other keys alone; without an agent nobody can type a passphrase for each.
check_key() {
  local held code=0
  [ -z "$dry_run" ] && [ -f "$key" ] || return 0 # else gcloud makes it, without one
  held=$(ssh-add -l 2>/dev/null) || code=$?
  if [ $code -ge 2 ]; then
    is_open_key || fail "$key has a passphrase, and no ssh-agent holds it: run 'eval" \
      "\$(ssh-agent)', then 'ssh-add $key'"
    return
  fi
  case $held in *"$(ssh-keygen -lf "$key" | cut -d ' ' -f 2)"*) return ;; esac
  add_key || fail "your ssh-agent does not hold the key with which gcloud reaches a" \
    "slice: run 'ssh-add $key'"
}

is_open_key() { ssh-keygen -y -P "" -f "$key" >/dev/null 2>&1; }

add_key() { is_open_key && ssh-add -q "$key"; }

# Wrong names are told before anything is asked for.
check_offer() {
  local types versions
  types=$(cloud compute tpus tpu-vm accelerator-types list "${place[@]}" \
    --format='value(type)' 2>/dev/null) || explain "look at zone $zone"
  versions=$(cloud compute tpus tpu-vm versions list "${place[@]}" \
    --format='value(version)' 2>/dev/null) || explain "look at zone $zone"
  [ -z "$dry_run" ] || return 0
  check_among "--type" "$type" "$types"
  check_among "--version" "$version" "$versions"
}

# check_among OPTION VALUE CHOICES
check_among() {
  printf '%s\n' "$3" | grep -qxF -- "$2" && return
  fail "zone $zone does not offer $1=$2; it offers" \
    "$(printf '%s\n' "${3:-nothing}" | sort | paste -sd ' ' - | cut -c 1-600)"
}
