#!/usr/bin/env bash
# A scheduler of one's own, with kubectl alone: starts COUNT tasks, each on the instance with the most CPU left.
#
#   scheduler.sh FAMILY:REVISION [COUNT]        CLUSTER names the EcsCluster, NAMESPACE the namespace
#
# It decides and does not reserve: the operator's ledger admits each task to its instance, or the task is STOPPED with the
# reason, and the next instance is tried. README.md beside this file has the protocol.
set -euo pipefail
definition=$1 count=${2:-1} cluster=${CLUSTER:-default}
kubectl() { command kubectl ${NAMESPACE:+--namespace "$NAMESPACE"} "$@"; }

# table KIND MEMBER…: those members of each object of the kind, a line each, with | between them.
table() {
  local kind=$1 row
  shift
  printf -v row '{%s}|' "$@"
  kubectl get "$kind" --output "jsonpath={range .items[*]}$row{\"\\n\"}{end}"
}

# emptiest TRIED: the instance of the cluster with the most CPU left, of those that take new tasks and have room for one,
# but for those in TRIED; nothing if there is none.
emptiest() {
  table containerinstances .metadata.name .spec.cluster '.status.conditions[?(@.type=="Schedulable")].status' \
    .status.remainingResources.cpu .status.remainingResources.memory .status.remainingResources.pods |
    awk -F '|' -v cluster="$cluster" -v cpu="$cpu" -v memory="$memory" -v tried="$1" '
      $2 == cluster && $3 == "True" && $4 >= cpu+0 && $5 >= memory+0 && $6 > 0 && !index(tried, " " $1 " ") &&
        $4 >= most { most = $4; best = $1 }
      END { print best }'
}

# start INSTANCE: creates a Task that is bound there; says what became of it, and fails if it was not admitted.
start() {
  local task last='' pod reason
  task=$(kubectl create --filename - --output name <<<"{apiVersion: ecs-operator.dev/v1alpha1, kind: Task,
    metadata: {generateName: scheduled-}, spec: {cluster: '$cluster', taskDefinition: '$definition',
    containerInstance: '$1', startedBy: scheduler-sh}}") || exit
  until [[ $last == RUNNING || $last == STOPPED ]]; do
    sleep 0.2
    IFS='|' read -r last pod reason < <(kubectl get "$task" --output \
      'jsonpath={.status.lastStatus}|{.status.pod.name}|{.status.stoppedReason}{"\n"}') || exit
  done
  echo "${task#*/} on $1: $last${reason:+ ($reason)}"
  # one that has a Pod had its share, however it ended
  [[ $last == RUNNING || $pod ]]
}

# place: starts a task where it fits; each instance is tried once.
place() {
  local tried=' ' instance
  while instance=$(emptiest "$tried") && [[ $instance ]]; do
    if start "$instance"; then return; fi
    tried+="$instance "
  done
  echo "no instance takes $definition now" && return 1
}

read -r cpu memory < <(table taskdefinitions .spec.family .spec.revision .status.requiredResources.{cpu,memory} |
  awk -F '|' -v wanted="$definition" '$1 ":" $2 == wanted && $3 != "" { print $3, $4 }') ||
  { echo "no task can be made of $definition: see kubectl get taskdefinitions" && exit 1; }
for ((n = 0; n < count; n++)); do place; done
