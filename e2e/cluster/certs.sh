# shellcheck shell=bash disable=SC2154 # variables cross files
# The cluster's certificates and kubeconfigs. Sourced after lib.sh.

# make_ca: the one authority that signs servers and clients.
make_ca() {
  mkdir -p "$pki"
  chmod 0700 "$pki"
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj "/CN=ecs-e2e-$cluster" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" \
    2>/dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$pki/sa.key" 2>/dev/null
  openssl pkey -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
}

# make_cert FILE SUBJECT [SAN]: FILE.crt and FILE.key, for a client, or with a SAN for a server and client.
make_cert() {
  local file=$1 subject=$2 san=${3:-}
  local -a extensions=(-addext "basicConstraints=critical,CA:FALSE" -addext "keyUsage=critical,digitalSignature")
  if [[ -n $san ]]; then
    extensions+=(-addext "extendedKeyUsage=serverAuth,clientAuth" -addext "subjectAltName=$san")
  else
    extensions+=(-addext "extendedKeyUsage=clientAuth")
  fi
  openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -keyout "$file.key" -out "$file.crt" \
    -subj "$subject" "${extensions[@]}" 2>/dev/null
}

# make_kubeconfig FILE CERT: a kubeconfig with everything inline, for the client certificate CERT.{crt,key}.
make_kubeconfig() {
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: $cluster
    cluster:
      server: https://$cluster_ip:$api_port
      certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
  - name: $cluster
    user:
      client-certificate-data: $(base64 -w0 "$2.crt")
      client-key-data: $(base64 -w0 "$2.key")
contexts:
  - name: $cluster
    context: { cluster: $cluster, user: $cluster, namespace: default }
current-context: $cluster
YAML
  chmod 0600 "$1"
}

make_cluster_certs() {
  local component
  make_ca
  make_cert "$pki/apiserver" /CN=kube-apiserver \
    "IP:$cluster_ip,IP:$service_ip,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  make_cert "$pki/apiserver-kubelet-client" /O=system:masters/CN=kube-apiserver-kubelet-client
  make_cert "$pki/admin" /O=system:masters/CN=ecs-e2e-admin
  make_kubeconfig "$kubeconfig" "$pki/admin"
  for component in kube-controller-manager kube-scheduler kube-proxy; do
    make_cert "$pki/$component" "/CN=system:$component"
    make_kubeconfig "$pki/$component.kubeconfig" "$pki/$component"
  done
}

# make_node_cert NODE DIR: the kubelet's certificate, as a client and as a server, and its kubeconfig.
make_node_cert() {
  make_cert "$2/kubelet" "/O=system:nodes/CN=system:node:$1" "IP:$(node_ip "$1"),DNS:$1"
  make_kubeconfig "$2/kubelet.kubeconfig" "$2/kubelet"
}
