//! The lease: only its holder plans, to avoid waste. Safety never rests on it, every write is conditional.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::metrics::Metrics;

/// Seconds a lease holds without renewal.
const DURATION: u64 = 15;
/// Seconds before the end at which it is renewed.
const GRACE: u64 = 5;
const _: () = assert!(GRACE < DURATION);

/// Which lease.
#[derive(Clone, Debug)]
pub struct LeaseName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Who asks.
    pub identity: String,
}

/// Competes for the lease until `stop`, telling `leads`; then gives it back.
pub async fn run(
    client: Client,
    lease: LeaseName,
    leads: watch::Sender<bool>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    while !stop.is_cancelled() {
        let built = LeaseManagerBuilder::new(client.clone(), &lease.name)
            .with_namespace(&lease.namespace)
            .with_identity(&lease.identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .with_field_manager("ecs-operator")
            .build()
            .await;
        match built {
            Ok(manager) => loop {
                let state = tokio::select! {
                    () = stop.cancelled() => {
                        let _ = tokio::time::timeout(Duration::from_secs(3), manager.release()).await;
                        return;
                    }
                    state = manager.changed() => state,
                };
                match state {
                    Ok(holds) => {
                        backoff.reset();
                        info!(holds, "lease");
                        metrics.leads(holds);
                        leads.send_replace(holds);
                    }
                    Err(error) => {
                        warn!(%error, "lease failed; planning pauses until it is held again");
                        break;
                    }
                }
            },
            Err(error) => {
                warn!(%error, namespace = lease.namespace, name = lease.name, "cannot use the lease");
            }
        }
        metrics.leads(false);
        leads.send_replace(false);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}
