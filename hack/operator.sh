# shellcheck shell=bash
# Building the operator and putting it on a cluster of e2e/cluster. Sourced by tour.sh and test.sh, never run.

operator_image_name=localhost/ecs-operator/ecs-operator:0.1.0

# Build outputs are shared between checkouts, so that a fresh clone builds only what changed.
share_target() {
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(cache_dir)/target}
  mkdir -p "$CARGO_TARGET_DIR"
}

# build_operator_image REPO OUT.tar: the static binary, and the image of it.
build_operator_image() {
  local target
  target=$(rust_musl_target)
  (cd "$1" && cargo build --locked --release --target "$target" --bin ecs-operator)
  "$1/hack/image.sh" "$CARGO_TARGET_DIR/$target/release/ecs-operator" "$2" "$operator_image_name"
}

# install_operator REPO CLUSTER.SH [HELM ARGUMENTS…]: both charts, waiting until the operator is ready.
install_operator() {
  local repo=$1 cluster=$2
  shift 2
  "$cluster" exec -- helm upgrade --install ecs-operator-crds "$repo/charts/ecs-operator-crds" \
    --namespace ecs-operator --create-namespace --wait --timeout 60s
  "$cluster" exec -- helm upgrade --install ecs-operator "$repo/charts/ecs-operator" \
    --namespace ecs-operator --wait --timeout 120s "$@"
}
