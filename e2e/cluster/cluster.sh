#!/usr/bin/env bash
# A real Kubernetes cluster on this machine, without a container engine. See README.md beside this file.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../../hack/lib.sh
source "$repo/hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=images.sh
source "$here/images.sh"
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$here/lib.sh"
# shellcheck source-path=SCRIPTDIR source=certs.sh
source "$here/certs.sh"
# shellcheck source-path=SCRIPTDIR source=control-plane.sh
source "$here/control-plane.sh"
# shellcheck source-path=SCRIPTDIR source=node-config.sh
source "$here/node-config.sh"
# shellcheck source-path=SCRIPTDIR source=node.sh
source "$here/node.sh"
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

usage() {
  cat <<'TEXT'
usage: cluster.sh [--name NAME] COMMAND          NAME: default $ECS_CLUSTER, or ecs

  up [--nodes 3] [--zones a,b,c]   make the cluster; prints the path of its kubeconfig
  preflight                        say whether this machine can have one; needs nothing built
  down [--keep]                    remove it (--keep: leave its logs and other files)
  status                           what runs, and the nodes as the API server sees them
  exec -- CMD…                     run CMD inside the cluster's network, kubectl and helm on its PATH
  shell                            the same with a shell
  logs COMPONENT [-f]              print a log; without COMPONENT, list them
  load-image TAR [NODE…]           load an image archive, without NODE on all nodes now and to come

  add-node [--zone Z]              one more node; prints its name once it is Ready
  remove-node NAME                 power it off and forget it (the Node object stays)
  kill-node NAME                   power it off
  start-node NAME                  power it on again, waiting until it is Ready
  stop-kubelet NAME                stop the kubelet; the containers keep running
  start-kubelet NAME               start it again
  static-pod NAME POD              give the kubelet a static Pod: its manifest is read from the standard input
  no-static-pod NAME POD           take it away
TEXT
}

# --- the cluster -------------------------------------------------------------------------------------------------

