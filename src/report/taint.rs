//! The startup taint: it keeps Pods of others off a new node until the node's daemons run.

use k8s_openapi::api::core::v1::{Node, Taint};

/// The taints of a node without the one of this key; `None` if the node does not have it.
#[must_use]
pub fn without(node: &Node, key: &str) -> Option<Vec<Taint>> {
    let taints = node.spec.as_ref()?.taints.as_ref()?;
    let left: Vec<Taint> = taints.iter().filter(|t| t.key != key).cloned().collect();
    (left.len() < taints.len()).then_some(left)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(taints: &serde_json::Value) -> Node {
        serde_json::from_value(json!({ "spec": { "taints": taints } })).unwrap()
    }

    #[test]
    fn only_the_startup_taint_is_taken_off_whatever_its_effect_or_value() {
        let tainted = node(&json!([
            { "key": "example.com/starting", "effect": "NoSchedule", "value": "x" },
            { "key": "gpu", "effect": "NoSchedule" },
            { "key": "example.com/starting", "effect": "NoExecute" },
        ]));
        let left = without(&tainted, "example.com/starting").unwrap();
        assert_eq!(left.iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), ["gpu"]);
        assert!(without(&tainted, "other").is_none());
        assert!(without(&Node::default(), "other").is_none());
    }
}
