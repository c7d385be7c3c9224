//! CustomResourceDefinitions: what the API server itself writes into them.

use serde_json::{Value, json};

use crate::managed;
use crate::object::{self, at, list, text};
use crate::registry::Kind;
use crate::request::WriteOptions;
use crate::schema::Schema;
use crate::state::State;
use crate::status::{Cause, Refusal};

/// Kept on a definition that is being deleted until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether a definition's names were accepted and its kinds are served.
pub fn is_established(definition: &Value) -> bool {
    condition(definition, "Established").is_some_and(|condition| text(condition, &["status"]) == "True")
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    list(definition, &["status", "conditions"])
        .iter()
        .find(|condition| text(condition, &["type"]) == kind)
}

/// Fills in what a definition may leave out.
pub fn default(definition: &mut Value) {
    let kind = text(definition, &["spec", "names", "kind"]).to_owned();
    let names = object::object_mut(definition, &["spec", "names"]);
    if !kind.is_empty() {
        names
            .entry("singular")
            .or_insert_with(|| Value::from(kind.to_lowercase()));
        names
            .entry("listKind")
            .or_insert_with(|| Value::from(format!("{kind}List")));
    }
    let spec = object::object_mut(definition, &["spec"]);
    spec.entry("conversion")
        .or_insert_with(|| json!({"strategy": "None"}));
}

/// The status of a definition that was just created.
pub fn initial_status(definition: &Value) -> Value {
    json!({
        "conditions": null,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": [storage_version(definition)],
    })
}

fn storage_version(definition: &Value) -> String {
    let versions = list(definition, &["spec", "versions"]).iter();
    let mut storage = versions.filter(|version| at(version, &["storage"]) == Some(&Value::Bool(true)));
    storage
        .next()
        .map(|version| text(version, &["name"]).to_owned())
        .unwrap_or_default()
}

/// What is wrong with a definition, as far as it would make the server misbehave.
pub fn check(definition: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = |path: &[&str]| text(definition, path);
    let (group, plural) = (field(&["spec", "group"]), field(&["spec", "names", "plural"]));
    for (path, value) in [
        ("spec.group", group),
        ("spec.names.plural", plural),
        ("spec.names.kind", field(&["spec", "names", "kind"])),
        ("spec.scope", field(&["spec", "scope"])),
    ] {
        if value.is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    let scope = field(&["spec", "scope"]);
    if !scope.is_empty() && !["Cluster", "Namespaced"].contains(&scope) {
        causes.push(Cause::unsupported(
            "spec.scope",
            &format!("\"{scope}\""),
            &["Cluster", "Namespaced"],
        ));
    }
    let name = object::name(definition);
    if !group.is_empty() && !plural.is_empty() && name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), detail));
    }
    causes.extend(check_versions(definition));
    if let Some(old) = old.filter(|old| is_established(old)) {
        for path in [
            &["spec", "group"][..],
            &["spec", "scope"],
            &["spec", "names", "plural"],
        ] {
            if at(definition, path) != at(old, path) {
                causes.push(Cause::invalid(
                    path.join("."),
                    &field(path).into(),
                    "field is immutable",
                ));
            }
        }
    }
    causes
}

fn check_versions(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let versions = list(definition, &["spec", "versions"]);
    let storing = versions
        .iter()
        .filter(|version| at(version, &["storage"]) == Some(&Value::Bool(true)));
    if storing.count() != 1 {
        let shown = at(definition, &["spec", "versions"])
            .cloned()
            .unwrap_or(Value::Null);
        causes.push(Cause::invalid(
            "spec.versions",
            &shown,
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let place = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match at(version, &["schema", "openAPIV3Schema"]) {
            None => causes.push(Cause::required(place, "")),
            Some(schema) => {
                let errors = Schema::from_json_at(schema, &place)
                    .err()
                    .map(|error| error.errors);
                causes.extend(errors.into_iter().flatten().map(Cause::from));
            }
        }
    }
    causes
}

/// Accepts the names of a definition and serves it: what the API server's own controllers do after a write.
pub(crate) fn establish(state: &mut State, kind: &Kind, definition: &Value) -> Result<(), Refusal> {
    if object::is_deleting(definition) {
        return Ok(());
    }
    let mut next = definition.clone();
    let now = state.sources.now_text();
    let conflict = conflicting(state, definition);
    let accepted = conflict.is_none();
    let (reason, message) = match &conflict {
        None => ("NoConflicts", "no conflicts found".to_owned()),
        Some(message) => ("KindConflict", message.clone()),
    };
    set_condition(&mut next, "NamesAccepted", accepted, reason, &message, &now);
    if accepted {
        set_condition(
            &mut next,
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
            &now,
        );
        let names = at(&next, &["spec", "names"]).cloned().unwrap_or(Value::Null);
        object::object_mut(&mut next, &["status"]).insert("acceptedNames".to_owned(), names);
        add_stored_version(&mut next);
    }
    write_status(state, kind, definition, next)
}

/// Says of a definition that is to be deleted that its objects are going.
pub(crate) fn tell_deletion(state: &mut State, kind: &Kind, definition: &Value) -> Result<(), Refusal> {
    let mut next = definition.clone();
    let message = "CustomResource deletion is in progress";
    let now = state.sources.now_text();
    set_condition(
        &mut next,
        "Terminating",
        true,
        "InstanceDeletionInProgress",
        message,
        &now,
    );
    write_status(state, kind, definition, next)
}

/// Writes a definition whose status is another, as the server itself.
fn write_status(state: &mut State, kind: &Kind, old: &Value, mut next: Value) -> Result<(), Refusal> {
    if next == *old {
        return Ok(());
    }
    let (own, now) = (WriteOptions::own(), state.sources.now());
    managed::track(kind, Some(old), &mut next, &own, "status", now);
    state.write(kind, next).map(drop)
}

/// Marks a definition that is to be deleted: it goes when its objects are gone.
pub(crate) fn begin_deletion(definition: &mut Value, now: &str) {
    object::add_finalizer(definition, CLEANUP_FINALIZER);
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(
        definition,
        "Terminating",
        true,
        "InstanceDeletionPending",
        message,
        now,
    );
}

fn add_stored_version(definition: &mut Value) {
    let version = Value::from(storage_version(definition));
    let status = object::object_mut(definition, &["status"]);
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Value::Array(stored) = stored
        && !stored.contains(&version)
    {
        stored.push(version);
    }
}

/// Another definition of the group that already has one of the names.
fn conflicting(state: &State, definition: &Value) -> Option<String> {
    let group = text(definition, &["spec", "group"]);
    let (plural, kind) = (
        text(definition, &["spec", "names", "plural"]),
        text(definition, &["spec", "names", "kind"]),
    );
    let taken = state
        .registry
        .all()
        .any(|other| other.group == group && other.plural != plural && other.kind == kind);
    taken.then(|| format!("\"{kind}\" is already in use"))
}

fn set_condition(definition: &mut Value, kind: &str, holds: bool, reason: &str, message: &str, now: &str) {
    let status = if holds { "True" } else { "False" };
    let conditions = object::object_mut(definition, &["status"])
        .entry("conditions")
        .or_insert(Value::Null);
    if conditions.is_null() {
        *conditions = json!([]);
    }
    let Value::Array(conditions) = conditions else {
        return;
    };
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    match conditions.iter_mut().find(|known| text(known, &["type"]) == kind) {
        Some(known) => {
            if text(known, &["status"]) == status {
                let since = text(known, &["lastTransitionTime"]).to_owned();
                object::put(&mut condition, "lastTransitionTime", Some(since.into()));
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}
