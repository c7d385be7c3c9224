//! A Kubernetes API server small enough to run inside a process, and faithful enough that clients cannot tell.
//!
//! It knows nothing of ECS: the operator's local mode and its simulation are built on it, and others may use it alike.
//!
//! [`Server`] is a `tower::Service`, so that `kube::Client::new(server, "default")` is all it takes to talk to it in
//! process; [`tls::listen`] puts the same server on a socket for `kubectl`. Time, uids and chance come from
//! [`source::Sources`]; everything but the streams of watches and the sockets is synchronous, under one lock.

pub mod body;
mod convert;
pub mod definition;
mod discovery;
pub mod fields;
mod fields_of;
mod housekeeping;
mod lifecycle;
mod managed;
pub mod meta;
pub mod object;
mod openapi;
pub mod patch;
pub mod protobuf;
pub mod registry;
mod render;
pub mod request;
mod routes;
pub mod schema;
pub mod selector;
mod server;
pub mod source;
mod state;
pub mod status;
pub mod storage;
pub mod store;
mod strategy;
mod stream;
mod structs;
mod timeout;
pub mod tls;
pub mod topology;
mod typed;
mod verbs;

pub use discovery::is_embedded;
pub use server::{Limits, Server};
pub use source::Sources;
