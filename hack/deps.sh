#!/usr/bin/env bash
# Makes everything the end-to-end suite runs on, and prints the directory it is in.
#
#   hack/deps.sh
#
# Debian packages that are missing are installed (this needs root), the Rust target for static binaries is added, and
# Kubernetes, etcd and helm are built from the Go modules pinned in e2e/tools. The binaries, and below them the test
# images, go to ${ECS_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ecs-operator}/bin-<hash of what they are made from>.
# Cold it takes some minutes (two cores: about ten); warm, well under a second. Only the directory goes to stdout.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$root/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../e2e/cluster/images.sh
source "$root/e2e/cluster/images.sh"

packages=(
  containerd runc containernetworking-plugins
  iptables nftables ipset conntrack iproute2 kmod procps
  busybox-static musl-tools curl openssl python3 jq util-linux
)
kube_commands=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    # "hold ok installed" counts as well
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >&2
}

install_packages() {
  local missing
  command -v dpkg-query >/dev/null || {
    log "not a Debian machine: these must be there already: ${packages[*]}"
    return
  }
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} > 0)) || return 0
  ((EUID == 0)) || die "these packages are missing and installing them needs root: ${missing[*]}"
  log "installing ${missing[*]}"
  # One source of several may be out of order: what matters is whether the packages can be had.
  retry 3 apt-get update -o Acquire::Retries=3 >&2 || log "apt-get update failed; trying with the lists there are"
  retry 4 apt_install "${missing[@]}" || die "could not install ${missing[*]}"
}

add_rust_target() {
  local target
  target=$(rust_musl_target)
  command -v rustup >/dev/null || {
    log "no rustup: the Rust target $target must be there already"
    return
  }
  # In the repository, so that the toolchain its rust-toolchain.toml names gets the target.
  if [[ ! -d $(cd "$root" && rustc --print sysroot)/lib/rustlib/$target ]]; then
    (cd "$root" && retry 4 rustup target add "$target") >&2 || die "could not add the Rust target $target"
  fi
}

# What the binaries are made from; a change of any of it gives a new directory.
binaries_hash() {
  local hash
  hash=$(cd "$root/e2e/tools" && {
    sha256sum go.mod go.sum helm/go.mod helm/go.sum
    go env GOARCH
    declare -f go_build build_kubernetes build_etcd build_helm
  } | sha256sum)
  printf '%s\n' "${hash:0:16}"
}

version_of() { (cd "$1" && retry 4 go list -m -f '{{.Version}}' "$2"); }

# What a build lacks it downloads, and that may fail for a while.
go_build() { retry 4 nice go build -trimpath "$@" >&2; }

# build_kubernetes OUT
build_kubernetes() {
  local out=$1 version flags
  version=$(version_of "$root/e2e/tools" k8s.io/kubernetes)
  flags="-s -w"
  # What the server and the clients call themselves; clients cannot parse what they say without it.
  local package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
    flags+=" -X $package.gitCommit=unknown -X $package.gitTreeState=clean"
  done
  (cd "$root/e2e/tools" && go_build -ldflags "$flags" -o "$out/" "${kube_commands[@]/#/k8s.io/kubernetes/cmd/}")
}

build_etcd() {
  (cd "$root/e2e/tools" && go_build -ldflags "-s -w" -o "$1/etcd" go.etcd.io/etcd/server/v3)
}

build_helm() {
  local version
  version=$(version_of "$root/e2e/tools/helm" helm.sh/helm/v4)
  (cd "$root/e2e/tools/helm" &&
    go_build -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version" -o "$1/helm" helm.sh/helm/v4/cmd/helm)
}

# build_all DIR: into a directory beside DIR first, so that DIR is there whole or not at all.
build_all() {
  local dir=$1 part=$1.part
  rm -rf "$part"
  mkdir -p "$part"
  log "building Kubernetes, etcd and helm into $dir (some minutes when cold)"
  export GOFLAGS="-buildvcs=false" CGO_ENABLED=0
  build_kubernetes "$part"
  build_etcd "$part"
  build_helm "$part"
  mv "$part" "$dir"
}

main() {
  local dir
  install_packages
  add_rust_target
  command -v go >/dev/null || die "go is missing: e2e/tools/go.mod says which"
  dir=$(cache_dir)/bin-$(binaries_hash)
  if [[ ! -d $dir ]]; then
    mkdir -p "$(cache_dir)"
    exec 9>"$(cache_dir)/lock"
    flock 9 # another run may be building the same
    [[ -d $dir ]] || build_all "$dir"
  fi
  build_test_images "$root" "$dir"
  printf '%s\n' "$dir"
}

main "$@"
