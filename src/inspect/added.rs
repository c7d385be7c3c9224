//! Instances that somebody thinks of adding: `3,cpu=4096,memory=16384,attribute:stack=prod`, or `2,like=node-1`.

use anyhow::{Context as _, bail};

use crate::domain::records::InstanceStatus;
use crate::domain::resources::Resources;
use crate::plan::world::{Instance, World};

/// Most instances that are added at once.
const ADDED_MAX: u32 = 5000;
/// Pods that fit on a node if nothing else is said.
const PODS: i64 = 110;

/// The instances of one wish, under names that are free.
pub(super) fn instances(world: &World, wish: &str) -> anyhow::Result<Vec<Instance>> {
    let read = || {
        let mut parts = wish.split(',');
        let count = parts.next().unwrap_or_default().trim();
        let count: u32 = count
            .parse()
            .with_context(|| format!("{count:?} is no number of instances"))?;
        anyhow::ensure!((1..=ADDED_MAX).contains(&count), "add 1 to {ADDED_MAX} instances");
        let pairs = parts.map(|part| {
            let pair = part.trim().split_once('=');
            pair.with_context(|| format!("{part:?} is no NAME=VALUE"))
        });
        Ok((count, model(world, &pairs.collect::<anyhow::Result<Vec<_>>>()?)?))
    };
    let (count, model): (u32, Instance) = read().with_context(|| {
        format!("--add-instances {wish}: write N,cpu=UNITS,memory=MIB or N,like=INSTANCE, and more after it")
    })?;
    let free = (1u32..)
        .map(|n| format!("added-{n}"))
        .filter(|name| !world.instances.contains_key(name));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let named = free.take(count).map(|name| Instance {
        uid: format!("new {name}"),
        ec2_instance_id: name.clone(),
        name,
        ..model.clone()
    });
    Ok(named.collect())
}

/// What all of them are like.
fn model(world: &World, pairs: &[(&str, &str)]) -> anyhow::Result<Instance> {
    let like = pairs.iter().find(|(name, _)| *name == "like");
    let mut instance = match like {
        Some((_, name)) => {
            let found = world.instances.get(*name);
            let found = found.with_context(|| format!("there is no ContainerInstance {name} to be like"))?;
            Instance {
                foreign: Resources::default(),
                reservations: Vec::new(),
                queue: Vec::new(),
                ..Instance::clone(found)
            }
        }
        None => plain(world),
    };
    (instance.status, instance.connected, instance.schedulable) = (InstanceStatus::Active, true, true);
    (instance.overcommitted, instance.newer_ledger) = (false, None);
    instance.disconnected_since = None;
    instance.registered_at = Some(world.now);
    for (name, value) in pairs {
        let number = || value.parse::<i64>().ok().filter(|n| *n >= 0);
        let number = || number().with_context(|| format!("{name}={value}: {value:?} is no amount"));
        match *name {
            "like" => {}
            "cpu" => instance.registered.cpu = number()?,
            "memory" => instance.registered.memory = number()?,
            "pods" => instance.registered.pods = number()?,
            "gpu" => instance.registered.gpu = number()?,
            "cluster" => (*value).clone_into(&mut instance.cluster),
            other => match other.strip_prefix("attribute:") {
                Some(attribute) => {
                    let value = Some((*value).to_owned()).filter(|value| !value.is_empty());
                    instance.attributes.insert(attribute.to_owned(), value);
                }
                None => {
                    bail!("{other} is not known: cpu, memory, pods, gpu, cluster, like or attribute:NAME")
                }
            },
        }
    }
    let sized = instance.registered.cpu > 0 && instance.registered.memory > 0;
    anyhow::ensure!(sized, "cpu (units, 1024 a vCPU) and memory (MiB) are missing");
    let cluster = &instance.cluster;
    anyhow::ensure!(
        world.clusters.contains_key(cluster),
        "there is no EcsCluster {cluster}"
    );
    Ok(instance)
}

/// A node of the cluster `default` of which only the platform is known; its reserved ports are those of the others.
fn plain(world: &World) -> Instance {
    let platform = [
        ("ecs.cpu-architecture", "x86_64"),
        ("ecs.os-type", "linux"),
        ("ecs.os-family", "LINUX"),
    ];
    let platform = platform.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    let other = world.instances.values().next();
    Instance {
        name: String::new(),
        uid: String::new(),
        version: 0,
        cluster: crate::api::DEFAULT_CLUSTER.to_owned(),
        status: InstanceStatus::Active,
        connected: true,
        disconnected_since: None,
        schedulable: true,
        agent_version: None,
        ec2_instance_id: String::new(),
        registered_at: None,
        attributes: platform.into(),
        registered: Resources {
            pods: PODS,
            ports: other.map(|i| i.registered.ports.clone()).unwrap_or_default(),
            ..Resources::default()
        },
        foreign: Resources::default(),
        reservations: Vec::new(),
        queue: Vec::new(),
        overcommitted: false,
        newer_ledger: None,
    }
}
