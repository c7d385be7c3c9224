//! Waiting until services are steady.

use std::time::Duration;

use anyhow::bail;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use super::terminal::note;
use crate::api::{Condition, ContainerInstance, EcsService, InstanceStatus};

/// Longest time to wait for instances: a kept data directory may have some that are drained or broken.
const REGISTERED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A line of progress at least that often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Waits until that many instances are ACTIVE: before, a daemon service with nowhere to run is steady.
pub(super) async fn instances(client: &Client, count: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let all = Api::<ContainerInstance>::all(client.clone())
            .list(&ListParams::default())
            .await?;
        let is_active = |i: &&ContainerInstance| {
            let status = i.status.as_ref();
            status.is_some_and(|s| s.status == InstanceStatus::Active && s.agent_connected)
        };
        let active = all.items.iter().filter(is_active).count();
        if active >= count {
            return Ok(());
        }
        if begun.elapsed() > REGISTERED_WITHIN {
            note(&format!(
                "{active} of {count} instances are ACTIVE; going on without the others"
            ));
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the services, named by namespace and name, are steady. Says what it waits for; an error names the services
/// that are not, and why.
pub(super) async fn wait(
    client: &Client,
    wanted: &[(String, String)],
    timeout: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now().checked_add(timeout);
    let mut said: Option<(String, Instant)> = None;
    loop {
        let services = Api::<EcsService>::all(client.clone())
            .list(&ListParams::default())
            .await?;
        let name = |s: &EcsService| (s.namespace().unwrap_or_default(), s.name_any());
        let waits: Vec<String> = services
            .items
            .iter()
            .filter(|service| wanted.contains(&name(service)))
            .filter_map(unsteady)
            .collect();
        if waits.is_empty() {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            bail!(
                "not steady after {} s:\n  {}",
                timeout.as_secs(),
                waits.join("\n  ")
            );
        }
        let line = format!("waiting for {}", waits.join("; "));
        let known = said.as_ref();
        if known.is_none_or(|(before, at)| *before != line || at.elapsed() > SAY_EVERY) {
            note(&line);
            said = Some((line, Instant::now()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a service lacks; none when it is steady.
fn unsteady(service: &EcsService) -> Option<String> {
    let name = format!(
        "{}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    );
    let Some(status) = &service.status else {
        return Some(format!("{name}: not looked at yet"));
    };
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let current = |c: &&Condition| c.observed_generation == service.metadata.generation;
    match ready.filter(current) {
        Some(ready) if ready.status == "True" => None,
        found => Some(format!(
            "{name}: {} of {} running, {}",
            status.running_count,
            status.desired_count,
            found.map_or("not looked at yet", |c| c.message.as_str())
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(generation: i64, observed: i64, ready: &str) -> EcsService {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web", "namespace": "shop", "generation": generation},
            "spec": {"taskDefinition": "web"},
            "status": {"desiredCount": 3, "runningCount": 1, "conditions": [{
                "type": "Ready", "status": ready, "reason": "R", "message": "no room",
                "observedGeneration": observed, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_service_is_steady_by_a_condition_of_its_newest_generation() {
        assert_eq!(unsteady(&service(2, 2, "True")), None);
        let waits = unsteady(&service(2, 2, "False")).unwrap();
        assert_eq!(waits, "shop/web: 1 of 3 running, no room");
        assert!(
            unsteady(&service(2, 1, "True"))
                .unwrap()
                .contains("not looked at yet")
        );
    }
}
