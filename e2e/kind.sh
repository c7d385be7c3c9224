#!/usr/bin/env bash
# Runs the end-to-end suite on a kind cluster, for those who have Docker.
#
#   e2e/kind.sh [--name NAME] [--keep] [-- ARGUMENTS OF THE SUITE…]
#
# Makes a kind cluster with three workers in three zones, loads the operator's image and the test workload's, runs the
# suite against it through KUBECONFIG and removes the cluster (--keep: leaves it). The cluster gets a name of its own
# and the kubeconfig goes to a temporary file, so other clusters and ~/.kube/config are not touched.
#
# Needs docker, kind, kubectl, helm, cargo, go, python3, musl-gcc, and a static busybox as /bin/busybox (Debian:
# musl-tools, busybox-static).
#   KIND_NODE_IMAGE   the node image, for another Kubernetes version than kind's default
#   OPERATOR_IMAGE    an image archive to test in place of one built from this tree
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../hack/lib.sh
source "$root/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../hack/operator.sh
source "$root/hack/operator.sh"
# shellcheck source-path=SCRIPTDIR source=cluster/images.sh
source "$root/e2e/cluster/images.sh"

name=ecs-e2e
keep=false
work=''

need_commands() {
  local command missing=()
  for command in docker kind kubectl helm cargo go python3 musl-gcc; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  ((${#missing[@]} == 0)) || die "missing: ${missing[*]}"
  docker info >/dev/null 2>&1 || die "docker does not answer"
  [[ -x /bin/busybox ]] || die "/bin/busybox is missing"
}

cluster_exists() { kind get clusters 2>/dev/null | grep -Fxq "$name"; }

# The labels that kubelets of a cloud would set. A node that is lost is noticed as fast as in e2e/cluster.
kind_config() {
  cat <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        node-monitor-period: 1s
        node-monitor-grace-period: 10s
  - |
    kind: KubeletConfiguration
    nodeStatusUpdateFrequency: 2s
    nodeLeaseDurationSeconds: 8
nodes:
  - role: control-plane
YAML
  local zone
  for zone in a b c; do
    cat <<YAML
  - role: worker
    labels:
      topology.kubernetes.io/zone: zone-$zone
      node.kubernetes.io/instance-type: m5.large
YAML
  done
}

make_cluster() {
  local -a image=()
  [[ -z ${KIND_NODE_IMAGE:-} ]] || image=(--image "$KIND_NODE_IMAGE")
  kind_config >"$work/kind.yaml"
  kind create cluster --name "$name" --config "$work/kind.yaml" --kubeconfig "$KUBECONFIG" --wait 180s "${image[@]}"
  kubectl wait --for=condition=Ready nodes --all --timeout=180s
}

# operator_image: prints the path of the archive to test.
operator_image() {
  if [[ -n ${OPERATOR_IMAGE:-} ]]; then
    printf '%s\n' "$OPERATOR_IMAGE"
    return
  fi
  local target
  target=$(rust_musl_target)
  (cd "$root" && {
    rustup target add "$target"
    cargo build --release --locked --target "$target" --bin ecs-operator
  }) >&2
  "$root/hack/image.sh" "${CARGO_TARGET_DIR:-$root/target}/$target/release/ecs-operator" "$work/ecs-operator.tar" "$operator_image_name"
  printf '%s\n' "$work/ecs-operator.tar"
}

load_images() {
  local archive workload
  archive=$(operator_image)
  build_test_images "$root" "$(cache_dir)"
  workload=$(test_images_dir "$root" "$(cache_dir)")/workload.tar
  kind load image-archive --name "$name" "$archive"
  kind load image-archive --name "$name" "$workload"
}

# install_charts: the CRDs and the operator, in the cluster that KUBECONFIG names. The control plane's node takes no tasks.
install_charts() {
  helm upgrade --install ecs-operator-crds "$root/charts/ecs-operator-crds" \
    --namespace ecs-operator --create-namespace --wait --timeout 60s
  helm upgrade --install ecs-operator "$root/charts/ecs-operator" --namespace ecs-operator --wait --timeout 120s \
    --set 'defaultCluster.nodeSelector.matchExpressions[0].key=node-role.kubernetes.io/control-plane' \
    --set 'defaultCluster.nodeSelector.matchExpressions[0].operator=DoesNotExist'
}

cleanup() {
  local code=$?
  trap - EXIT
  if [[ $keep == true ]]; then
    log "the cluster stays: KUBECONFIG=$KUBECONFIG; remove it with: kind delete cluster --name $name"
  else
    kind delete cluster --name "$name" --kubeconfig "$KUBECONFIG" || true
    rm -rf "$work"
  fi
  exit "$code"
}

main() {
  while (($# > 0)); do
    case "$1" in
      --name)
        name=${2:?--name needs a name}
        shift 2
        ;;
      --keep)
        keep=true
        shift
        ;;
      --)
        shift
        break
        ;;
      *) die "unknown option $1" ;;
    esac
  done
  need_commands
  if cluster_exists; then die "there is a kind cluster '$name' already: remove it, or choose another --name"; fi

  work=$(mktemp -d)
  export KUBECONFIG=$work/kubeconfig
  trap cleanup EXIT
  trap 'exit 130' INT TERM
  make_cluster
  load_images
  install_charts
  cd "$root"
  cargo test --features testing --test e2e -- "$@"
}

main "$@"
