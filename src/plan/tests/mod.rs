//! Tests of the planners, named after the rules they show.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests count small numbers"
)]

mod arrival;
mod awaited;
mod backoff;
mod breaker;
mod daemon;
mod deployment;
mod drain;
mod health;
mod namespaces;
mod optimistic;
mod permission;
mod placement;
mod properties;
mod protection;
mod quiesce;
mod replica;
mod request;
mod rolling;
mod run_task;
mod shares;
mod success;
mod zones;
