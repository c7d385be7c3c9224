# shellcheck shell=bash disable=SC2034,SC2154 # variables cross files
# Names, addresses and processes of a test cluster. Sourced after hack/lib.sh.

api_port=6443
cluster_ip=10.240.0.1
service_cidr=10.96.0.0/16
service_ip=10.96.0.1
pod_cidr=10.244.0.0/16
max_nodes=100
boot_id=$(cat /proc/sys/kernel/random/boot_id)

# cluster_vars NAME: sets the variables that say where everything of a cluster is.
cluster_vars() {
  [[ $1 =~ ^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$ ]] || die "not a name for a cluster: '$1'"
  cluster=$1
  state_root=${ECS_CLUSTER_STATE:-/var/tmp/ecs-operator}
  [[ $state_root == /* ]] || die "ECS_CLUSTER_STATE must be an absolute path"
  # A node has these to itself, so it would not see the state there.
  case "$state_root/" in
    /run/* | /var/run/* | /var/lib/* | /var/log/* | /proc/* | /sys/*) die "the state cannot be under $state_root" ;;
  esac
  state=$state_root/$cluster
  pki=$state/pki
  logs=$state/logs
  pids=$state/pids
  nodes=$state/nodes
  images=$state/images
  kubeconfig=$state/kubeconfig
  pause=$state/pause
  cgroup=/ecs-operator/$cluster
}

# --- nodes: node-1, node-2, …; node I has 10.240.0.(10+I) and the Pods 10.244.I.0/24 -----------------------------

node_index() {
  [[ $1 =~ ^node-([1-9][0-9]*)$ ]] || die "not a node's name: '$1'"
  printf '%s\n' "${BASH_REMATCH[1]}"
}
node_ip() { printf '10.240.0.%s\n' $((10 + $(node_index "$1"))); }
node_exists() { [[ -d $nodes/$1 ]]; }
need_node() { node_exists "$1" || die "cluster $cluster has no node '$1'"; }

# pod_routes [NODE]: input of `ip -batch` that leads to the Pods of every node there may be, but for NODE's own.
pod_routes() {
  local i own=0
  (($# == 0)) || own=$(node_index "$1")
  for ((i = 1; i <= max_nodes; i++)); do
    ((i == own)) || printf 'route add 10.244.%s.0/24 via 10.240.0.%s\n' "$i" $((10 + i))
  done
}

node_names() {
  [[ ! -d $nodes ]] || find "$nodes" -mindepth 1 -maxdepth 1 -type d -name 'node-*' -printf '%f\n' | sort -V
}

# --- processes: known by pid, start time and boot, so that a pid that came round again is never ended -------------

# start_time PID: field 22 of stat; fails if there is no such process or it is a zombie.
start_time() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -r -a stat <<<"${stat##*) }"
  [[ ${stat[0]} != Z && ${stat[0]} != X ]] || return 1
  printf '%s\n' "${stat[19]}"
}

# live_pid NAME: prints the pid of the process that was started as NAME, if it is still running.
live_pid() {
  local pid start boot
  [[ -f $pids/$1 ]] || return 1
  read -r pid start boot <"$pids/$1" || return 1
  [[ $boot == "$boot_id" && $(start_time "$pid") == "$start" ]] || return 1
  printf '%s\n' "$pid"
}

is_live() { live_pid "$1" >/dev/null; }
is_dead() { ! is_live "$1"; }

# start_process NAME CMD…: runs CMD in a session of its own with its output in logs/NAME.log, and records its pid.
start_process() {
  local name=$1
  shift
  rm -f "$pids/$name"
  # The process records itself before it becomes CMD: nothing runs that `down` does not know.
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c '
    set -eu
    read -r stat <"/proc/$$/stat"
    read -r -a stat <<<"${stat##*) }"
    printf "%s %s %s\n" "$$" "${stat[19]}" "$2" >"$1.part"
    mv "$1.part" "$1"
    shift 2
    exec "$@"
  ' "$name" "$pids/$name" "$boot_id" "$@" </dev/null >>"$logs/$name.log" 2>&1 8>&- &
  disown
  wait_for 10 "$name to start" test -f "$pids/$name"
}

# kill_process NAME…: ends them with SIGKILL and waits until they are gone.
kill_process() {
  local name pid
  for name in "$@"; do
    if pid=$(live_pid "$name"); then kill -KILL "$pid" 2>/dev/null || true; fi
  done
  for name in "$@"; do
    wait_for 20 "$name to end" is_dead "$name" || return 1
    rm -f "$pids/$name"
  done
}

# --- inside ------------------------------------------------------------------------------------------------------

cluster_pid() { live_pid network || die "cluster $cluster is not up"; }

# in_cluster CMD…: runs CMD in the cluster's network namespace, where the API server, etcd and the nodes are.
in_cluster() { nsenter --net="/proc/$(cluster_pid)/ns/net" -- "$@"; }

kubectl() { in_cluster "$bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

# node_pid NODE: process 1 of the node, as this machine numbers it.
node_pid() {
  local outer inner
  outer=$(live_pid "$1") || return 1
  # One line without an end, so `read` never succeeds.
  { read -r inner _ <"/proc/$outer/task/$outer/children" || true; } 2>/dev/null
  [[ -n ${inner:-} ]] && printf '%s\n' "$inner"
}

# on_node NODE CMD…: runs CMD in all of the node's namespaces. What stays running there must not hold the lock (8).
on_node() {
  local node=$1 pid
  shift
  pid=$(node_pid "$node") || die "$node is off"
  nsenter --target "$pid" --net --mount --uts --ipc --pid -- "$@" 8>&-
}

# --- cgroups (v1: one tree for each hierarchy, and often a v2 tree without controllers beside them) ---------------

cgroup_hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

# remove_cgroup PATH: in every hierarchy, the deepest first. Their processes are gone; the kernel may need a moment.
remove_cgroup() {
  local hierarchy
  while read -r hierarchy; do
    [[ -d $hierarchy$1 ]] || continue
    wait_for 20 "the cgroups in $hierarchy$1 to go" remove_cgroup_tree "$hierarchy$1" || return 1
  done < <(cgroup_hierarchies)
}

remove_cgroup_tree() {
  find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  [[ ! -d $1 ]]
}
