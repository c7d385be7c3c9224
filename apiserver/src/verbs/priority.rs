//! The priority of new Pods, which admission takes from their `PriorityClass`.

use serde_json::Value;

use crate::object::{self, at, number, object_mut, text};
use crate::registry::Kind;
use crate::state::State;
use crate::status::Refusal;
use crate::store::{Collection, Key};

/// The classes that every cluster has. Here they are not stored.
const SYSTEM: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

const PREEMPTS: &str = "PreemptLowerPriority";

/// What a class gives to its Pods.
struct Class {
    name: String,
    priority: i64,
    preemption: String,
}

/// Sets the priority of a new Pod: that of its class, or of the class that is the default, or none. A Pod that says it
/// otherwise is refused.
pub(super) fn admit(state: &State, kind: &Kind, pod: &mut Value) -> Result<(), Refusal> {
    let refuse = |why: String| Refusal::forbidden(kind, object::name(pod), &why);
    let class = class(state, text(pod, &["spec", "priorityClassName"])).map_err(refuse)?;
    let given = number(pod, &["spec", "priority"]);
    if given.is_some_and(|given| given != class.priority) {
        return Err(refuse(format!(
            "the integer value of priority ({}) must not be provided in pod spec; priority admission controller computed \
             {} from the given PriorityClass name",
            given.unwrap_or_default(),
            class.priority
        )));
    }
    let given = text(pod, &["spec", "preemptionPolicy"]);
    if !given.is_empty() && given != class.preemption {
        return Err(refuse(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {} from the given PriorityClass name",
            class.preemption
        )));
    }
    let spec = object_mut(pod, &["spec"]);
    if !class.name.is_empty() {
        spec.insert("priorityClassName".to_owned(), class.name.into());
    }
    spec.insert("priority".to_owned(), class.priority.into());
    spec.insert("preemptionPolicy".to_owned(), class.preemption.into());
    Ok(())
}

/// The class of a name; without a name the one that is the default, of several that with the lowest value.
fn class(state: &State, name: &str) -> Result<Class, String> {
    let classes = Collection::new("scheduling.k8s.io", "priorityclasses");
    if name.is_empty() {
        let all = state.store.snapshot(&classes);
        let default = all
            .objects
            .iter()
            .map(|(_, class)| class.value())
            .filter(|class| at(class, &["globalDefault"]) == Some(&Value::Bool(true)))
            .min_by_key(|class| number(class, &["value"]));
        return Ok(default.map_or_else(|| builtin("", 0), |class| read(&class)));
    }
    if let Some(class) = state.store.get(&classes, &Key::new("", name)) {
        return Ok(read(&class));
    }
    let system = SYSTEM.iter().find(|(known, _)| *known == name);
    let (name, priority) = system.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?;
    Ok(builtin(name, *priority))
}

fn builtin(name: &str, priority: i64) -> Class {
    Class {
        name: name.to_owned(),
        priority,
        preemption: PREEMPTS.to_owned(),
    }
}

fn read(class: &Value) -> Class {
    let policy = text(class, &["preemptionPolicy"]);
    Class {
        preemption: if policy.is_empty() { PREEMPTS } else { policy }.to_owned(),
        ..builtin(object::name(class), number(class, &["value"]).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Server, Sources};
    use serde_json::json;

    fn admitted(server: &Server, spec: &Value) -> Result<Value, String> {
        let state = server.state();
        let kind = state.registry.get("", "v1", "pods").unwrap();
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec});
        admit(&state, &kind, &mut pod)
            .map(|()| pod["spec"].clone())
            .map_err(|refusal| refusal.message)
    }

    #[test]
    fn pods_have_the_priority_of_their_class() {
        let server = Server::new(Sources::system(), Limits::default());
        assert_eq!(
            admitted(&server, &json!({})).unwrap(),
            json!({"priority": 0, "preemptionPolicy": PREEMPTS})
        );
        assert_eq!(
            admitted(&server, &json!({"priorityClassName": "nope"})).unwrap_err(),
            "pods \"p\" is forbidden: no PriorityClass with name nope was found"
        );
        let critical = admitted(&server, &json!({"priorityClassName": "system-node-critical"})).unwrap();
        assert_eq!(critical["priority"], 2_000_001_000);
        let class = json!({"metadata": {"name": "low"}, "value": -5, "globalDefault": true, "preemptionPolicy": "Never"});
        {
            let mut state = server.state();
            let kind = state
                .registry
                .get("scheduling.k8s.io", "v1", "priorityclasses")
                .unwrap();
            state.write(&kind, class).unwrap();
        }
        let expected = json!({"priorityClassName": "low", "priority": -5, "preemptionPolicy": "Never"});
        assert_eq!(admitted(&server, &json!({})).unwrap(), expected);
        assert!(
            admitted(&server, &json!({"priority": 1}))
                .unwrap_err()
                .contains("must not be provided")
        );
    }
}
