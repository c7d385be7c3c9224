//! Environment, secrets and words that Kubernetes would otherwise expand.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, EnvVar, EnvVarSource, SecretKeySelector};

use crate::api::ContainerDefinition;

use super::names::is_subdomain;
use super::unsupported::Refusals;

/// A text that reaches the container as it is: Kubernetes expands `$(NAME)` and turns `$$` into `$` in commands, arguments
/// and values, ECS does neither.
pub(super) fn literal(text: &str) -> String {
    if text.contains("$(") || text.contains("$$") {
        text.replace('$', "$$")
    } else {
        text.to_owned()
    }
}

/// Variables of a container, those from Secrets and `ConfigMap`s included.
pub(super) fn variables(container: &ContainerDefinition, refusals: &mut Refusals) -> Vec<EnvVar> {
    let plain = container.environment.iter().map(|pair| EnvVar {
        name: pair.name.clone(),
        value: Some(literal(&pair.value)),
        value_from: None,
    });
    let mut variables: Vec<EnvVar> = plain.collect();
    for secret in &container.secrets {
        match source(&secret.value_from) {
            Ok(source) => variables.push(EnvVar {
                name: secret.name.clone(),
                value: None,
                value_from: Some(source),
            }),
            Err(why) => refusals.refuse(&container.name, &format!("secrets '{}'", secret.name), why),
        }
    }
    for variable in &variables {
        let bad = |c: char| c == '=' || !(c == ' ' || c.is_ascii_graphic());
        if variable.name.is_empty() || variable.name.contains(bad) {
            refusals.refuse(
                &container.name,
                "environment",
                format!(
                    "'{}' can't name a variable: printable ASCII without '=' can.",
                    variable.name
                ),
            );
        }
    }
    variables
}

const FORM: &str =
    "name a Secret or ConfigMap of the task's namespace as secret/NAME/KEY or configmap/NAME/KEY";

fn source(value_from: &str) -> Result<EnvVarSource, String> {
    if value_from.starts_with("arn:") {
        return Err(format!(
            "'{value_from}' lives in AWS, which a Pod can't read: copy it into the cluster and {FORM}."
        ));
    }
    let mut parts = value_from.splitn(3, '/');
    let (kind, name, key) = (
        parts.next(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let key_ok = (1..=253).contains(&key.len())
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !key_ok || !is_subdomain(name) {
        return Err(format!("'{value_from}' can't be read: {FORM}."));
    }
    let (name, key) = (name.to_owned(), key.to_owned());
    match kind {
        Some("secret") => Ok(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name,
                key,
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        Some("configmap") => Ok(EnvVarSource {
            config_map_key_ref: Some(ConfigMapKeySelector {
                name,
                key,
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        _ => Err(format!("'{value_from}' can't be read: {FORM}.")),
    }
}
