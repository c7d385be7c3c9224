//! Errors of reconciles.

pub use crate::ledger::outcome::Error;
