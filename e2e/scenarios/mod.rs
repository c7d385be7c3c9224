//! One file per behaviour.

mod api;
mod replica;
mod rolling;
mod walk_through;
