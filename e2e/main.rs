//! The end-to-end suite: real API server, real kubelets, the operator as it was installed. One file per behaviour.
//!
//! It runs against the cluster that `KUBECONFIG` names, with the operator and the CRDs installed (`hack/test.sh` does
//! all of that). Scenarios that must add, kill or return nodes need the harness of `e2e/cluster` (`ECS_CLUSTER`) and
//! say so when they are left out elsewhere. The scenarios share the nodes: run them with `--test-threads=1`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test suite: what is not as expected ends the test"
)]

mod api_table;
mod scenarios;
mod support;
