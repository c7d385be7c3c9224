#!/usr/bin/env bash
# Writes apiserver/src/topology/builtin.json from what a real API server publishes:
#   KUBE_BIN=DIR apiserver/hack/topology.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
groups=(api/v1 apis/apps/v1 apis/policy/v1 apis/coordination.k8s.io/v1 apis/events.k8s.io/v1 apis/batch/v1
  apis/apiextensions.k8s.io/v1 apis/rbac.authorization.k8s.io/v1 apis/autoscaling/v2 apis/networking.k8s.io/v1
  apis/scheduling.k8s.io/v1 apis/storage.k8s.io/v1 apis/admissionregistration.k8s.io/v1 apis/discovery.k8s.io/v1
  apis/apiregistration.k8s.io/v1 apis/authentication.k8s.io/v1 apis/authorization.k8s.io/v1)

if [[ -z ${SERVER:-} ]]; then
  exec "$here/real-api-server.sh" "$0"
fi
for group in "${groups[@]}"; do
  curl --silent --fail --insecure --header "Authorization: Bearer $TOKEN" "$SERVER/openapi/v3/$group"
done | jq --slurp --raw-output --from-file "$here/topology.jq" >"$here/../src/topology/builtin.json"
