//! The definition that a task runs: its task definition with what the task overrides of it. (RUN-5)
//!
//! This is the one place where the two are put together. The Pod is made of the result, and so is the demand by which the
//! task is placed, admitted and gets its share.

use std::borrow::Cow;

use crate::api::{
    ContainerDefinition, ContainerOverride, OVERRIDES_CHARACTERS_MAX, TaskDefinitionSpec, TaskOverride,
};

/// The task definition with the overrides of a task.
///
/// # Errors
/// Overrides that ECS refuses, or that have no counterpart, a sentence each. What the result itself has no counterpart for
/// is [`super::unsupported`]'s to say.
pub fn overridden<'d>(
    spec: &'d TaskDefinitionSpec,
    overrides: Option<&TaskOverride>,
) -> Result<Cow<'d, TaskDefinitionSpec>, Vec<String>> {
    let Some(overrides) = overrides else {
        return Ok(Cow::Borrowed(spec));
    };
    let mut errors = refused(overrides);
    let mut whole = spec.clone();
    for change in &overrides.container_overrides {
        let mut containers = whole.container_definitions.iter_mut();
        match containers.find(|container| container.name == change.name) {
            Some(container) => apply(container, change),
            None => errors.push(unknown(spec, &change.name)),
        }
    }
    let members = [
        (&mut whole.cpu, &overrides.cpu),
        (&mut whole.memory, &overrides.memory),
        (&mut whole.task_role_arn, &overrides.task_role_arn),
        (&mut whole.execution_role_arn, &overrides.execution_role_arn),
    ];
    for (member, change) in members {
        if change.is_some() {
            member.clone_from(change);
        }
    }
    if errors.is_empty() {
        Ok(Cow::Owned(whole))
    } else {
        Err(errors)
    }
}

/// Overrides that are accepted and have no effect, a sentence each.
#[must_use]
pub fn without_effect(overrides: Option<&TaskOverride>) -> Option<String> {
    let role = overrides?.execution_role_arn.as_ref();
    role.map(|_| {
        "overrides.executionRoleArn: has no effect: images are pulled with the Pod's own credentials."
            .to_owned()
    })
}

fn refused(overrides: &TaskOverride) -> Vec<String> {
    let mut errors = Vec::new();
    let length = serde_json::to_string(overrides).map_or(0, |json| json.chars().count());
    if length > OVERRIDES_CHARACTERS_MAX {
        errors.push(format!(
            "Container Overrides length must be at most {OVERRIDES_CHARACTERS_MAX}. As JSON they have {length} characters: \
             put the rest into a ConfigMap and name it in the task definition's secrets."
        ));
    }
    if !overrides.inference_accelerator_overrides.is_empty() {
        errors.push("overrides.inferenceAcceleratorOverrides: is not available: leave it out.".to_owned());
    }
    if overrides.ephemeral_storage.is_some() {
        errors.push("overrides.ephemeralStorage: is for Fargate only: leave it out.".to_owned());
    }
    errors
}

fn unknown(spec: &TaskDefinitionSpec, name: &str) -> String {
    let names: Vec<&str> = spec
        .container_definitions
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    format!(
        "Override for container named {name} is not a container in the TaskDefinition. Name one of these: {}.",
        names.join(", ")
    )
}

fn apply(container: &mut ContainerDefinition, change: &ContainerOverride) {
    if !change.command.is_empty() {
        container.command = Some(change.command.clone());
    }
    for variable in &change.environment {
        match container
            .environment
            .iter_mut()
            .find(|known| known.name == variable.name)
        {
            Some(known) => known.value.clone_from(&variable.value),
            None => container.environment.push(variable.clone()),
        }
    }
    container
        .environment_files
        .extend(change.environment_files.iter().cloned());
    container.cpu = change.cpu.unwrap_or(container.cpu);
    container.memory = change.memory.or(container.memory);
    container.memory_reservation = change.memory_reservation.or(container.memory_reservation);
    if !change.resource_requirements.is_empty() {
        container
            .resource_requirements
            .clone_from(&change.resource_requirements);
    }
}
