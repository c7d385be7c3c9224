//! What is wrong with a Pod: the checks of the API server that its users and controllers meet.

use std::cmp::Ordering;

use serde_json::Value;

use crate::meta::names;
use crate::object::{self, Object, at, list, number, text};
use crate::schema::compare_quantities;
use crate::status::Cause;

/// The only changes that a Pod's spec takes.
const CHANGEABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What is wrong with a Pod that is created, or that replaces `old`.
pub(super) fn check(pod: &Value, old: Option<&Value>) -> Vec<Cause> {
    match old {
        Some(old) => check_change(pod, old).into_iter().collect(),
        None => check_spec(pod),
    }
}

fn check_spec(pod: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let containers = list(pod, &["spec", "containers"]);
    if containers.is_empty() {
        causes.push(Cause::required("spec.containers", ""));
    }
    let volumes: Vec<&str> = list(pod, &["spec", "volumes"])
        .iter()
        .map(|volume| text(volume, &["name"]))
        .collect();
    let mut seen = Vec::new();
    for member in ["containers", "initContainers"] {
        for (index, container) in list(pod, &["spec", member]).iter().enumerate() {
            let field = format!("spec.{member}[{index}]");
            check_container(container, &field, &mut seen, &mut causes);
            check_mounts(container, &volumes, &field, &mut causes);
            check_resources(container, &field, &mut causes);
        }
    }
    let policy = text(pod, &["spec", "restartPolicy"]);
    let policies = ["Always", "OnFailure", "Never"];
    if !policies.contains(&policy) {
        causes.push(Cause::unsupported(
            "spec.restartPolicy",
            &format!("\"{policy}\""),
            &policies,
        ));
    }
    if at(pod, &["spec", "hostNetwork"]) == Some(&Value::Bool(true)) {
        for (index, container) in containers.iter().enumerate() {
            check_ports_of_host(container, &format!("spec.containers[{index}]"), &mut causes);
        }
    }
    causes
}

/// In the network of the host a port is what it is.
fn check_ports_of_host(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (index, port) in list(container, &["ports"]).iter().enumerate() {
        let on_host = number(port, &["hostPort"]).unwrap_or(0);
        if Some(on_host) != number(port, &["containerPort"]) {
            let detail = "must match `containerPort` when `hostNetwork` is true";
            let field = format!("{field}.ports[{index}].hostPort");
            causes.push(Cause::invalid(field, &on_host.into(), detail));
        }
    }
}

/// What is mounted is a volume of the Pod, and everything at a place of its own.
fn check_mounts(container: &Value, volumes: &[&str], field: &str, causes: &mut Vec<Cause>) {
    let mounts = list(container, &["volumeMounts"]);
    for (index, mount) in mounts.iter().enumerate() {
        let field = format!("{field}.volumeMounts[{index}]");
        let (name, path) = (text(mount, &["name"]), text(mount, &["mountPath"]));
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        }
        if !volumes.contains(&name) {
            causes.push(Cause::missing(format!("{field}.name"), &name.into()));
        }
        if path.is_empty() {
            causes.push(Cause::required(format!("{field}.mountPath"), ""));
        }
        let earlier = &mut mounts.iter().take(index);
        if earlier.any(|mount| text(mount, &["mountPath"]) == path) {
            let cause = Cause::invalid(format!("{field}.mountPath"), &path.into(), "must be unique");
            causes.push(cause);
        }
    }
}

/// Requests stay within limits; of what cannot be shared, such as devices, they are equal.
fn check_resources(container: &Value, field: &str, causes: &mut Vec<Cause>) {
    let none = Object::new();
    let of = |member: &str| {
        at(container, &["resources", member])
            .and_then(Value::as_object)
            .unwrap_or(&none)
    };
    let requests_field = format!("{field}.resources.requests");
    for (name, request) in of("requests") {
        let Some(limit) = of("limits").get(name) else {
            if !is_shared(name) {
                let detail = "Limit must be set for non overcommitable resources";
                causes.push(Cause::required(format!("{field}.resources.limits"), detail));
            }
            continue;
        };
        let shown = |quantity: &Value| {
            quantity
                .as_str()
                .map_or_else(|| quantity.to_string(), str::to_owned)
        };
        let (request, limit) = (shown(request), shown(limit));
        let wanted = match compare_quantities(&request, &limit) {
            Some(Ordering::Less | Ordering::Greater) if !is_shared(name) => "equal to",
            Some(Ordering::Greater) => "less than or equal to",
            _ => continue,
        };
        let detail = format!("must be {wanted} {name} limit of {limit}");
        causes.push(Cause::invalid(requests_field.clone(), &request.into(), &detail));
    }
}

/// Whether more of a resource may be promised than there is: of Kubernetes' own, other than huge pages.
fn is_shared(resource: &str) -> bool {
    let is_native = !resource.contains('/') || resource.contains("kubernetes.io/");
    is_native && !resource.starts_with("hugepages-")
}

