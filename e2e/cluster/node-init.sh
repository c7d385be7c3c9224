#!/usr/bin/env bash
# What runs inside a node. Started by node.sh in the node's own namespaces:
#
#   node-init.sh boot NODE      as process 1, with file descriptor 9 on the cluster's network namespace
#   node-init.sh kubelet NODE   starts a stopped kubelet
#
# ECS_CLUSTER names the cluster and ECS_BIN the directory of the binaries.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../hack/lib.sh
source "$here/../../hack/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$here/lib.sh"
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

bin=${ECS_BIN:?}
mode=$1
node=$2
cluster_vars "${ECS_CLUSTER:?}"
dir=$nodes/$node
index=$(node_index "$node")
ip=$(node_ip "$node")

# enter_cgroup PATH: moves this shell into PATH in every hierarchy, making it if need be.
enter_cgroup() {
  local hierarchy
  while read -r hierarchy; do
    make_cgroup "$hierarchy" "$1"
    echo 0 >"$hierarchy$1/cgroup.procs"
  done < <(cgroup_hierarchies)
}

# make_cgroup HIERARCHY PATH: a new cpuset is empty and takes no process, so it gets what its parent has.
make_cgroup() {
  local path=$1 part file
  local -a parts
  IFS=/ read -r -a parts <<<"${2#/}"
  for part in "${parts[@]}"; do
    mkdir -p "$path/$part"
    for file in cpuset.cpus cpuset.mems; do
      if [[ -f $path/$part/$file && -z $(<"$path/$part/$file") ]]; then
        cat "$path/$file" >"$path/$part/$file"
      fi
    done
    path=$path/$part
  done
}

# make_mounts: the node sees the machine's files, but has directories of its own wherever it writes. Without --no-mtab
# there would be a new /run/mount on the machine.
make_mounts() {
  mount --no-mtab -t proc proc /proc
  mount --no-mtab -t tmpfs -o mode=755 tmpfs /run
  mount --no-mtab -t overlay -o "lowerdir=/var/lib,upperdir=$dir/var-lib/upper,workdir=$dir/var-lib/work" overlay /var/lib
  mkdir -p /var/lib/kubelet /var/lib/containerd
  mount --no-mtab --bind "$dir/kubelet" /var/lib/kubelet
  mount --no-mtab --bind "$dir/containerd" /var/lib/containerd
  mount --no-mtab --bind "$dir/var-log" /var/log
  mount --make-rshared /
}

# A kubelet sets these for the whole machine unless they are so already: it is shown a file that says they are.
fake_sysctls() {
  fake vm/overcommit_memory 1
  fake vm/panic_on_oom 0
  fake kernel/panic 10
  fake kernel/panic_on_oops 1
  fake kernel/keys/root_maxkeys 1000000
  fake kernel/keys/root_maxbytes 25000000
  # By this the kubelet knows that the node was off, and cluster.sh that it is back.
  fake kernel/random/boot_id "$(cat /proc/sys/kernel/random/uuid)"
}

fake() {
  local file=$dir/fake/${1//\//.}
  printf '%s\n' "$2" >"$file"
  [[ ! -f /proc/sys/$1 ]] || mount --no-mtab --bind "$file" "/proc/sys/$1"
}

# make_network: a link to the cluster's bridge. The address of the card stays the same when the node comes back.
make_network() {
  ip link set lo up
  ip link add eth0 address "$(printf '02:00:0a:f0:00:%02x' $((10 + index)))" type veth \
    peer name "node$index" netns /proc/self/fd/9
  nsenter --net=/proc/self/fd/9 ip link set "node$index" master br0 up
  ip addr add "$ip/24" dev eth0
  ip link set eth0 up
  ip route add default via "$cluster_ip"
  pod_routes "$node" | ip -batch -
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# start_daemon NAME CMD…
start_daemon() {
  local name=$1
  shift
  rm -f "$dir/pids/$name"
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c 'echo $$ >"$1.part"; mv "$1.part" "$1"; shift; exec "$@"' "$name" "$dir/pids/$name" "$@" \
    </dev/null >>"$logs/$node-$name.log" 2>&1 8>&- 9<&- &
  wait_for 10 "$name to start" test -f "$dir/pids/$name"
}

start_containerd() {
  start_daemon containerd containerd --config "$dir/config/containerd.toml" --log-level warn
  wait_for 60 "containerd on $node" ctr --namespace k8s.io version >/dev/null
}

import_images() {
  local archive
  for archive in "$images"/*.tar; do
    ctr --namespace k8s.io images import "$archive" >/dev/null
  done
}

api_answers() {
  curl --user-agent ecs-e2e-cluster --silent --fail --output /dev/null --max-time 2 --cacert "$pki/ca.crt" \
    "https://$cluster_ip:$api_port/readyz"
}

start_kubelet() {
  start_daemon kubelet "$bin/kubelet" --config "$dir/config/kubelet.yaml" \
    --kubeconfig "$dir/config/kubelet.kubeconfig" --hostname-override "$node" --node-ip "$ip" \
    --node-labels "$(<"$dir/config/labels")"
}

boot() {
  enter_cgroup "$cgroup/$node/daemons"
  hostname "$node"
  make_mounts
  fake_sysctls
  make_network
  exec 9<&-
  start_containerd
  import_images
  wait_for 120 "the API server" api_answers
  start_kubelet
  start_daemon kube-proxy "$bin/kube-proxy" --config "$dir/config/kube-proxy.yaml"
  # From here process 1 only reaps.
  exec "$pause"
}

case "$mode" in
  boot) boot ;;
  kubelet)
    enter_cgroup "$cgroup/$node/daemons"
    start_kubelet
    ;;
  *) die "unknown mode $mode" ;;
esac
