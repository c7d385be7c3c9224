//! Errors of reconciles and what follows from them.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;
use tracing::warn;

use super::Context;
use crate::runtime::backoff::jittered;

/// Wait after a failed reconcile.
const RETRY: Duration = Duration::from_secs(2);

/// Why a reconcile did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server gave no certain answer.
    #[error("no certain answer from the API server: {0}")]
    Uncertain(String),
    /// The API server refused what we need.
    #[error("refused by the API server: {0}")]
    Refused(String),
}

impl Error {
    /// A bounded name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Uncertain(_) => "uncertain",
            Self::Refused(_) => "refused",
        }
    }
}

/// Tries again later, with jitter.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub fn error_policy<K: Resource>(object: Arc<K>, error: &Error, _: Arc<Context>) -> Action {
    warn!(object = object.meta().name, namespace = object.meta().namespace, %error, "reconcile failed; again soon");
    Action::requeue(jittered(RETRY))
}