fn check_container<'a>(container: &'a Value, field: &str, seen: &mut Vec<&'a str>, causes: &mut Vec<Cause>) {
    let name = text(container, &["name"]);
    let name_field = format!("{field}.name");
    if name.is_empty() {
        causes.push(Cause::required(name_field, ""));
    } else if seen.contains(&name) {
        causes.push(Cause::duplicate(name_field, &Value::from(name).to_string()));
    } else {
        let wrong = names::label(name);
        causes.extend(
            wrong
                .iter()
                .map(|detail| Cause::invalid(name_field.clone(), &name.into(), detail)),
        );
        seen.push(name);
    }
    if text(container, &["image"]).is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    for (index, port) in list(container, &["ports"]).iter().enumerate() {
        check_port(port, &format!("{field}.ports[{index}]"), causes);
    }
}

fn check_port(port: &Value, field: &str, causes: &mut Vec<Cause>) {
    let range = "must be between 1 and 65535, inclusive";
    let is_port = |number: i64| (1..=65_535).contains(&number);
    match number(port, &["containerPort"]).unwrap_or(0) {
        0 => causes.push(Cause::required(format!("{field}.containerPort"), "")),
        number if !is_port(number) => {
            causes.push(Cause::invalid(
                format!("{field}.containerPort"),
                &number.into(),
                range,
            ));
        }
        _ => {}
    }
    let on_host = number(port, &["hostPort"]).filter(|number| *number != 0 && !is_port(*number));
    causes.extend(on_host.map(|number| Cause::invalid(format!("{field}.hostPort"), &number.into(), range)));
}

fn check_change(pod: &Value, old: &Value) -> Option<Cause> {
    let (mut before, mut after) = (old.get("spec")?.clone(), pod.get("spec")?.clone());
    let kept = list(&before, &["tolerations"])
        .iter()
        .all(|kept| list(&after, &["tolerations"]).contains(kept));
    let grace = |spec: &Value| number(spec, &["terminationGracePeriodSeconds"]).unwrap_or(0);
    let shorter = grace(&before) < 0 && grace(&after) == 1;
    let fewer_gates = list(&after, &["schedulingGates"])
        .iter()
        .all(|gate| list(&before, &["schedulingGates"]).contains(gate));
    for spec in [&mut before, &mut after] {
        for containers in ["containers", "initContainers", "ephemeralContainers"] {
            let Some(Value::Array(containers)) = spec.get_mut(containers) else {
                continue;
            };
            for container in containers {
                object::put(container, "image", None);
            }
        }
        object::put(spec, "activeDeadlineSeconds", None);
        for (name, may_differ) in [
            ("tolerations", kept),
            ("terminationGracePeriodSeconds", shorter),
            ("schedulingGates", fewer_gates),
        ] {
            if may_differ {
                object::put(spec, name, None);
            }
        }
    }
    (before != after).then(|| Cause::forbidden("spec", CHANGEABLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(container: &Value, others: &Value) -> Vec<String> {
        let mut whole = json!({"name": "c", "image": "i"});
        let mut spec = json!({"restartPolicy": "Always"});
        for (into, from) in [(&mut whole, container), (&mut spec, others)] {
            for (name, member) in from.as_object().unwrap() {
                into[name] = member.clone();
            }
        }
        spec["containers"] = json!([whole]);
        check(&json!({"spec": spec}), None)
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn mounts_are_of_volumes_and_apart() {
        let volumes = json!({"volumes": [{"name": "v"}]});
        let mounts = |names: [&str; 2]| json!({"volumeMounts": names.map(|name| json!({"name": name, "mountPath": "/v"}))});
        assert_eq!(
            of(&mounts(["v", "w"]), &volumes),
            [
                "spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique",
            ]
        );
    }

    #[test]
    fn requests_are_within_limits() {
        let none = json!({});
        let resources =
            |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
        let good = resources(
            json!({"cpu": "500m", "a.b/gpu": 1}),
            json!({"cpu": 1, "a.b/gpu": "1"}),
        );
        assert_eq!(of(&good, &none), Vec::<String>::new());
        assert_eq!(
            of(&resources(json!({"cpu": "2"}), json!({"cpu": "1"})), &none),
            [
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
            ]
        );
        assert_eq!(
            of(
                &resources(json!({"a.b/gpu": "1"}), json!({"a.b/gpu": "2"})),
                &none
            ),
            [
                "spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to a.b/gpu limit of 2"
            ]
        );
        assert_eq!(
            of(&resources(json!({"a.b/gpu": "1"}), json!({})), &none),
            [
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"
            ]
        );
    }

    #[test]
    fn ports_of_the_host_are_those_of_the_container() {
        let ports = json!({"ports": [{"containerPort": 80, "hostPort": 81}]});
        assert_eq!(of(&ports, &json!({})), Vec::<String>::new());
        assert_eq!(
            of(&ports, &json!({"hostNetwork": true})),
            [
                "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` \
                 is true"
            ]
        );
    }
}
