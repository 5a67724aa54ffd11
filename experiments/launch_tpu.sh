#!/usr/bin/env bash
# Start a training on every worker of a TPU VM, and restart it after interruptions until it is done.
#
#   gcloud compute tpus tpu-vm create pod --zone=us-east5-b --accelerator-type=v6e-16 --version=v2-alpha-tpuv6e --spot
#   experiments/launch_tpu.sh pod us-east5-b --config=configs/extend.py:yarn --workdir=gs://bucket/yarn
#
# Arguments after the zone are passed to `python -m experiments.train` on all workers. The last commit of this repository
# is copied to them; uncommitted changes are not.
#
# It ends with the training: done (0), bad input (2), or diverged (3). After any other exit code it restarts the same
# command, which resumes from the last checkpoint. A preempted VM is deleted and created again by
# CREATE="gcloud compute tpus tpu-vm create ..."; without CREATE, this script waits until the VM is ready again.
#
# Environment: CREATE; RESTARTS, the maximum (100); WAIT, seconds between restarts (60); EXTRAS (train,tpu,gcs).
set -euo pipefail

if (($# < 3)); then
  echo "usage: $0 NAME ZONE --config=... --workdir=gs://... [more flags of experiments.train]" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
cd "$(dirname "$0")/.."

on_all() { gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"; }

install() {
  local bundle
  bundle=$(mktemp --suffix=.tar.gz)
  git archive --format=tar.gz --prefix=ropelab/ --output="$bundle" HEAD
  gcloud compute tpus tpu-vm scp "$bundle" "$name:ropelab.tar.gz" --zone="$zone" --worker=all
  rm "$bundle"
  # The images of TPU VMs have Python 3.10, so uv brings another.
  on_all "set -e; tar xzf ropelab.tar.gz; python3 -m pip install --quiet --user uv; cd ropelab
~/.local/bin/uv venv --quiet --allow-existing --python 3.12
~/.local/bin/uv pip install --quiet -e '.[${EXTRAS:-train,tpu,gcs}]'"
}

# Each worker first stops a training that a lost connection left running, because it holds the chips.
train() {
  on_all "cd ropelab; rm -f train.code; old=\$(cat train.pid 2>/dev/null)
if grep -qs experiments.train \"/proc/\$old/cmdline\"; then kill \"\$old\"; tail --pid=\"\$old\" -f /dev/null; fi
.venv/bin/python -m experiments.train$(printf ' %q' "$@") & echo \$! >train.pid
wait \$!; code=\$?; echo \$code >train.code; exit \$code"
}

# With several workers, gcloud's exit code is not the training's.
code() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=0 --command="cat ropelab/train.code" 2>/dev/null ||
    echo unknown
}

state() { gcloud compute tpus tpu-vm describe "$name" --zone="$zone" --format="value(state)" 2>/dev/null || echo GONE; }

# Wait for the VM, or create it again.
back() {
  local now
  now=$(state)
  [[ $now == READY ]] && return
  if [[ -n ${CREATE:-} ]]; then
    echo "$name is $now; creating it again" >&2
    gcloud compute tpus tpu-vm delete "$name" --zone="$zone" --quiet || true
    until bash -c "$CREATE"; do sleep "${WAIT:-60}"; done
  else
    echo "$name is $now; waiting until it is READY: create it again, or set CREATE" >&2
    until [[ $(state) == READY ]]; do sleep "${WAIT:-60}"; done
  fi
  install
}

install
for ((restart = 0; restart <= ${RESTARTS:-100}; restart++)); do
  train "$@" && exit 0
  found=$(code)
  case $found in 0 | 2 | 3) exit "$found" ;; esac
  echo "interrupted, exit code $found; starting again" >&2
  sleep "${WAIT:-60}"
  back
done
echo "interrupted ${RESTARTS:-100} times; giving up" >&2
exit 1
