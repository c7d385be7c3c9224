//! Kubernetes Events: said once, by the way; nothing waits long for them and nothing fails without them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, Recorder};
use tracing::debug;

/// Longest time to say one thing.
const SAY_MAX: Duration = Duration::from_secs(2);

/// Publishes an Event about an object; whether it was taken. One that was not is dropped.
pub async fn say(recorder: &Recorder, event: &Event, about: &ObjectReference) -> bool {
    match tokio::time::timeout(SAY_MAX, recorder.publish(event, about)).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => debug!(%error, "an event was dropped"),
        Err(_) => debug!(after = ?SAY_MAX, "an event was dropped: no answer"),
    }
    false
}
