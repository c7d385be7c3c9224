//! The sample instances of the specification.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::InstanceView;

/// An instance spelled out.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) agent_connected: bool,
    pub(super) agent_version: Option<&'static str>,
    pub(super) ec2_instance_id: &'static str,
    pub(super) registered_at: Option<Timestamp>,
    pub(super) running_tasks_count: u32,
    pub(super) attributes: BTreeMap<&'static str, Option<&'static str>>,
    pub(super) task_groups: Vec<&'static str>,
}

impl InstanceView for Instance {
    fn agent_connected(&self) -> bool {
        self.agent_connected
    }

    fn agent_version(&self) -> Option<&str> {
        self.agent_version
    }

    fn ec2_instance_id(&self) -> &str {
        self.ec2_instance_id
    }

    fn registered_at(&self) -> Option<Timestamp> {
        self.registered_at
    }

    fn running_tasks_count(&self) -> u32 {
        self.running_tasks_count
    }

    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        self.attributes.get(name).copied()
    }

    fn any_task_group(&self, predicate: &mut dyn FnMut(&str) -> bool) -> bool {
        self.task_groups.iter().any(|group| predicate(group))
    }
}

pub(super) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn a() -> Instance {
    Instance {
        agent_connected: true,
        agent_version: Some("1.14.5"),
        ec2_instance_id: "i-abcd1234",
        registered_at: Some(instant("2018-02-12T10:00:00Z")),
        running_tasks_count: 1,
        attributes: BTreeMap::from([
            ("ecs.instance-type", Some("t2.small")),
            ("ecs.availability-zone", Some("us-east-1a")),
            ("ecs.os-type", Some("linux")),
            ("ecs.cpu-architecture", Some("x86_64")),
            ("stack", Some("prod")),
            ("slots", Some("10")),
        ]),
        task_groups: vec!["service:production"],
    }
}

pub(super) fn b() -> Instance {
    Instance {
        agent_connected: true,
        agent_version: Some("1.14.10"),
        ec2_instance_id: "i-wxyx7890",
        registered_at: Some(instant("2018-06-18T22:28:28Z")),
        running_tasks_count: 0,
        attributes: BTreeMap::from([
            ("ecs.instance-type", Some("g2.2xlarge")),
            ("ecs.availability-zone", Some("us-east-1b")),
            ("ecs.os-type", Some("linux")),
            ("ecs.cpu-architecture", Some("x86_64")),
            ("stack", Some("test")),
            ("slots", Some("9")),
            ("ssd", None),
        ]),
        task_groups: vec![],
    }
}

pub(super) fn c() -> Instance {
    Instance {
        agent_connected: false,
        agent_version: Some("1.9.0"),
        ec2_instance_id: "i-cccc3333",
        registered_at: Some(instant("2017-12-31T23:59:59Z")),
        running_tasks_count: 5,
        attributes: BTreeMap::from([
            ("ecs.instance-type", Some("g2.8xlarge")),
            ("ecs.availability-zone", Some("us-east-1d")),
            ("ecs.os-type", Some("linux")),
            ("ecs.cpu-architecture", Some("arm64")),
            ("rack/zone", Some("r1")),
            ("owner", Some("team a")),
        ]),
        task_groups: vec!["database", "family:batch", "service:production"],
    }
}
