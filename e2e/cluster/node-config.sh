# shellcheck shell=bash disable=SC2154 # variables cross files
# The files that make a node what it is. Sourced after lib.sh and images.sh.

node_cpus=2
node_memory_kib=$((8 * 1024 * 1024)) # an m5.large has 8 GiB

# system_reserved: what a kubelet must hold back so that every node has the same size, however big the machine is.
system_reserved() {
  local cpus memory_kib
  cpus=$(($(nproc) - node_cpus))
  memory_kib=$(($(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) - node_memory_kib))
  printf '{ cpu: "%s", memory: "%sKi" }\n' $((cpus > 0 ? cpus : 0)) $((memory_kib > 0 ? memory_kib : 0))
}

# make_node NODE ZONE: the identity and configuration of a node, kept while it is off.
make_node() {
  local node=$1 zone=$2 dir=$nodes/$1
  mkdir -p "$dir"/{config/{cni,manifests},kubelet,containerd,var-lib/{upper,work},var-log/{pods,containers},pids,fake}
  make_node_cert "$node" "$dir/config"
  cp "$pki/ca.crt" "$dir/config/ca.crt"
  cp "$pki/kube-proxy.kubeconfig" "$dir/config/kube-proxy.kubeconfig"
  printf 'topology.kubernetes.io/zone=zone-%s,node.kubernetes.io/instance-type=m5.large\n' "$zone" >"$dir/config/labels"
  containerd_config "$dir" >"$dir/config/containerd.toml"
  cni_config "$node" >"$dir/config/cni/10-ecs-e2e.conflist"
  kubelet_config "$node" "$dir" >"$dir/config/kubelet.yaml"
  kube_proxy_config "$node" "$dir" >"$dir/config/kube-proxy.yaml"
}

containerd_config() {
  cat <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# what needs other file systems, and "opt", which would make a directory in the machine's /opt
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$pause_image"
restrict_oom_score_adj = true
disable_tcp_service = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$1/config/cni"
TOML
}

# Every Pod has a link of its own to the node and everything is routed: with a bridge, traffic through a Service
# between two Pods of one node would come back past the address translation.
cni_config() {
  cat <<JSON
{
  "cniVersion": "0.4.0",
  "name": "ecs-e2e",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [[{ "subnet": "10.244.$(node_index "$1").0/24" }]],
        "routes": [{ "dst": "0.0.0.0/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
JSON
}

kubelet_config() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
staticPodPath: $2/config/manifests
cgroupRoot: $cgroup/$1
failCgroupV1: false
enforceNodeAllocatable: []
systemReserved: $(system_reserved)
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: { memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%" }
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
resolvConf: ""
clusterDNS: [127.0.0.1] # there is no DNS: so Pods get their "refused" at once, and no warning for each
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
kubeAPIQPS: 100
kubeAPIBurst: 200
tlsCertFile: $2/config/kubelet.crt
tlsPrivateKeyFile: $2/config/kubelet.key
authentication:
  anonymous: { enabled: false }
  webhook: { enabled: true }
  x509: { clientCAFile: $2/config/ca.crt }
authorization: { mode: Webhook }
YAML
}

kube_proxy_config() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pod_cidr
hostnameOverride: $1
clientConnection: { kubeconfig: $2/config/kube-proxy.kubeconfig }
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
YAML
}
