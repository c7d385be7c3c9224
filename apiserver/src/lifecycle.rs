//! Namespaces and definitions admit new objects, or no longer.

use serde_json::Value;

use crate::object;
use crate::registry::{Kind, Role};
use crate::state::State;
use crate::status::Refusal;
use crate::store::{Collection, Key};

/// Namespaces that a server always has.
pub(crate) const PERMANENT: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Those of them that cannot be deleted.
const PROTECTED: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Refuses to create an object where its definition or its namespace is missing or going away.
pub(crate) fn admit(state: &State, kind: &Kind, value: &Value) -> Result<(), Refusal> {
    if kind.is_terminating() {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Refusal::forbidden(kind, object::name(value), why));
    }
    let namespace = object::namespace(value);
    if !kind.namespaced {
        return Ok(());
    }
    let namespaces = Collection::new("", "namespaces");
    let Some(found) = state.store.get(&namespaces, &Key::new("", namespace)) else {
        return match state.registry.get("", "v1", "namespaces") {
            Some(kind) => Err(Refusal::not_found(&kind, namespace)),
            None => Ok(()),
        };
    };
    if object::is_deleting(&found) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = format!("namespace {namespace} is being terminated");
        let refusal = Refusal::forbidden(kind, object::name(value), &why);
        return Err(refusal.caused_by("NamespaceTerminating", &cause, "metadata.namespace"));
    }
    Ok(())
}

/// Refuses to delete the namespaces that must be there.
pub(crate) fn admit_deletion(kind: &Kind, name: &str) -> Result<(), Refusal> {
    if kind.role == Role::Namespace && PROTECTED.contains(&name) {
        return Err(Refusal::forbidden(
            kind,
            name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}
