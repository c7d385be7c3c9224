//! Tests of the planners, named after the rules they show.

mod daemon;
mod deployment;
mod drain;
mod placement;
mod replica;
mod rolling;
