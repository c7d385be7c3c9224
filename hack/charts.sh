#!/usr/bin/env bash
# Checks the Helm charts without a cluster: lint, golden renders, refused values, forbidden rights, generated CRDs.
#
#   hack/charts.sh            check
#   hack/charts.sh --update   rewrite the golden renders, then check; read the diff before you commit it
#
# helm is taken from PATH, or from $HELM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly helm=${HELM:-helm}
readonly chart=charts/ecs-operator
readonly crds_chart=charts/ecs-operator-crds
# The oldest version the charts promise to work with; fixed, so that renders don't depend on helm's own.
readonly kube_version=1.33.0

update=false
case "${1-}" in
  '') ;;
  --update) update=true ;;
  *) echo "usage: hack/charts.sh [--update]" >&2; exit 2 ;;
esac
command -v "$helm" >/dev/null || { echo "hack/charts.sh: $helm not found; put helm on PATH or set HELM" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the user's settings, plugins or clusters takes part.
export HELM_CACHE_HOME=$work/cache HELM_CONFIG_HOME=$work/config HELM_DATA_HOME=$work/data KUBECONFIG=$work/none
unset HELM_NAMESPACE HELM_KUBECONTEXT HELM_DEBUG

passed=0
failed=0

# check NAME COMMAND...: runs it, counts it, and shows its output if it fails.
check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok    $name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name"
    sed 's/^/      /' "$work/out"
  fi
}

render() { # CHART HELM_ARGS...
  "$helm" template "$(basename "$1")" "$1" --namespace ecs-operator --kube-version "$kube_version" "${@:2}"
}

lint() { # CHART
  "$helm" lint --strict --kube-version "$kube_version" "$1"
}

golden() { # CHART NAME
  local want=$1/tests/golden/$2.yaml
  render "$1" --values "$1/tests/$2.yaml" >"$work/render.yaml" || return 1
  if $update; then
    mkdir -p "$(dirname "$want")"
    cp "$work/render.yaml" "$want"
  fi
  diff -u "$want" "$work/render.yaml" || { echo "if that is meant: hack/charts.sh --update"; return 1; }
}

golden_has_values() { # GOLDEN
  local values
  values=$(dirname "$1")/../$(basename "$1")
  [[ -e $values ]] || { echo "no $values: delete the golden render or bring the values back"; return 1; }
}

refused() { # VALUES_FILE COMMAND...: the command fails and says what the file's first line expects
  local expect
  expect=$(sed -n '1s/^# expect: //p' "$1")
  [[ -n $expect ]] || { echo "the first line must be: # expect: MESSAGE"; return 1; }
  if render "$2" --values "$1" >"$work/refused" 2>&1; then
    echo "accepted; expected: $expect"
    return 1
  fi
  grep -F -- "$expect" "$work/refused" || { echo "expected: $expect"; cat "$work/refused"; return 1; }
}

old_kubernetes_refused() { # CHART
  ! "$helm" template x "$1" --kube-version 1.32.9 >"$work/refused" 2>&1 || { echo "accepted"; return 1; }
  grep -F 'incompatible with Kubernetes v1.32.9' "$work/refused"
}

# Prints the lines of Roles and ClusterRoles on stdin that grant what the operator must never have.
forbidden_rights() {
  awk '/^---/ { role = 0 } /^kind: (Cluster)?Role$/ { role = 1 } role { sub(/#.*/, ""); print }' |
    grep -nE '\*|\<secrets?\>|\<(escalate|bind|impersonate)\>|nonResourceURLs'
}

no_forbidden_rights() { # VALUES_FILE
  ! render "$chart" --values "$1" | forbidden_rights
}

forbidden_rights_are_found() {
  local rule
  # shellcheck disable=SC2016
  for rule in 'verbs: ["*"]' 'resources: [pods, "*"]' "apiGroups: ['*']" 'resources: [secrets]' '- secrets' 'verbs: [get, bind]'; do
    printf 'kind: ClusterRole\nrules:\n  %s\n' "$rule" | forbidden_rights || { echo "not found: $rule"; return 1; }
  done
}

closed_schema() { # CHART: every object with named properties refuses others
  local objects closed
  objects=$(grep -c '"properties":' "$1/values.schema.json")
  closed=$(grep -c '"additionalProperties": false' "$1/values.schema.json")
  [[ $objects == "$closed" ]] || { echo "$objects objects with properties, $closed with additionalProperties: false"; return 1; }
}

versions_agree() {
  local crate c
  crate=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  for c in "$chart" "$crds_chart"; do
    grep -Fx "appVersion: \"$crate\"" "$c/Chart.yaml" || { echo "$c/Chart.yaml: appVersion is not the crate's $crate"; return 1; }
  done
  grep -F "ecs-operator/ecs-operator:$crate" "$chart/Chart.yaml" || { echo "the images annotation does not name $crate"; return 1; }
}

notes() { # CHART EXPECTED
  "$helm" install x "$1" --namespace ecs-operator --dry-run=client 2>&1 | sed -n '/^NOTES:/,$p' >"$work/notes"
  grep -F -- "$2" "$work/notes" || { echo "the notes don't say: $2"; return 1; }
}

# The CRD chart without `keep` renders the very text of crds/, and with it one annotation more in each.
crd_is_generated_file() { # CRD_FILE
  local plural plain kept
  plural=$(basename "$1" .ecs-operator.dev.yaml)
  # $() drops the blank lines that helm adds at the end
  plain=$(render "$crds_chart" --set keep=false --show-only "templates/$plural.yaml" | grep -vE '^(---|# Source: .*)$') || return 1
  diff -u <(grep -vx -e --- "$1") - <<<"$plain" || return 1
  kept=$(render "$crds_chart" --show-only "templates/$plural.yaml" | grep -Fxc '    helm.sh/resource-policy: keep') || true
  [[ $kept == 1 ]] || { echo "keep=true gives the annotation $kept times"; return 1; }
}

crd_chart_complete() {
  diff <(for f in "${crd_files[@]}"; do basename "$f" .ecs-operator.dev.yaml; done | sort) \
    <(find "$crds_chart/templates" -name '*.yaml' -exec basename {} .yaml \; | sort)
}

check "the search for forbidden rights finds them" forbidden_rights_are_found
check "versions: charts and crate agree" versions_agree
for c in "$crds_chart" "$chart"; do
  name=$(basename "$c")
  check "$name: lint" lint "$c"
  check "$name: schema is closed" closed_schema "$c"
  check "$name: Kubernetes 1.32 is refused" old_kubernetes_refused "$c"
  for f in "$c"/tests/bad/*.yaml; do
    check "$name: refuses $(basename "$f" .yaml)" refused "$f" "$c"
  done
done
for f in "$chart"/tests/*.yaml; do
  name=$(basename "$f" .yaml)
  check "ecs-operator: renders $name" golden "$chart" "$name"
  check "ecs-operator: no forbidden rights in $name" no_forbidden_rights "$f"
done
for f in "$chart"/tests/golden/*.yaml; do
  check "ecs-operator: golden $(basename "$f" .yaml) has values" golden_has_values "$f"
done
check "ecs-operator: notes" notes "$chart" "uninstall --release-finalizers"
check "ecs-operator-crds: notes" notes "$crds_chart" "kubectl explain"

shopt -s nullglob
crd_files=(crds/*.ecs-operator.dev.yaml)
check "ecs-operator-crds: one template for each file in crds/" crd_chart_complete
for f in "${crd_files[@]}"; do
  check "ecs-operator-crds: $(basename "$f") as generated" crd_is_generated_file "$f"
done

echo
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
