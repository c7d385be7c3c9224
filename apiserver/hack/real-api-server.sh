#!/usr/bin/env bash
# Runs a command beside a real etcd and kube-apiserver on loopback ports, both gone when it ends:
#   KUBE_BIN=DIR apiserver/hack/real-api-server.sh COMMAND...
# KUBE_BIN has the binaries etcd and kube-apiserver. The command finds SERVER (an https URL) and TOKEN, the bearer
# token of an administrator, in its environment. DISABLED_ADMISSION names the admission plugins to switch off.
set -euo pipefail

: "${KUBE_BIN:?the directory with etcd and kube-apiserver}"
[[ $# -gt 0 ]] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }

dir=$(mktemp -d)
pids=()
finish() {
  local pid
  # Neither has anything to save, and without etcd the API server takes minutes to end in good order.
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

base=${REAL_API_SERVER_PORT:-$((20000 + RANDOM % 20000))}
TOKEN=$(openssl rand -hex 16)
SERVER=https://127.0.0.1:$base
export TOKEN SERVER

echo "$TOKEN,admin,admin,system:masters" >"$dir/tokens.csv"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/sa.key" 2>/dev/null

"$KUBE_BIN/etcd" --data-dir "$dir/etcd" --unsafe-no-fsync --log-level error \
  --listen-client-urls "http://127.0.0.1:$((base + 1))" --advertise-client-urls "http://127.0.0.1:$((base + 1))" \
  --listen-peer-urls "http://127.0.0.1:$((base + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((base + 2))" \
  --initial-cluster "default=http://127.0.0.1:$((base + 2))" >"$dir/etcd.log" 2>&1 &
pids+=($!)

# No service accounts are made without a controller manager, so nothing may ask for one.
"$KUBE_BIN/kube-apiserver" --etcd-servers "http://127.0.0.1:$((base + 1))" --cert-dir "$dir/certs" \
  --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$base" --service-cluster-ip-range 10.96.0.0/16 \
  --token-auth-file "$dir/tokens.csv" --authorization-mode RBAC --disable-admission-plugins "${DISABLED_ADMISSION:-ServiceAccount}" \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/sa.key" \
  --service-account-signing-key-file "$dir/sa.key" >"$dir/kube-apiserver.log" 2>&1 &
pids+=($!)

deadline=$((SECONDS + 120))
until curl --silent --insecure --fail --max-time 2 --output /dev/null "$SERVER/readyz"; do
  for pid in "${pids[@]}"; do
    kill -0 "$pid" 2>/dev/null || { tail -n 5 "$dir"/*.log >&2; exit 1; }
  done
  ((SECONDS < deadline)) || { echo "the API server is not ready after 120 s" >&2; exit 1; }
  sleep 0.2
done

"$@"
