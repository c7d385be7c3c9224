//! Tests of the planners, named after the rules they show.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "tests count small numbers"
)]

mod backoff;
mod daemon;
mod deployment;
mod drain;
mod health;
mod placement;
mod properties;
mod replica;
mod rolling;
