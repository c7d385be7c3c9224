#!/usr/bin/env bash
# The tour: a cluster, the operator, and the daemon strategy played through with kubectl.
#
#   hack/tour.sh [--keep]     a real control plane and three real nodes (e2e/cluster; this needs root on a Debian machine
#                             with Rust, Go and cgroup v1); taken down at the end unless --keep is given
#   hack/tour.sh --local      local mode: needs Rust and a kubectl, KUBECTL names it if it isn't on the PATH
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$repo/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=operator.sh
source "$repo/hack/operator.sh"
export ECS_CLUSTER=${ECS_CLUSTER:-tour}
cluster=$repo/e2e/cluster/cluster.sh

# on CMD…: runs a command where kubectl leads to the cluster.
on() { "$cluster" exec -- "$@"; }

add_node() { "$cluster" add-node; }

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# quoted WORD: the word as it is typed in a shell, in single quotes if it needs any.
quoted() {
  local plain='^[A-Za-z0-9_./:=,@%+-]+$' quote="'\\''"
  if [[ $1 =~ $plain ]]; then printf '%s' "$1"; else printf "'%s'" "${1//\'/"$quote"}"; fi
}

# show CMD…: prints a command as a user types it, then runs it in the cluster.
show() {
  local word
  printf '$'
  for word in "$@"; do printf ' %s' "$(quoted "$word")"; done
  printf '\n'
  on "$@"
}

# running N: whether the daemon service has N tasks in RUNNING and none that is to run elsewhere.
running() {
  [[ $(on kubectl get ecstask -o json | jq --arg count "$1" '[.items[]
    | select(.spec.group == "service:agent" and .spec.desiredStatus == "RUNNING")]
    | (length == ($count | tonumber)) and all(.status.lastStatus == "RUNNING")') == true ]]
}

table() {
  show kubectl get ecstask --sort-by=.spec.containerInstance \
    -o custom-columns=INSTANCE:.spec.containerInstance,DESIRED:.spec.desiredStatus,LAST:.status.lastStatus,GROUP:.spec.group
}

make_cluster() {
  local archive
  "$cluster" preflight
  share_target
  archive=$CARGO_TARGET_DIR/ecs-operator-image.tar
  say "Building the operator"
  "$repo/hack/deps.sh" >/dev/null
  build_operator_image "$repo" "$archive"
  say "A real control plane and three real nodes"
  "$cluster" up --nodes 3
  "$cluster" load-image "$archive"
  say "The operator, by Helm"
  # tasks count as healthy sooner than the 40 seconds that are usual, so that nobody waits for the end of the tour
  install_operator "$repo" "$cluster" --set defaultCluster.settings.healthyAfterSeconds=2
  show kubectl --namespace ecs-operator get pods
}

# In local mode: builds it, unless ECS_OPERATOR names the program, starts it and waits until it answers.
make_local() {
  program=${ECS_OPERATOR:-} kubectl=${KUBECTL:-kubectl}
  command -v "$kubectl" >/dev/null || die "no kubectl: name one by KUBECTL, or see ecs-operator local --tour"
  if [[ -z $program ]]; then
    say "Building the operator"
    share_target
    cargo build --locked --release --bin ecs-operator
    program=$CARGO_TARGET_DIR/release/ecs-operator
  fi
  folder=$(mktemp -d)
  export KUBECONFIG=$folder/kubeconfig
  trap end_local EXIT
  say "An API server, the operator and three simulated instances in one process"
  "$program" local --healthy-after 2 --write-kubeconfig "$KUBECONFIG" 2>"$folder/log" &
  local_mode=$!
  # shellcheck disable=SC2317  # called by play, in the place of those for the real cluster
  on() { if [[ $1 == kubectl ]]; then "$kubectl" "${@:2}"; else "$@"; fi; }
  # shellcheck disable=SC2317
  add_node() { "$program" local add node-4; }
  wait_for 30 "local mode to begin" answers || {
    cat "$folder/log" >&2
    exit 1
  }
  show kubectl get nodes
}

# answers: whether there are the three instances to begin with.
answers() { [[ $(on kubectl get containerinstances -o name 2>/dev/null | wc -l) == 3 ]]; }

end_local() {
  kill "$local_mode" 2>/dev/null || true
  wait "$local_mode" || true
  rm -rf "$folder"
}

play() {
  say "Every node is a container instance"
  wait_for 60 "three container instances" answers
  show kubectl get containerinstances

  say "Register a task definition and create a DAEMON service: one task on each instance"
  show kubectl apply -f e2e/tour/agent.yaml
  wait_for 60 "three daemon tasks" running 3
  table

  say "Put an attribute on two instances and constrain the service to it: the other task stops"
  show kubectl patch containerinstance node-1 --type merge -p '{"spec":{"attributes":[{"name":"env","value":"prod"}]}}'
  show kubectl patch containerinstance node-2 --type merge -p '{"spec":{"attributes":[{"name":"env","value":"prod"}]}}'
  show kubectl patch ecsservice agent --type merge \
    -p '{"spec":{"placementConstraints":[{"type":"memberOf","expression":"attribute:env == prod"}]}}'
  wait_for 60 "two daemon tasks" running 2
  table
  show kubectl patch ecsservice agent --type merge -p '{"spec":{"placementConstraints":[]}}'
  wait_for 60 "three daemon tasks" running 3

  say "A replica service that wants more than there is, then one more instance: its daemon comes first"
  show kubectl apply -f e2e/tour/web.yaml
  wait_for 60 "a replica that waits for room" waiting
  show kubectl get ecsservice web -o 'jsonpath={.status.events[0].message}{"\n"}'
  add_node >/dev/null
  wait_for 60 "four daemon tasks" running 4
  show kubectl get ecstask --field-selector spec.containerInstance=node-4 --sort-by=.metadata.creationTimestamp

  say "Drain an instance as anybody would: its daemon leaves last, and kubectl drain ends by itself"
  show kubectl scale ecsservice web --replicas=3
  show kubectl drain node-1 --timeout=180s
  wait_for 60 "no task left on node-1" empty node-1
  show kubectl get ecstask --field-selector spec.containerInstance=node-1 \
    -o custom-columns=GROUP:.spec.group,LAST:.status.lastStatus,STOPPED:.status.stoppedAt --sort-by=.status.stoppedAt
  show kubectl get containerinstances
  wait_for 60 "steady services" steady
  show kubectl get ecsservices
}

steady() { on kubectl wait --for=condition=Ready --timeout=1s ecsservice/agent ecsservice/web >/dev/null 2>&1; }

waiting() { on kubectl get ecsservice web -o 'jsonpath={.status.events[*].message}' | grep -q 'insufficient CPU'; }

empty() {
  [[ $(on kubectl get containerinstance "$1" -o 'jsonpath={.status.reservations}') == "" ]]
}

main() {
  cd "$repo"
  case "${1:-}" in
    --local) make_local ;;
    --keep) make_cluster ;;
    "")
      make_cluster
      trap '"$cluster" down' EXIT
      ;;
    *) die "unknown option $1: see the head of this file" ;;
  esac
  play
  say "That was the tour."
  if [[ ${1:-} == --keep ]]; then
    printf 'The cluster is up: ECS_CLUSTER=%s %s shell\n' "$ECS_CLUSTER" "e2e/cluster/cluster.sh"
  fi
}

main "$@"
