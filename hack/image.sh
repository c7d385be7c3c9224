#!/usr/bin/env bash
# Makes a container image from one static binary, without a container engine.
#
#   hack/image.sh BINARY OUT.tar [NAME:TAG]
#
# The image holds the binary as /ecs-operator and nothing else, and runs it as user 65532. The archive is an OCI
# image layout and a docker-archive at once (`ctr images import`, `docker load`, `kind load image-archive`); equal
# binaries give equal bytes. NAME:TAG defaults to ecs-operator:dev.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
  (($# == 2 || $# == 3)) || die "usage: hack/image.sh BINARY OUT.tar [NAME:TAG]"
  local binary=$1 out=$2 name=${3:-ecs-operator:dev} rootfs
  [[ -f $binary ]] || die "no such file: $binary"
  is_static "$binary" || die "$binary is not a static binary: build it for $(rust_musl_target)"

  umask 022
  rootfs=$(mktemp -d)
  # shellcheck disable=SC2064 # the path of now
  trap "rm -rf '$rootfs'" EXIT
  install -m 0755 "$binary" "$rootfs/ecs-operator"
  chmod 0755 "$rootfs"
  pack_image "$rootfs" "$out" "$name" '{"User":"65532:65532","Entrypoint":["/ecs-operator"],"WorkingDir":"/"}'
  log "$out: $(full_image_name "$name"), $(stat -c %s "$out") bytes"
}

main "$@"
