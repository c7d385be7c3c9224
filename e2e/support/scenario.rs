//! A scenario: begins with a clean cluster, is recorded from then on, and ends under the auditor.

use std::ops::Deref;
use std::time::Duration;

use ecs_operator::api::{EcsService, InstanceStatus, LastStatus, Task};
use ecs_operator::audit::{History, Options, Recorder, Report, audit};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};

use super::audit::keep;
use super::space::Space;
use super::{client, eventually, last, reservations, tidy, wanted};

/// Seconds in which tasks that a failed scenario left have ended: a stop timeout and a fence.
const AFTER_A_FAILURE: u64 = 180;

/// A scenario with a namespace of its own, and more if it asks for them.
pub(crate) struct Scenario {
    space: Space,
    more: Vec<Space>,
    recorder: Recorder,
    expect_wipe: bool,
}

impl Deref for Scenario {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.space
    }
}

impl Scenario {
    /// Begins with a clean cluster: every instance ACTIVE and connected, without custom attributes or tasks of ours,
    /// whatever the scenario before left.
    pub(crate) async fn begin(name: &str) -> Self {
        let client = client().await;
        tidy::up(&client).await;
        let namespace = format!("e2e-{name}-{:04x}", rand::random::<u16>());
        let space = Space::make(client.clone(), &namespace).await;
        eventually(
            "every node is an ACTIVE, connected, empty instance",
            AFTER_A_FAILURE,
            || ready(&space),
        )
        .await;
        Self {
            recorder: Recorder::start(client).await.unwrap(),
            space,
            more: Vec::new(),
            expect_wipe: false,
        }
    }

    /// Another namespace of this scenario.
    pub(crate) async fn another(&mut self, name: &str) -> Space {
        let namespace = format!("{}-{name}", self.space.namespace);
        let space = Space::make(self.client.clone(), &namespace).await;
        self.more.push(space.clone());
        space
    }

    /// Says that the scenario wipes the ledger by hand: the auditor does not hold that against the operator.
    pub(crate) fn wipes_the_ledger(&mut self) {
        self.expect_wipe = true;
    }

    fn spaces(&self) -> impl Iterator<Item = &Space> {
        std::iter::once(&self.space).chain(&self.more)
    }

    /// Number of shares that the scenario's tasks have.
    async fn reserved(&self) -> usize {
        let instances = self.instances().await;
        let of = |space: &Space| -> usize {
            let counts = instances.iter().map(|i| reservations(i, &space.namespace));
            counts.sum()
        };
        self.spaces().map(of).sum()
    }

    /// All Tasks of the scenario.
    pub(crate) async fn all_tasks(&self) -> Vec<Task> {
        let mut all = Vec::new();
        for space in self.spaces() {
            let found = space.api::<Task>().list(&ListParams::default()).await;
            all.extend(found.unwrap().items);
        }
        all
    }

    /// Waits until every task that is not to run has STOPPED and released its share.
    pub(crate) async fn quiet(&self, seconds: u64) {
        eventually(
            "what is to stop has stopped and released its share",
            seconds,
            || async {
                let tasks = self.all_tasks().await;
                let alive = tasks.iter().filter(|t| last(t) != LastStatus::Stopped).count();
                let running = tasks
                    .iter()
                    .filter(|t| wanted(t) && last(t) == LastStatus::Running)
                    .count();
                let reserved = self.reserved().await;
                if alive == running && reserved == running {
                    Ok(())
                } else {
                    Err(format!(
                        "{alive} tasks alive, {running} RUNNING, {reserved} reservations"
                    ))
                }
            },
        )
        .await;
    }

    /// Ends: services go, their tasks stop, nothing stays reserved, and the auditor finds no invariant broken. The
    /// history of the whole scenario, and what the auditor made of it.
    pub(crate) async fn end(self) -> (History, Report) {
        for space in self.spaces() {
            let services: Api<EcsService> = space.api();
            services
                .delete_collection(&DeleteParams::default(), &ListParams::default())
                .await
                .unwrap();
        }
        eventually("every task has stopped and nothing is reserved", 120, || async {
            let alive = self.all_tasks().await;
            let alive = alive.iter().filter(|t| last(t) != LastStatus::Stopped).count();
            let reserved = self.reserved().await;
            let mut left = 0;
            for space in self.spaces() {
                let services = space.api::<EcsService>().list(&ListParams::default()).await;
                left += services.unwrap().items.len();
            }
            if alive + reserved + left == 0 {
                Ok(())
            } else {
                Err(format!(
                    "{left} services, {alive} tasks alive, {reserved} reservations"
                ))
            }
        })
        .await;
        for space in self.spaces() {
            let namespaces: Api<Namespace> = Api::all(space.client.clone());
            match namespaces
                .delete(&space.namespace, &DeleteParams::default())
                .await
            {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => panic!("{}: {error}", space.namespace),
            }
        }
        let history = self.recorder.stop(Duration::from_secs(60)).await;
        let options = Options {
            quiet: true,
            expect_wipe: self.expect_wipe,
        };
        let report = audit(&history, &options);
        if !report.violations.is_empty() {
            keep(&history);
        }
        println!("audited: {:?}", report.figures);
        let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "the auditor found:\n{}", told.join("\n"));
        (history, report)
    }
}

/// Whether every node is an ACTIVE, connected and empty instance.
async fn ready(space: &Space) -> Result<(), String> {
    // nodes of a control plane need not be instances
    let workers = ListParams::default().labels("!node-role.kubernetes.io/control-plane");
    let nodes = Api::<Node>::all(space.client.clone()).list(&workers).await;
    let nodes = nodes.unwrap().items.len();
    let instances = space.instances().await;
    let mut unfit = Vec::new();
    for instance in &instances {
        let status = instance.status.clone().unwrap_or_default();
        if status.status != InstanceStatus::Active
            || !status.agent_connected
            || !status.reservations.is_empty()
        {
            unfit.push(format!(
                "{}: {:?}, connected: {}, {} reservations",
                instance.name_any(),
                status.status,
                status.agent_connected,
                status.reservations.len()
            ));
        }
    }
    if unfit.is_empty() && nodes > 0 && nodes == instances.len() {
        Ok(())
    } else {
        Err(format!("{nodes} nodes, {} instances; {unfit:?}", instances.len()))
    }
}
