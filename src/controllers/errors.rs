//! Errors of reconciles and what follows from them.

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;
use tracing::{debug, warn};

use super::Context;
pub use crate::ledger::outcome::Error;
use crate::runtime::backoff::jittered;

/// Wait after a failed reconcile.
const RETRY: Duration = Duration::from_secs(2);
/// Wait before looking again at an object that moved on.
const SOON: Duration = Duration::from_millis(100);

/// Tries again later, with jitter.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub fn error_policy<K: Resource>(object: Arc<K>, error: &Error, _: Arc<Context>) -> Action {
    if matches!(error, Error::Moved) {
        debug!(object = object.meta().name, namespace = object.meta().namespace, %error, "reconcile again");
        return Action::requeue(jittered(SOON));
    }
    warn!(object = object.meta().name, namespace = object.meta().namespace, %error, "reconcile failed; again soon");
    Action::requeue(jittered(RETRY))
}
