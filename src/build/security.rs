//! User, capabilities, privileges and kernel parameters.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Capabilities, SecurityContext, Sysctl};

use crate::api::{ContainerDefinition, NetworkMode, TaskDefinitionSpec};

use super::unsupported::Refusals;

/// Security settings of one container; `None` where it asks for nothing.
pub(super) fn context(container: &ContainerDefinition, refusals: &mut Refusals) -> Option<SecurityContext> {
    let (run_as_user, run_as_group) = user(container, refusals);
    let no_new_privileges = no_new_privileges(container, refusals);
    let context = SecurityContext {
        privileged: container.privileged.filter(|p| *p),
        read_only_root_filesystem: container.readonly_root_filesystem.filter(|r| *r),
        allow_privilege_escalation: no_new_privileges.then_some(false),
        capabilities: capabilities(container),
        run_as_user,
        run_as_group,
        ..SecurityContext::default()
    };
    (context != SecurityContext::default()).then_some(context)
}

/// Kernel parameters of the Pod: all its containers share them, so they must not disagree.
pub(super) fn sysctls(spec: &TaskDefinitionSpec, refusals: &mut Refusals) -> Vec<Sysctl> {
    let mut set: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for container in &spec.container_definitions {
        for control in &container.system_controls {
            let (name, value) = (control.namespace.as_str(), control.value.as_str());
            if name.starts_with("net.") && spec.network_mode == Some(NetworkMode::Host) {
                refusals.refuse(
                    &container.name,
                    "systemControls",
                    format!("'{name}' can't be set in network mode host."),
                );
            }
            if !name.starts_with("net.") && spec.ipc_mode.as_deref() == Some("host") {
                refusals.refuse(
                    &container.name,
                    "systemControls",
                    format!("'{name}' can't be set with ipcMode host."),
                );
            }
            if let Some((other, _)) = set.get(name).filter(|(_, v)| *v != value) {
                refusals.refuse(
                    &container.name,
                    "systemControls",
                    format!("'{name}' has another value in container '{other}': the containers of a task share it."),
                );
            }
            set.insert(name, (&container.name, value));
        }
    }
    set.into_iter()
        .map(|(name, (_, value))| Sysctl {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect()
}

/// `uid` or `uid:gid`; `root` is 0. Other names live in the image, which only the kubelet sees.
fn user(container: &ContainerDefinition, refusals: &mut Refusals) -> (Option<i64>, Option<i64>) {
    let Some(text) = container.user.as_deref().filter(|u| !u.is_empty()) else {
        return (None, None);
    };
    let id = |word: &str| match word {
        "root" => Some(0),
        digits => digits
            .parse::<i64>()
            .ok()
            .filter(|id| (0..=i64::from(i32::MAX)).contains(id)),
    };
    let (user, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let ids = (id(user), group.map(id));
    match ids {
        (Some(user), None) => (Some(user), None),
        (Some(user), Some(Some(group))) => (Some(user), Some(group)),
        _ => {
            refusals.refuse(
                &container.name,
                "user",
                format!(
                    "'{text}' is a name that only the image knows: give numbers, as in 1000 or 1000:1000."
                ),
            );
            (None, None)
        }
    }
}

fn capabilities(container: &ContainerDefinition) -> Option<Capabilities> {
    let asked = container.linux_parameters.as_ref()?.capabilities.as_ref()?;
    let names = |list: &[String]| -> Option<Vec<String>> {
        let bare = |name: &String| {
            let upper = name.to_ascii_uppercase();
            upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
        };
        (!list.is_empty()).then(|| list.iter().map(bare).collect())
    };
    let capabilities = Capabilities {
        add: names(&asked.add),
        drop: names(&asked.drop),
    };
    (capabilities != Capabilities::default()).then_some(capabilities)
}

fn no_new_privileges(container: &ContainerDefinition, refusals: &mut Refusals) -> bool {
    let mut set = false;
    for option in &container.docker_security_options {
        match option.as_str() {
            "no-new-privileges" | "no-new-privileges:true" => set = true,
            "no-new-privileges:false" => {}
            other => refusals.refuse(
                &container.name,
                "dockerSecurityOptions",
                format!("'{other}' is not available, only no-new-privileges."),
            ),
        }
    }
    let added = container
        .linux_parameters
        .as_ref()
        .and_then(|l| l.capabilities.as_ref());
    let admin = added.is_some_and(|c| c.add.iter().any(|n| n.ends_with("SYS_ADMIN")));
    if set && (container.privileged == Some(true) || admin) {
        refusals.refuse(
            &container.name,
            "dockerSecurityOptions",
            "no-new-privileges can't go with privileged or the capability SYS_ADMIN in a Pod.",
        );
    }
    set
}
