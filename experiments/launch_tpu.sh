#!/usr/bin/env bash
# Start a training on every worker of a TPU VM, and again whenever it was interrupted, until it is done.
#
#   gcloud compute tpus tpu-vm create pod --zone=us-east5-b --accelerator-type=v6e-16 --version=v2-alpha-tpuv6e --spot
#   experiments/launch_tpu.sh pod us-east5-b --config=configs/extend.py:yarn --workdir=gs://bucket/yarn
#
# What follows the zone is handed to `python -m experiments.train` on all workers as it is. The last commit of this
# repository is copied to them; what has changed since is not.
#
# It ends when the training does: done (0), bad input (2), or come to nothing (3). After anything else it starts the same
# command again, which goes on from the last checkpoint. A VM that was preempted is deleted and made anew by
# CREATE="gcloud compute tpus tpu-vm create ..."; without CREATE, this waits until it is there again.
#
# Environment: CREATE; RESTARTS, at most (100); WAIT, seconds between two (60); EXTRAS of the package (train,tpu,gcs).
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

# Each worker first ends what a lost connection has left running, as that holds the chips.
train() {
  on_all "cd ropelab; rm -f train.code; old=\$(cat train.pid 2>/dev/null)
if grep -qs experiments.train \"/proc/\$old/cmdline\"; then kill \"\$old\"; tail --pid=\"\$old\" -f /dev/null; fi
.venv/bin/python -m experiments.train$(printf ' %q' "$@") & echo \$! >train.pid
wait \$!; code=\$?; echo \$code >train.code; exit \$code"
}

# What gcloud exits with is not what the training did, if there are several workers.
code() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=0 --command="cat ropelab/train.code" 2>/dev/null ||
    echo unknown
}

state() { gcloud compute tpus tpu-vm describe "$name" --zone="$zone" --format="value(state)" 2>/dev/null || echo GONE; }

# Have the VM back, if it is not there.
back() {
  local now
  now=$(state)
  [[ $now == READY ]] && return
  if [[ -n ${CREATE:-} ]]; then
    echo "$name is $now; making it anew" >&2
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
