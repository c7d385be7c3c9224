//! One file per behaviour.

mod api;
mod crash;
mod replica;
mod rolling;
mod walk_through;
