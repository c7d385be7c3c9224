//! CEL rules that are too long to stand beside the field they are about, and the pieces they are made of.

use kube::core::{Message, Rule};

/// Names of the members of a spec that a transition rule holds fixed, by how their absence is told.
pub(super) struct Fixed<'a> {
    /// Always there.
    pub(super) required: &'a [&'a str],
    /// May be absent; adding or removing one is a change.
    pub(super) optional: &'a [&'a str],
    /// Lists; an empty one and an absent one are the same.
    pub(super) lists: &'a [&'a str],
}

impl Fixed<'_> {
    /// An expression that is true when none of the members changes.
    pub(super) fn expression(&self) -> String {
        let required = self.required.iter().map(|m| format!("self.{m} == oldSelf.{m}"));
        let optional = self.optional.iter().map(|m| {
            format!("has(self.{m}) == has(oldSelf.{m}) && (!has(self.{m}) || self.{m} == oldSelf.{m})")
        });
        let lists = self.lists.iter().map(|m| {
            format!(
                "(has(self.{m}) && self.{m}.size() > 0) == (has(oldSelf.{m}) && oldSelf.{m}.size() > 0) && \
                 (!has(self.{m}) || !has(oldSelf.{m}) || self.{m} == oldSelf.{m})"
            )
        });
        required
            .chain(optional)
            .chain(lists)
            .collect::<Vec<_>>()
            .join(" && ")
    }
}

/// A rule that refuses with the text `message`, a CEL expression.
fn rule(expression: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(expression).message(Message::Expression(message.into()))
}

/// The members of a task definition that never change: all but `status` and what ECS itself wrote. (TD-2)
pub(super) const TASK_DEFINITION_FIXED: Fixed<'static> = Fixed {
    required: &["family", "revision", "containerDefinitions"],
    optional: &[
        "cpu",
        "memory",
        "networkMode",
        "taskRoleArn",
        "executionRoleArn",
        "pidMode",
        "ipcMode",
        "runtimePlatform",
        "proxyConfiguration",
        "ephemeralStorage",
        "enableFaultInjection",
        "trustedExecutionConfiguration",
    ],
    lists: &[
        "volumes",
        "placementConstraints",
        "requiresCompatibilities",
        "requiresAttributes",
        "tags",
        "inferenceAccelerators",
    ],
};

/// What ECS wrote about a task definition or its author wrote for later: may change, nothing reads it. (TD-7)
#[cfg(test)]
pub(super) const TASK_DEFINITION_FREE: &[&str] = &[
    "status",
    "taskDefinitionArn",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// The members of a task that never change. (TASK-9, TASK-17)
pub(super) const TASK_FIXED: Fixed<'static> = Fixed {
    required: &["cluster", "taskDefinition"],
    optional: &[
        "group",
        "startedBy",
        "launchType",
        "queueUntil",
        "overrides",
        "runTask",
    ],
    lists: &["tags", "placementConstraints", "placementStrategy"],
};

/// The members of a request for tasks: none changes. (RUN-4)
pub(super) const RUN_TASK_FIXED: Fixed<'static> = Fixed {
    required: &["cluster", "taskDefinition", "count", "commit"],
    optional: &["group", "startedBy", "launchType", "queueUntil", "overrides"],
    lists: &["tags", "placementConstraints", "placementStrategy"],
};

/// The members of a task that may change, or that have a rule of their own.
#[cfg(test)]
pub(super) const TASK_FREE: &[&str] = &[
    "desiredStatus",
    "stoppedReason",
    "stopCode",
    "containerInstance",
    "protection",
    "service",
    "tombstone",
];

/// The object is named after family and revision. (TD-1)
pub(super) fn object_name() -> Rule {
    let family = "self.spec.family.lowerAscii().replace('_', '-')";
    rule(
        format!("self.metadata.name == '%s.%d'.format([{family}, self.spec.revision])"),
        format!(
            "'metadata.name must be the family in lower case with _ as -, a dot and the revision: %s.%d'\
             .format([{family}, self.spec.revision])"
        ),
    )
}

/// A task definition reference: `family`, `family:revision`, or the ARN of a task definition. (TD-4)
pub(super) const TASK_DEFINITION_REFERENCE: &str =
    r"self.matches('^(arn:[^ ]+:task-definition/)?[A-Za-z0-9_-]{1,255}(:[1-9][0-9]{0,8})?$')";

/// Schema pattern of a task's cpu: units or vCPU. (TD-9)
pub(super) const CPU_PATTERN: &str =
    r"^([0-9]{1,9}|([0-9]{1,6}(\.[0-9]{1,9})?|\.[0-9]{1,9}) ?[vV][cC][pP][uU])$";

/// Schema pattern of a task's memory: MiB or GB. (TD-9)
pub(super) const MEMORY_PATTERN: &str = r"^([0-9]{1,9}|([0-9]{1,6}(\.[0-9]{1,9})?|\.[0-9]{1,9}) ?[gG][bB])$";

/// CEL for `member` in its stored unit: a plain number, or a multiple of `unit`, which has 1024 of them. (TD-9)
fn in_stored_unit(member: &str, unit: &str) -> String {
    format!(
        "({member}.matches('^[0-9]+$') ? int({member}) : \
         int(double({member}.lowerAscii().replace('{unit}', '').trim()) * 1024.0))"
    )
}

