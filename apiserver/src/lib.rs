//! A Kubernetes API server small enough to run inside a process, and faithful enough that clients cannot tell.
//!
//! It knows nothing of ECS: the operator's local mode and its simulation are built on it, and others may use it alike.

pub mod patch;
pub mod schema;
pub mod topology;
