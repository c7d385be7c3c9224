//! Builders of worlds for tests.

#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

mod scene;

pub(crate) use scene::Scene;

use jiff::Timestamp;

use super::world::{Definition, Instance, Key, Service, Strategy, Task};
use crate::domain::deployment::{CircuitBreaker, SuccessCriteria};
use crate::domain::expr::Expression;
use crate::domain::records::{DesiredStatus, HealthStatus, InstanceStatus, LastStatus, SchedulingStrategy};
use crate::domain::resources::Resources;

/// Namespace of everything in tests.
pub(crate) const NAMESPACE: &str = "shop";

/// A key in the tests' namespace.
pub(crate) fn key(name: &str) -> Key {
    Key::new(NAMESPACE, name)
}

/// CPU units, MiB and one Pod slot.
pub(crate) fn amounts(cpu: i64, memory: i64) -> Resources {
    Resources {
        cpu,
        memory,
        pods: 1,
        ..Resources::default()
    }
}

/// An ACTIVE, connected instance of 2048 CPU units and 4096 MiB. (SCN)
pub(crate) fn instance(name: &str) -> Instance {
    Instance {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        version: 1,
        cluster: "default".to_owned(),
        status: InstanceStatus::Active,
        connected: true,
        disconnected_since: None,
        schedulable: true,
        agent_version: None,
        ec2_instance_id: name.to_owned(),
        registered_at: None,
        attributes: [].into(),
        registered: Resources {
            pods: 110,
            ..amounts(2048, 4096)
        },
        foreign: Resources::default(),
        reservations: vec![],
        overcommitted: false,
        newer_ledger: None,
        queue: Vec::new(),
    }
}

impl Instance {
    pub(crate) fn size(mut self, cpu: i64, memory: i64) -> Self {
        (self.registered.cpu, self.registered.memory) = (cpu, memory);
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    pub(crate) fn zone(self, zone: &str) -> Self {
        self.attribute("ecs.availability-zone", zone)
    }

    pub(crate) fn status(mut self, status: InstanceStatus) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn disconnected(mut self, since: Timestamp) -> Self {
        (self.connected, self.disconnected_since) = (false, Some(since));
        self
    }
}

/// ACTIVE revision of a family, `family:revision`.
pub(crate) fn definition(id: &str, cpu: i64, memory: i64) -> Definition {
    let (family, revision) = id.split_once(':').unwrap();
    let name = id.replace(':', ".");
    Definition {
        uid: format!("uid-{name}"),
        key: key(&name),
        family: family.to_owned(),
        revision: revision.parse().unwrap(),
        active: true,
        deleting: false,
        demand: Ok(amounts(cpu, memory)),
        constraints: Ok(vec![]),
        required_attributes: vec![],
        health_checked: false,
        stop_seconds: 30,
    }
}

impl Definition {
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.demand.as_mut().unwrap().ports.insert(port);
        self
    }

    pub(crate) fn health_checked(mut self) -> Self {
        self.health_checked = true;
        self
    }
}

/// A REPLICA service with ECS's defaults.
pub(crate) fn replica(name: &str, definition: &str, desired: u32) -> Service {
    Service {
        key: key(name),
        uid: format!("uid-{name}"),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        ecs_name: name.to_owned(),
        cluster: "default".to_owned(),
        deleting: false,
        strategy: SchedulingStrategy::Replica,
        desired_count: desired,
        requested_definition: definition.to_owned(),
        forced: None,
        minimum_healthy_percent: 100,
        maximum_percent: 200,
        circuit_breaker: CircuitBreaker::default(),
        success: SuccessCriteria::default(),
        depends_on_daemons: Vec::new(),
        health_check_grace_period_seconds: 0,
        constraints: Ok(vec![]),
        distinct_instance: false,
        strategies: vec![],
        rebalancing: false,
        deployments: vec![],
        history: vec![],
        allocations: vec![],
        stopping: vec![],
        observed_task_version: 0,
    }
}

/// A DAEMON service with ECS's defaults. (DAEMON-30)
pub(crate) fn daemon(name: &str, definition: &str) -> Service {
    Service {
        strategy: SchedulingStrategy::Daemon,
        minimum_healthy_percent: 0,
        maximum_percent: 100,
        ..replica(name, definition, 0)
    }
}

impl Service {
    pub(crate) fn percent(mut self, minimum: u32, maximum: u32) -> Self {
        (self.minimum_healthy_percent, self.maximum_percent) = (minimum, maximum);
        self
    }

    /// With a circuit breaker of ECS's default threshold.
    pub(crate) fn breaker(mut self, rollback: bool) -> Self {
        self.circuit_breaker = CircuitBreaker {
            enable: true,
            rollback,
            ..CircuitBreaker::default()
        };
        self
    }

    pub(crate) fn member_of(mut self, expression: &str) -> Self {
        self.constraints = Expression::parse(expression).map(|e| vec![e]);
        self
    }

    pub(crate) fn distinct(mut self) -> Self {
        self.distinct_instance = true;
        self
    }

    pub(crate) fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategies.push(strategy);
        self
    }
}

/// A task of no service, RUNNING on an instance.
pub(crate) fn standalone(id: &str, instance: &str) -> Task {
    Task {
        key: key(id),
        uid: format!("uid-{id}"),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        cluster: "default".to_owned(),
        instance: Some(instance.to_owned()),
        group: "family:job".to_owned(),
        service: None,
        started_by: String::new(),
        definition: "job:1".to_owned(),
        desired: DesiredStatus::Running,
        last: LastStatus::Running,
        health: HealthStatus::Unknown,
        healthy_since: None,
        started_at: Some(Timestamp::UNIX_EPOCH),
        stopped_at: None,
        stop_code: None,
        stopping_at: None,
        stopped_reason: None,
        held_up: None,
        tombstone: false,
        protected_until: None,
        told: None,
        run_once: None,
    }
}

/// Service `r` with as many replicas as said, on two instances, healthy.
pub(crate) fn running(desired: u32, minimum: u32, maximum: u32) -> Scene {
    let mut scene = Scene::new()
        .definition(definition("r:1", 100, 100))
        .definition(definition("r:2", 100, 100))
        .instance(instance("i1"))
        .instance(instance("i2"))
        .service(replica("r", "r:1", desired).percent(minimum, maximum));
    scene.settle("r");
    scene
}