# cmd_preflight: fails, saying what to change, if this machine cannot have a cluster. Needs nothing installed or built.
cmd_preflight() {
  local controller missing=()
  ((EUID == 0)) || die "this needs root, for it makes namespaces, mounts and cgroups: run it as root or with sudo"
  for controller in cpu cpuacct cpuset memory pids; do
    awk '$3 == "cgroup" { print "," $4 "," }' /proc/mounts | grep ",$controller," >/dev/null || missing+=("$controller")
  done
  ((${#missing[@]} == 0)) || die "this needs cgroup v1, and these controllers are not mounted as such: ${missing[*]}.
  'stat -fc %T /sys/fs/cgroup' says cgroup2fs where there is v2 only. Either boot with the kernel parameter
  systemd.unified_cgroup_hierarchy=0 (systemd 256 and 257 want SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 as well; later ones
  have no v1), or run the end-to-end suite on kind, with Docker: e2e/kind.sh"
}

preflight() {
  cmd_preflight
  is_dead network || die "cluster $cluster is up already; 'down' first"
  if [[ -d $state ]]; then remove_cluster; fi
}

# use_bin [DIR]: finds the binaries; with DIR remembers them for the commands to come.
use_bin() {
  if (($# == 1)); then printf '%s\n' "$1" >"$state/bin"; fi
  bin=$(cat "$state/bin" 2>/dev/null) || die "cluster $cluster is not up"
}

make_state() {
  mkdir -p "$state" "$logs" "$pids" "$nodes" "$images" "$state/helm"
  chmod 0700 "$state"
}

cmd_up() {
  local count=3 zones=a,b,c built i
  while (($# > 0)); do
    case "$1" in
      --nodes) count=${2:?--nodes needs a number} ;;
      --zones) zones=${2:?--zones needs names} ;;
      *) die "up: unknown option $1" ;;
    esac
    shift 2
  done
  if ! [[ $count =~ ^[0-9]+$ ]] || ((count > max_nodes)); then die "--nodes: 0 to $max_nodes"; fi
  [[ $zones =~ ^[a-z0-9-]+(,[a-z0-9-]+)*$ ]] || die "--zones: names with commas between"
  preflight
  built=$("$repo/hack/deps.sh")
  SECONDS=0

  trap 'up_failed $?' EXIT
  trap 'exit 130' INT TERM HUP
  make_state
  use_bin "$built"
  printf '%s\n' "$zones" >"$state/zones"
  built=$(test_images_dir "$repo" "$bin")
  cp "$built"/*.tar "$images/"
  cp "$built/pause" "$pause"

  start_network
  start_etcd
  make_cluster_certs
  start_api_server
  local -a names=()
  for ((i = 1; i <= count; i++)); do
    names+=("$(new_node "$(zone_of "$i")")")
    power_on "${names[-1]}"
  done
  wait_for_api
  log "API server ready after ${SECONDS}s"
  start_controllers
  wait_for_nodes "${names[@]}"
  wait_for_controllers
  trap - EXIT INT TERM HUP
  log "$count nodes Ready after ${SECONDS}s"
  printf '%s\n' "$kubeconfig"
}

# up_failed CODE: shows why and leaves nothing behind but the logs.
up_failed() {
  trap - EXIT INT TERM HUP
  log "up failed; the logs stay in $logs"
  tail -n 5 "$logs"/*.log >&2 2>/dev/null || true
  stop_cluster || true
  exit "${1/#0/1}"
}

# stop_cluster: ends every process and removes every cgroup. With the processes go the namespaces, and with those
# all mounts and links. Works from any state, half up as well.
stop_cluster() {
  local -a names
  mapfile -t names < <(node_names)
  ((${#names[@]} == 0)) || power_off "${names[@]}"
  kill_process "${control_plane[@]}" network
  remove_cgroup "$cgroup"
  remove_empty_parent
}

# The cgroup that the clusters share goes with the last of them.
remove_empty_parent() {
  local hierarchy
  while read -r hierarchy; do
    rmdir "$hierarchy$(dirname "$cgroup")" 2>/dev/null || true
  done < <(cgroup_hierarchies)
}

remove_cluster() {
  stop_cluster
  rm -rf --one-file-system "$state"
}

cmd_down() {
  if [[ ${1:-} == --keep ]]; then stop_cluster; else remove_cluster; fi
  unlock
  rmdir "$state_root" 2>/dev/null || true # unless another cluster is there
}

cmd_status() {
  local name
  is_live network || {
    printf 'cluster %s is down\n' "$cluster"
    return 3
  }
  for name in "${control_plane[@]}"; do
    printf '%-26s %s\n' "$name" "$(live_pid "$name" || echo ended)"
  done
  while read -r name; do
    printf '%-26s %s\n' "$name" "$(live_pid "$name" || echo off)"
  done < <(node_names)
  printf '%-26s %s\n' kubeconfig "$kubeconfig" binaries "$bin"
  kubectl get nodes --label-columns topology.kubernetes.io/zone
}

# --- running things in it ----------------------------------------------------------------------------------------

cmd_exec() {
  [[ ${1:-} != -- ]] || shift
  (($# > 0)) || die "exec: which command?"
  exec nsenter --net="/proc/$(cluster_pid)/ns/net" -- env \
    KUBECONFIG="$kubeconfig" PATH="$bin:$PATH" ECS_CLUSTER="$cluster" ECS_CLUSTER_STATE="$state_root" \
    ECS_AUDIT_LOG="$logs/audit.log" \
    HELM_CACHE_HOME="$state/helm/cache" HELM_CONFIG_HOME="$state/helm/config" HELM_DATA_HOME="$state/helm/data" "$@"
}

cmd_logs() {
  if (($# == 0)); then
    find "$logs" -name '*.log' -printf '%f\n' | sed 's/\.log$//' | sort -V
    return
  fi
  local file=$logs/${1//\//-}.log
  [[ -f $file ]] || die "no such log: $1"
  if [[ ${2:-} == -f ]]; then exec tail -n +1 -F "$file"; else cat "$file"; fi
}

# --- nodes -------------------------------------------------------------------------------------------------------

cmd_add_node() {
  local zone='' name
  [[ ${1:-} != --zone ]] || zone=${2:?--zone needs a name}
  name=$(new_node "${zone:-$(zone_of $(($(cat "$state/last-index" 2>/dev/null || echo 0) + 1)))}")
  power_on "$name"
  wait_for_nodes "$name"
  printf '%s\n' "$name"
}

cmd_remove_node() {
  power_off "$1"
  rm -rf --one-file-system "${nodes:?}/$1"
}

cmd_start_node() {
  is_dead "$1" || die "$1 is on already"
  power_on "$1"
  wait_for_nodes "$1"
}

# cmd_static_pod NODE POD: into the kubelet's directory in one step.
cmd_static_pod() {
  local dir=$nodes/$1/config
  cat >"$dir/part"
  mv "$dir/part" "$dir/manifests/$2.yaml"
}

cmd_no_static_pod() { rm -f "$nodes/$1/config/manifests/$2.yaml"; }

# --- command line ------------------------------------------------------------------------------------------------

# lock: commands that change the same cluster wait for each other. `down` removes the file, so whoever waited for it
# must look whether what they got is still the lock.
lock() {
  local file=$state_root/$cluster.lock
  while true; do
    mkdir -p "$state_root"
    exec 8>"$file"
    flock -w 600 8 || die "another command is still changing cluster $cluster"
    [[ ! $file -ef /proc/self/fd/8 ]] || return 0
  done
}

unlock() { rm -f "$state_root/$cluster.lock"; }

main() {
  local name=${ECS_CLUSTER:-ecs} command
  if [[ ${1:-} == --name ]]; then
    name=${2:?--name needs a name}
    shift 2
  fi
  command=${1:-help}
  (($# == 0)) || shift
  cluster_vars "$name"

  case "$command" in
    help | -h | --help) usage ;;
    preflight) cmd_preflight ;;
    up)
      lock
      cmd_up "$@"
      ;;
    down)
      lock
      cmd_down "$@"
      ;;
    status | exec)
      use_bin
      "cmd_$command" "$@"
      ;;
    shell)
      use_bin
      cmd_exec -- "${SHELL:-/bin/bash}"
      ;;
    logs) cmd_logs "$@" ;;
    load-image | add-node)
      lock
      use_bin
      cluster_pid >/dev/null
      if [[ $command == add-node ]]; then cmd_add_node "$@"; else load_image "${@:?which archive?}"; fi
      ;;
    kill-node | start-node | remove-node | stop-kubelet | start-kubelet)
      (($# == 1)) || die "$command: which node?"
      lock
      use_bin
      cluster_pid >/dev/null
      need_node "$1"
      case "$command" in
        kill-node) power_off "$1" ;;
        start-node) cmd_start_node "$1" ;;
        remove-node) cmd_remove_node "$1" ;;
        stop-kubelet) stop_kubelet "$1" ;;
        start-kubelet) start_kubelet "$1" ;;
      esac
      ;;
    static-pod | no-static-pod)
      (($# == 2)) || die "$command: which node, and which Pod?"
      [[ $2 =~ ^[a-z0-9-]+$ ]] || die "$command: '$2' is no name of a Pod"
      lock
      need_node "$1"
      "cmd_${command//-/_}" "$@"
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

main "$@"