/// Task cpu is 128 to 196608 units. Text that is not an amount is refused by the schema. (TD-9)
pub(super) fn cpu_range() -> Rule {
    let units = in_stored_unit("self", "vcpu");
    Rule::new(format!(
        "!self.matches(r'{CPU_PATTERN}') || ({units} >= 128 && {units} <= 196608)"
    ))
    .message("cpu must be between 128 CPU units (0.125 vCPU) and 196608 CPU units (192 vCPU)")
}

/// Task memory is at least the 6 MiB that a container needs. (TD-10)
pub(super) fn memory_range() -> Rule {
    let mib = in_stored_unit("self", "gb");
    Rule::new(format!("!self.matches(r'{MEMORY_PATTERN}') || {mib} >= 6"))
        .message("memory must be at least 6 MiB")
}

/// The containers' cpu together does not exceed the task's. (TD-11)
pub(super) fn cpu_sum() -> Rule {
    let units = in_stored_unit("self.cpu", "vcpu");
    let sum = "self.containerDefinitions.map(c, has(c.cpu) ? c.cpu : 0).sum()";
    rule(
        format!("!has(self.cpu) || !self.cpu.matches(r'{CPU_PATTERN}') || {sum} <= {units}"),
        format!(
            "'The total cpu of the containers (%d) must not exceed the cpu of the task (%s).'\
             .format([{sum}, self.cpu])"
        ),
    )
}

/// The memory the containers reserve together does not exceed the task's. (TD-11)
pub(super) fn memory_sum() -> Rule {
    let mib = in_stored_unit("self.memory", "gb");
    let sum = "self.containerDefinitions.map(c, has(c.memoryReservation) ? c.memoryReservation : \
               (has(c.memory) ? c.memory : 0)).sum()";
    rule(
        format!("!has(self.memory) || !self.memory.matches(r'{MEMORY_PATTERN}') || {sum} <= {mib}"),
        format!(
            "'The total memory that the containers reserve (%d) must not exceed the memory of the task (%s).'\
             .format([{sum}, self.memory])"
        ),
    )
}

/// Every container says how much memory it takes, unless the task does. (TD-10)
pub(super) fn container_memory() -> Rule {
    each_container(
        "has(self.memory) || has(c.memory) || has(c.memoryReservation)",
        "Invalid setting for container '",
        "'. At least one of 'memory' or 'memoryReservation' must be specified.",
    )
}

/// Container names are unique. (TD-12)
pub(super) fn container_names() -> Rule {
    each_container(
        "self.containerDefinitions.exists_one(o, o.name == c.name)",
        "Container names must be unique: '",
        "' is used more than once.",
    )
}

/// Host ports equal container ports where the Pod has the node's address or one of its own. (TD-15)
pub(super) fn host_ports() -> Rule {
    rule(
        "!has(self.networkMode) || !(self.networkMode in ['host', 'awsvpc']) || \
         self.containerDefinitions.all(c, !has(c.portMappings) || c.portMappings.all(p, !has(p.hostPort) || \
         (has(p.containerPort) && p.hostPort == p.containerPort)))",
        "'When networkMode=' + self.networkMode + ', the host ports and container ports in port mappings must match.'",
    )
}

/// Mount points name volumes of the task definition.
pub(super) fn mounted_volumes() -> Rule {
    each_container(
        "!has(c.mountPoints) || c.mountPoints.all(m, !has(m.sourceVolume) || \
         (has(self.volumes) && self.volumes.exists(v, v.name == m.sourceVolume)))",
        "Container '",
        "' has a mount point whose sourceVolume is not in volumes.",
    )
}

/// Dependencies name another container of the task definition. (TD-17)
pub(super) fn dependencies_exist() -> Rule {
    each_dependency(
        "self.containerDefinitions.exists(o, o.name == d.containerName)",
        "' depends on a container that is not in containerDefinitions.",
    )
}

/// No container depends on itself. Circles through others cost more to find than the API server grants a rule: the
/// operator reports them. (TD-17)
pub(super) fn dependencies_not_self() -> Rule {
    each_dependency("d.containerName != c.name", "' must not depend on itself.")
}

/// COMPLETE and SUCCESS wait for the end of a container, and the end of an essential one ends the task. (TD-17)
pub(super) fn dependencies_not_essential() -> Rule {
    each_dependency(
        "!(d.condition in ['COMPLETE', 'SUCCESS']) || \
         !self.containerDefinitions.exists(o, o.name == d.containerName && (!has(o.essential) || o.essential))",
        "' depends on the end (COMPLETE or SUCCESS) of an essential container: only a non-essential container may be \
         named.",
    )
}

/// HEALTHY needs a health check. (TD-17)
pub(super) fn dependencies_healthy() -> Rule {
    each_dependency(
        "d.condition != 'HEALTHY' || \
         !self.containerDefinitions.exists(o, o.name == d.containerName && !has(o.healthCheck))",
        "' depends on a container to be HEALTHY that has no healthCheck.",
    )
}

/// A rule over every container `c`; the message names the first that fails `condition`.
fn each_container(condition: &str, before: &str, after: &str) -> Rule {
    rule(
        format!("self.containerDefinitions.all(c, {condition})"),
        // `format` and not `+`: the API server estimates `+` by the length of its operands, and takes the members of a
        // filtered list for endless.
        format!(
            r#""{before}%s{after}".format([self.containerDefinitions.filter(c, !({condition}))[0].name])"#
        ),
    )
}

/// A rule over every dependency `d` of every container `c`.
fn each_dependency(condition: &str, after: &str) -> Rule {
    each_container(
        &format!("!has(c.dependsOn) || c.dependsOn.all(d, {condition})"),
        "Container '",
        after,
    )
}
