#!/usr/bin/env bash
# Mutation tests of the pure core, src/domain and src/plan: does a test fail for each change of what a function does?
#
#   hack/mutants.sh [OPTION…]      options of `cargo mutants`, such as `--file 'src/plan/breaker.rs'` or `--shard 0/8`
#
# Needs cargo-mutants (`cargo install cargo-mutants --locked`). The two rooms import nothing of the others, so they are tested
# as a crate of their own, in a copy that goes afterwards: a mutant takes seconds instead of minutes. MUTANTS_OUT (default
# target/mutants) gets cargo-mutants' own report. docs/mutants.md has the last results, and why survivors are left.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${MUTANTS_OUT:-target/mutants}
mkdir -p "$out"
out=$(cd "$out" && pwd)
core=$(mktemp -d)
trap 'rm -rf "$core"' EXIT

mkdir "$core/src"
cp -r src/domain src/plan "$core/src/"
cp Cargo.lock "$core/"
printf '//! The pure core alone.\npub mod domain;\npub mod plan;\n' >"$core/src/lib.rs"
dependency() { grep --max-count=1 "^$1 = " Cargo.toml; }
{
  printf '[package]\nname = "core"\nversion = "0.1.0"\nedition = "2024"\n\n[lib]\nname = "ecs_operator"\n\n[dependencies]\n'
  for crate in imbl jiff k8s-openapi kube regex schemars serde serde_json thiserror; do dependency "$crate"; done
  printf '\n[dev-dependencies]\n'
  dependency proptest
  printf '\n[features]\ntesting = []\n\n[profile.dev]\ndebug = false\n\n[workspace]\n'
} >"$core/Cargo.toml"

cd "$core"
cargo mutants --features testing --output "$out" --minimum-test-timeout 60 --no-shuffle "$@"
