#!/usr/bin/env bash
# Passes all tests: format, lints, unit and property tests, generated files, charts, the embedded API server against a real
# one, the simulation, and the end-to-end suite on local mode and on a real cluster that it makes on this machine and removes.
#
#   hack/test.sh
#
# It needs a Debian machine with Rust, Go and cgroup v1, and root; it installs what else it needs.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$repo/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=operator.sh
source "$repo/hack/operator.sh"
export ECS_CLUSTER=${ECS_CLUSTER:-test}
cluster=$repo/e2e/cluster/cluster.sh
# These, and the whole workspace, for every command: what one has compiled the next one takes.
features=testing,embedded-apiserver/kubectl

# Process and output of what runs beside the end-to-end suite, while it does.
beside=
beside_dir=

step() { printf '\n=== %s (%ss)\n' "$*" "$SECONDS"; }

show_logs() {
  step "what the operator said last"
  "$cluster" exec -- kubectl --namespace ecs-operator logs --selector app.kubernetes.io/name=ecs-operator --tail 40 --prefix || true
}

# integration_tests: options for the tests in apiserver/tests, but for those that need a feature. They are named in the one
# command for the workspace, since a command for that package alone would compile its dependencies anew.
integration_tests() {
  cargo metadata --locked --no-deps --format-version 1 |
    jq -r '.packages[] | select(.name == "embedded-apiserver") | .targets[]
      | select(.kind == ["test"] and (.["required-features"] // []) == []) | "--test", .name'
}

# without_a_cluster BIN SUITE DIR: the scenarios on local mode, which the suite begins itself, and 500 schedules of the
# simulation, optimised. DIR takes the files of local mode.
without_a_cluster() {
  PATH=$1:$PATH ECS_LOCAL=1 ECS_CLUSTER='' KUBECONFIG=$3/kubeconfig "$2" --test-threads=1 &&
    cargo test --locked --release --features testing --test simulation
}

# begin_beside LOG CMD…: in a session of its own with the lowest priority there is, so that nobody waits for it. The
# end-to-end suite mostly waits. Sets `beside` to its process.
begin_beside() {
  local log=$1
  shift
  export -f without_a_cluster
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c 'echo 19 >/proc/self/autogroup; renice -n 19 $$ >/dev/null; "$@"' beside "$@" >"$log" 2>&1 &
  beside=$!
}

# end_beside LOG: waits for it and shows how it went.
end_beside() {
  local passed=true
  wait "$beside" || passed=false
  beside=
  if "$passed"; then
    grep '^test ' "$1"
  else
    cat "$1"
    exit 1
  fi
}

clean_up() {
  [[ -z $beside ]] || kill -- "-$beside" || true
  rm -rf "$beside_dir"
  "$cluster" down
}

main() {
  local bin archive suite names
  local -a options
  cd "$repo"
  "$cluster" preflight
  share_target
  step "what the tests need"
  bin=$(hack/deps.sh)
  step "format and lints"
  cargo fmt --check
  cargo clippy --locked --workspace --all-targets --features "$features" -- -D warnings
  if command -v cargo-deny >/dev/null; then
    cargo deny --locked check
  else
    echo "cargo-deny is not installed: deny.toml was not checked"
  fi
  if command -v shellcheck >/dev/null; then
    git ls-files -z '*.sh' | xargs -0 shellcheck --external-sources
  else
    echo "shellcheck is not installed: the scripts were not checked"
  fi
  step "unit and property tests, and those of the embedded API server as a whole"
  names=$(integration_tests)
  mapfile -t options <<<"$names"
  cargo test --locked --workspace --lib --bins "${options[@]}" --features "$features"
  step "examples in the docs"
  cargo test --locked --workspace --doc --features "$features"
  step "generated files"
  cargo build --locked --workspace --bins --features "$features"
  "$CARGO_TARGET_DIR/debug/crdgen" --check
  hack/semantics.sh --check
  step "charts"
  HELM=$bin/helm hack/charts.sh
  step "kubectl and helm against the embedded API server"
  KUBECTL=$bin/kubectl HELM=$bin/helm cargo test --locked --workspace --features "$features" --test kubectl
  step "the embedded API server's answers against those of kube-apiserver"
  cargo build --locked --workspace --example serve --features "$features"
  KUBE_BIN=$bin e2e/conformance/run.sh
  step "local mode, by kubectl"
  KUBECTL=$bin/kubectl ECS_OPERATOR=$CARGO_TARGET_DIR/debug/ecs-operator hack/tour.sh --local
  suite=$(cargo test --locked --workspace --features "$features" --test e2e --no-run --message-format json |
    jq -r 'select(.reason == "compiler-artifact" and .target.name == "e2e") | .executable')
  step "the operator's image"
  archive=$CARGO_TARGET_DIR/ecs-operator-image.tar
  build_operator_image "$repo" "$archive"
  step "a real cluster"
  "$cluster" down
  beside_dir=$(mktemp -d)
  trap clean_up EXIT
  "$cluster" up --nodes 3
  "$cluster" load-image "$archive"
  step "the operator, by Helm"
  install_operator "$repo" "$cluster"
  step "end-to-end tests; beside them the same scenarios on local mode, and the simulation"
  begin_beside "$beside_dir/log" without_a_cluster "$bin" "$suite" "$beside_dir"
  "$cluster" exec -- "$suite" --test-threads=1 || {
    show_logs
    exit 1
  }
  step "the operator's rights against what it did"
  "$cluster" exec -- e2e/rights.py
  step "the scenarios on local mode, and the simulation"
  end_beside "$beside_dir/log"
  step "all passed"
}

main "$@"
