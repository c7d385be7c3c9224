# shellcheck shell=bash disable=SC2034,SC2154 # variables cross files
# The cluster's network namespace, etcd, the API server, the controller manager and the scheduler. Sourced after
# lib.sh and certs.sh.

control_plane=(etcd kube-apiserver kube-controller-manager kube-scheduler)

# start_network: a network namespace for the whole cluster, held by a process and not by a mount: when the process
# ends nothing is left. It has no way out: its links are its own loopback, a bridge and the nodes.
start_network() {
  start_process network unshare --net -- "$pause"
  # The pid is recorded before the process becomes unshare.
  wait_for 10 "the network namespace" has_own_network
  in_cluster bash -euc "
    echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
    ip link set lo up
    ip link add br0 type bridge
    ip addr add $cluster_ip/24 dev br0
    ip link set br0 up"
  pod_routes | in_cluster ip -batch -
}

has_own_network() {
  local pid
  pid=$(live_pid network) || return 1
  [[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]
}

start_in_cluster() {
  local name=$1
  start_process "$name" nsenter --net="/proc/$(cluster_pid)/ns/net" -- "$bin/$name" "${@:2}"
}

start_etcd() {
  start_in_cluster etcd --name e2e --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster e2e=http://127.0.0.1:2380 --quota-backend-bytes 4294967296
}

start_api_server() {
  cat >"$state/audit-policy.yaml" <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
YAML
  start_in_cluster kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --advertise-address "$cluster_ip" --bind-address 0.0.0.0 --secure-port "$api_port" \
    --service-cluster-ip-range "$service_cidr" --enable-aggregator-routing=true \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key "$pki/apiserver-kubelet-client.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --audit-policy-file "$state/audit-policy.yaml" --audit-log-path "$logs/audit.log" --audit-log-maxsize 4096
}

# start_controllers: once the API server is ready, as before that it does not know their roles. A node that was powered off is NotReady within some 10 s instead of the default 50.
start_controllers() {
  start_in_cluster kube-controller-manager --kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --authentication-kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --allocate-node-cidrs=false --cluster-cidr "$pod_cidr" \
    --node-monitor-period 1s --node-monitor-grace-period 10s --kube-api-qps 200 --kube-api-burst 400
  start_in_cluster kube-scheduler --kubeconfig "$pki/kube-scheduler.kubeconfig" \
    --authentication-kubeconfig "$pki/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig "$pki/kube-scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --leader-elect=false --kube-api-qps 200 --kube-api-burst 400
}

# api_get PATH: what the API server answers to the administrator.
api_get() {
  in_cluster curl --user-agent ecs-e2e-cluster --silent --fail --max-time 5 \
    --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" "https://$cluster_ip:$api_port$1"
}

api_ready() {
  is_live kube-apiserver || die "kube-apiserver ended; see $logs/kube-apiserver.log"
  in_cluster curl --user-agent ecs-e2e-cluster --silent --fail --output /dev/null --max-time 2 --cacert "$pki/ca.crt" \
    "https://$cluster_ip:$api_port/readyz"
}

wait_for_api() { wait_for 120 "the API server" api_ready; }

# The service account that every Pod in the default namespace runs as is made by the controller manager.
controllers_ready() {
  is_live kube-controller-manager || die "kube-controller-manager ended; see $logs/kube-controller-manager.log"
  is_live kube-scheduler || die "kube-scheduler ended; see $logs/kube-scheduler.log"
  in_cluster curl --silent --fail --insecure --max-time 2 \
    https://127.0.0.1:10257/healthz https://127.0.0.1:10259/healthz >/dev/null &&
    api_get /api/v1/namespaces/default/serviceaccounts/default >/dev/null
}

wait_for_controllers() { wait_for 60 "the controller manager and the scheduler" controllers_ready; }
