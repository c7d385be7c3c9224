#!/usr/bin/env bash
# The five-minute tour: a real cluster on this machine, the operator in it, and the daemon strategy played through.
#
#   hack/tour.sh [--keep]
#
# It makes a real control plane and three real nodes (e2e/cluster; this needs root on a Debian machine with Rust, Go
# and cgroup v1), installs the operator by Helm, and plays the walk-through with kubectl. At the end the cluster is taken
# down, unless --keep is given.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$repo/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=operator.sh
source "$repo/hack/operator.sh"
export ECS_CLUSTER=${ECS_CLUSTER:-tour}
cluster=$repo/e2e/cluster/cluster.sh

on() { "$cluster" exec -- "$@"; }

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
  install_operator "$repo" "$cluster"
  show kubectl --namespace ecs-operator get pods
}

play() {
  say "Every node is a container instance"
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
  "$cluster" add-node >/dev/null
  wait_for 60 "four daemon tasks" running 4
  show kubectl get ecstask --field-selector spec.containerInstance=node-4 --sort-by=.metadata.creationTimestamp

  say "Drain an instance as anybody would: its daemon leaves last, and kubectl drain ends by itself"
  show kubectl scale ecsservice web --replicas=3
  show kubectl drain node-1 --timeout=180s
  wait_for 60 "no task left on node-1" empty node-1
  show kubectl get ecstask --field-selector spec.containerInstance=node-1 \
    -o custom-columns=GROUP:.spec.group,LAST:.status.lastStatus,STOPPED:.status.stoppedAt --sort-by=.status.stoppedAt
  show kubectl get containerinstances
  show kubectl get ecsservices
}

waiting() { on kubectl get ecsservice web -o 'jsonpath={.status.events[*].message}' | grep -q 'insufficient CPU'; }

empty() {
  [[ $(on kubectl get containerinstance "$1" -o 'jsonpath={.status.reservations}') == "" ]]
}

main() {
  local keep=no
  cd "$repo"
  [[ ${1:-} != --keep ]] || keep=yes
  make_cluster
  [[ $keep == yes ]] || trap '"$cluster" down' EXIT
  play
  say "That was the tour."
  if [[ $keep == yes ]]; then
    printf 'The cluster is up: ECS_CLUSTER=%s %s shell\n' "$ECS_CLUSTER" "e2e/cluster/cluster.sh"
  fi
}

main "$@"
