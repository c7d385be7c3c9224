#!/usr/bin/env bash
# Asks a real kube-apiserver and the embedded API server the questions of this directory, and ends both:
#
#   KUBE_BIN=DIR e2e/conformance/run.sh [FILE...]
#
# KUBE_BIN has etcd, kube-apiserver and kubectl (what hack/deps.sh prints). $SERVE is a built `--example serve` of
# apiserver/, if not that of the target directory. ask.py says what FILE is, and what the exit status.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..

[[ -n ${SERVER:-} ]] || exec "$root/apiserver/hack/real-api-server.sh" "$here/run.sh" "$@"

PATH=$KUBE_BIN:$PATH
serve=${SERVE:-${CARGO_TARGET_DIR:-$root/target}/debug/examples/serve}
[[ -x $serve ]] || { echo "not there: $serve; cargo build -p embedded-apiserver --example serve" >&2; exit 2; }
dir=$(mktemp -d)
pid=
finish() {
  [[ -z $pid ]] || kill "$pid" 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

jq --null-input '{
  clusters: [{name: "real", cluster: {server: env.SERVER, "insecure-skip-tls-verify": true}}],
  users: [{name: "real", user: {token: env.TOKEN}}],
  contexts: [{name: "real", context: {cluster: "real", user: "real"}}], "current-context": "real"}' >"$dir/real.json"

"$serve" 127.0.0.1:0 "$dir/embedded.json" 2>"$dir/serve.log" &
pid=$!
# The address is said when the kubeconfig is written and the port is open.
deadline=$((SECONDS + 30))
until grep --quiet https: "$dir/serve.log"; do
  if ! kill -0 "$pid" || ((SECONDS >= deadline)); then
    cat "$dir/serve.log" >&2
    exit 1
  fi
  sleep 0.05
done

"$here/ask.py" --real "$dir/real.json" --embedded "$dir/embedded.json" "$@"
