//! Amazon ECS scheduling semantics (EC2 launch type) for Kubernetes.
//!
//! The way through the code: watches fill [`cache`] stores, a snapshot is planned on by the pure functions of
//! [`plan`], and the [`ledger`] turns the plan into conditional writes. See `docs/ARCHITECTURE.md`.

pub mod agent;
pub mod api;
#[cfg(any(test, feature = "testing"))]
pub mod audit;
pub mod build;
pub mod cache;
pub mod cli;
pub mod controllers;
pub mod domain;
pub mod explain;
pub mod inspect;
pub mod ledger;
pub mod local;
pub mod operator;
pub mod plan;
pub mod report;
#[cfg(test)]
mod rooms;
pub mod runtime;
pub mod simulated;
pub mod uninstall;
