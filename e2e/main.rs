//! The end-to-end suite: real API server, real kubelets, the operator as it was installed. One file per behaviour.
//!
//! It runs against the cluster that `KUBECONFIG` names, with the operator and the CRDs installed (`hack/test.sh` does
//! all of that). Scenarios that must add, kill or return nodes need the harness of `e2e/cluster` (`ECS_CLUSTER`) and
//! say so when they are left out elsewhere. The scenarios share the nodes: run them with `--test-threads=1`.

mod api_table;
mod scenarios;
mod support;
