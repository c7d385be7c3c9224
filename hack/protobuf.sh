#!/usr/bin/env bash
# Writes apiserver/src/protobuf/types.txt anew from the pinned Go modules of Kubernetes; with --check only compares.
set -euo pipefail
cd "$(dirname "$0")/.."

file=apiserver/src/protobuf/types.txt
new=$(mktemp)
trap 'rm -f "$new"' EXIT
(cd e2e/tools && go run ./protobuf) >"$new"
if [[ ${1:-} == --check ]]; then
  diff -u "$file" "$new"
else
  cp "$new" "$file"
fi
