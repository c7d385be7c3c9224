//! One file per behaviour.

mod api;
mod crash;
mod helm;
mod namespace_deleted;
mod node_lost;
mod replica;
mod rolling;
mod two_active;
mod walk_through;
