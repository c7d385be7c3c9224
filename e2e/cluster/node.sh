# shellcheck shell=bash disable=SC2154 # variables cross files
# Nodes, seen from outside: power, kubelet, images. Sourced after lib.sh.

here_cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# new_node ZONE: makes the next node (powered off) and prints its name.
new_node() {
  local index=1
  [[ ! -f $state/last-index ]] || index=$(($(<"$state/last-index") + 1))
  ((index <= max_nodes)) || die "no more than $max_nodes nodes"
  printf '%s\n' "$index" >"$state/last-index"
  make_node "node-$index" "$1"
  printf 'node-%s\n' "$index"
}

# zone_of INDEX: round robin over the zones of the cluster.
zone_of() {
  local -a all
  IFS=, read -r -a all <"$state/zones"
  printf '%s\n' "${all[($1 - 1) % ${#all[@]}]}"
}

# power_on NODE: a set of namespaces of its own; ending its process 1 is a power-off, and the kernel cleans up.
power_on() {
  local node=$1
  rm -f "$nodes/$node"/pids/* "$nodes/$node/fake/"*
  ECS_CLUSTER=$cluster ECS_CLUSTER_STATE=$state_root ECS_BIN=$bin \
    start_process "$node" unshare --net --mount --pid --uts --ipc --fork --kill-child=KILL -- \
    "$here_cluster/node-init.sh" boot "$node" 9<"/proc/$(cluster_pid)/ns/net"
}

# power_off NODE…: kills process 1 of each at once, waits until nothing of them runs, and clears their cgroups.
power_off() {
  local node pid
  for node in "$@"; do
    if pid=$(node_pid "$node"); then kill -KILL "$pid" 2>/dev/null || true; fi
  done
  for node in "$@"; do
    # unshare ends when process 1 has, and that when everything in the node has.
    wait_for 5 "$node to go off" is_dead "$node" || kill_process "$node"
    rm -f "$pids/$node"
    if is_live network; then in_cluster ip link del "node$(node_index "$node")" 2>/dev/null || true; fi
    remove_cgroup "$cgroup/$node"
  done
}

# node_ready NODE: Ready since it was last powered on.
node_ready() {
  local boot
  is_live "$1" || die "$1 ended while starting; see $logs/$1.log"
  boot=$(cat "$nodes/$1/fake/kernel.random.boot_id" 2>/dev/null) || return 1
  api_get "/api/v1/nodes/$1" 2>/dev/null | jq -e --arg boot "$boot" '
    .status.nodeInfo.bootID == $boot and any(.status.conditions[]?; .type == "Ready" and .status == "True")' >/dev/null
}

wait_for_nodes() {
  local node
  for node in "$@"; do
    wait_for 180 "$node to be Ready" node_ready "$node" || {
      tail -n 5 "$logs/$node.log" "$logs/$node"-*.log >&2 || true
      return 1
    }
  done
}

# --- kubelet -----------------------------------------------------------------------------------------------------

kubelet_pid() { cat "$nodes/$1/pids/kubelet"; }

kubelet_runs() { on_node "$1" kill -0 "$(kubelet_pid "$1")" 2>/dev/null; }
kubelet_stopped() { ! kubelet_runs "$1"; }
kubelet_healthy() { on_node "$1" curl --silent --fail --output /dev/null --max-time 2 http://127.0.0.1:10248/healthz; }

stop_kubelet() {
  kubelet_runs "$1" || return 0
  on_node "$1" kill -TERM "$(kubelet_pid "$1")"
  wait_for 30 "the kubelet of $1 to end" kubelet_stopped "$1"
}

start_kubelet() {
  kubelet_runs "$1" || ECS_CLUSTER=$cluster ECS_CLUSTER_STATE=$state_root ECS_BIN=$bin \
    on_node "$1" "$here_cluster/node-init.sh" kubelet "$1"
  wait_for 60 "the kubelet of $1 to be healthy" kubelet_healthy "$1"
}

# --- images ------------------------------------------------------------------------------------------------------

# archive_image_names TAR: the names that are in an archive.
archive_image_names() {
  { tar --extract --to-stdout --file "$1" manifest.json 2>/dev/null ||
    tar --extract --to-stdout --file "$1" ./manifest.json 2>/dev/null ||
    die "$1 has no manifest.json: not an image archive that this can load"; } | jq -r '.[].RepoTags[]'
}

# image_known NODE NAME: the runtime's Kubernetes side has seen it, so that a Pod that never pulls can start.
image_known() {
  on_node "$1" ctr --namespace k8s.io images list "name==$2" 2>/dev/null | grep -q 'io.cri-containerd.image=managed'
}

import_image() {
  local node=$1 archive=$2 name
  on_node "$node" ctr --namespace k8s.io images import - <"$archive" >/dev/null
  while read -r name; do
    wait_for 20 "$name on $node" image_known "$node" "$name"
  done < <(archive_image_names "$archive")
}

# load_image TAR [NODE…]: without nodes, on all there are and, when they start, on all to come.
load_image() {
  local archive=$1 node names failed=0
  shift
  [[ -f $archive ]] || die "no such file: $archive"
  names=$(archive_image_names "$archive")
  if (($# == 0)); then
    # Loaded by name: a later build under the same name takes the place of the one before.
    cp "$archive" "$images/part"
    mv "$images/part" "$images/$(head -n 1 <<<"$names" | tr -c 'a-zA-Z0-9.\n' '-').tar"
    mapfile -t < <(node_names)
    set -- "${MAPFILE[@]}"
  fi
  local -a jobs=()
  for node in "$@"; do
    need_node "$node"
    is_live "$node" || continue
    import_image "$node" "$archive" &
    jobs+=($!)
  done
  for node in "${jobs[@]}"; do wait "$node" || failed=1; done
  ((failed == 0)) || die "could not load $archive on every node"
}
