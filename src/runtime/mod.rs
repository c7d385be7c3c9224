//! Duties of the process: clients, logs, metrics, probes, lease, shutdown.

pub mod admin;
pub mod backoff;
pub mod client;
#[cfg(feature = "testing")]
pub mod crash;
pub mod leader;
pub mod metrics;
pub mod source;
pub mod telemetry;
