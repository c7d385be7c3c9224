//! One file per behaviour.

mod api;
mod walk_through;
