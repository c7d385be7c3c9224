#!/usr/bin/env bash
# Mutation tests of the pure core: does a test fail for each change of what a function does?
#
#   hack/mutants.sh domain [OPTION…]      src/domain
#   hack/mutants.sh plan [OPTION…]        src/plan, which stands on src/domain
#
# OPTIONs are those of `cargo mutants`, such as `--file 'src/plan/breaker.rs'`, `--jobs 2` or `--shard 0/8`. Needs cargo-mutants
# (`cargo install cargo-mutants --locked`). The rooms import nothing of the others, so they are tested as a crate of their own, in
# a copy that goes afterwards: a mutant takes seconds instead of minutes. Properties run with 64 cases, or PROPTEST_CASES.
# MUTANTS_OUT (default target/mutants) gets cargo-mutants' report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  domain) rooms=(domain) ;;
  plan) rooms=(domain plan) ;;
  *) echo "usage: hack/mutants.sh domain|plan [OPTION…]" >&2; exit 2 ;;
esac
room=$1
shift
out=${MUTANTS_OUT:-target/mutants}
mkdir -p "$out"
out=$(cd "$out" && pwd)
core=$(mktemp -d)
trap 'rm -rf "$core"' EXIT

mkdir "$core/src"
cp Cargo.lock "$core/"
printf '//! The pure core alone.\n' >"$core/src/lib.rs"
for name in "${rooms[@]}"; do
  cp -r "src/$name" "$core/src/"
  printf 'pub mod %s;\n' "$name" >>"$core/src/lib.rs"
done
dependency() { grep --max-count=1 "^$1 = " Cargo.toml; }
{
  printf '[package]\nname = "core"\nversion = "0.1.0"\nedition = "2024"\n\n[lib]\nname = "ecs_operator"\n\n[dependencies]\n'
  for crate in imbl jiff k8s-openapi kube regex schemars serde serde_json thiserror; do dependency "$crate"; done
  printf '\n[dev-dependencies]\n'
  dependency proptest
  printf '\n[features]\ntesting = []\n\n[profile.dev]\ndebug = false\n\n[workspace]\n'
} >"$core/Cargo.toml"

cd "$core"
export PROPTEST_CASES=${PROPTEST_CASES:-64}
cargo mutants --file "src/$room/**" --features testing --output "$out" --minimum-test-timeout 60 --no-shuffle "$@"
