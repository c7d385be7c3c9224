# shellcheck shell=bash
# Functions shared by the scripts in hack/ and e2e/. Sourced, never run.

log() { printf '%s\n' "$*" >&2; }

die() {
  log "error: $*"
  exit 1
}

# retry TIMES CMD…: runs CMD until it succeeds, at most TIMES times, waiting 1, 2, 4… seconds in between.
# For steps that download something.
retry() {
  local times=$1 try=1 pause=1
  shift
  until "$@"; do
    ((try < times)) || return 1
    log "attempt $try of $times failed: $*; again in ${pause}s"
    sleep "$pause"
    try=$((try + 1))
    pause=$((pause * 2))
  done
}

# wait_for SECONDS WHAT CMD…: polls CMD until it succeeds; fails, naming WHAT, when the deadline passes.
wait_for() {
  local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)) seconds=$1 what=$2
  shift 2
  until "$@"; do
    if ((${EPOCHREALTIME/[.,]/} >= deadline)); then
      log "timed out after ${seconds}s waiting for $what"
      return 1
    fi
    sleep 0.05
  done
}

cache_dir() { printf '%s\n' "${ECS_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-operator}"; }

# The machine's architecture as Go and image manifests call it.
image_arch() {
  case "$(uname -m)" in
    x86_64) printf 'amd64\n' ;;
    aarch64) printf 'arm64\n' ;;
    *) die "unsupported architecture: $(uname -m)" ;;
  esac
}

# rust_musl_target: the Rust target for a static binary on this machine.
rust_musl_target() { printf '%s-unknown-linux-musl\n' "$(uname -m)"; }

# is_static BINARY: true if the ELF file needs no dynamic loader. Never runs the file.
is_static() {
  python3 - "$1" <<'PY'
import struct, sys
with open(sys.argv[1], "rb") as f:
    elf = f.read(64)
    if elf[:4] != b"\x7fELF" or elf[4] != 2:
        sys.exit(f"{sys.argv[1]}: not a 64-bit ELF file")
    phoff, = struct.unpack_from("<Q", elf, 32)
    phentsize, phnum = struct.unpack_from("<HH", elf, 54)
    f.seek(phoff)
    headers = f.read(phentsize * phnum)
PT_INTERP = 3
kinds = [struct.unpack_from("<I", headers, i * phentsize)[0] for i in range(phnum)]
sys.exit(1 if PT_INTERP in kinds else 0)
PY
}

# full_image_name NAME[:TAG]: the name as container runtimes store it
# (`app` → `docker.io/library/app:latest`), so that a Pod's short name finds it.
full_image_name() {
  local name=$1 first=${1%%/*}
  if [[ $name != */* ]]; then
    name=docker.io/library/$name
  elif [[ $first != *[.:]* && $first != localhost ]]; then
    name=docker.io/$name
  fi
  [[ ${name##*/} == *:* ]] || name=$name:latest
  printf '%s\n' "$name"
}

# deterministic_tar OUT DIR: packs what is in DIR so that equal contents give equal bytes. Names have no leading "./",
# which not every reader of image archives strips.
deterministic_tar() {
  (cd "$2" && find . -mindepth 1 -printf '%P\0' | LC_ALL=C sort -z) |
    tar --create --file "$1" --directory "$2" --no-recursion --null --files-from - --format=ustar \
      --mtime=@0 --owner=0 --group=0 --numeric-owner
}

# put_blob DIR FILE: moves FILE into the blobs of the image layout in DIR and prints "DIGEST SIZE".
put_blob() {
  local digest size
  digest=$(sha256sum "$2" | cut -d' ' -f1)
  size=$(stat -c %s "$2")
  mv "$2" "$1/blobs/sha256/$digest"
  printf '%s %s\n' "$digest" "$size"
}

# pack_image ROOTFS OUT NAME:TAG CONFIG: makes an image archive of one layer from the directory ROOTFS.
# CONFIG is the JSON of the image's "config" (User, Entrypoint, …). The archive is an OCI image layout and a
# docker-archive at once, so `ctr images import`, `docker load` and `kind load image-archive` all take it.
pack_image() {
  local rootfs=$1 out=$2 name config=$4 work layer layer_size conf conf_size manifest manifest_size
  name=$(full_image_name "$3")
  work=$(mktemp -d)
  mkdir -p "$work/image/blobs/sha256"

  deterministic_tar "$work/layer" "$rootfs"
  read -r layer layer_size < <(put_blob "$work/image" "$work/layer")

  printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(image_arch)" "$config" "$layer" >"$work/config"
  read -r conf conf_size < <(put_blob "$work/image" "$work/config")

  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    "$conf" "$conf_size" "$layer" "$layer_size" >"$work/manifest"
  read -r manifest manifest_size < <(put_blob "$work/image" "$work/manifest")

  printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
    "$manifest" "$manifest_size" "$(image_arch)" "$name" "${name##*:}" >"$work/image/index.json"
  printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]' \
    "$conf" "$name" "$layer" >"$work/image/manifest.json"

  deterministic_tar "$work/out" "$work/image"
  mkdir -p "$(dirname "$out")"
  mv "$work/out" "$out"
  rm -rf "$work"
}
