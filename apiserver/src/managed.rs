//! Who wrote which field: `metadata.managedFields`, and the apply that rests on it.

use jiff::Timestamp;
use serde_json::Value;

use crate::fields::{self, ApplyError, ResetFields, Write};
use crate::object;
use crate::registry::{Kind, Role};
use crate::request::WriteOptions;
use crate::status::{Cause, Refusal};
use crate::topology::{self, TypeInfo};

/// What is known of the fields of a kind, in the form in which its objects are stored.
fn types(kind: &Kind) -> TypeInfo {
    let builtin = match (&kind.custom, kind.role) {
        (Some(custom), _) => return custom.types.clone(),
        // Both groups of Events are stored in the form of the core group.
        (None, Role::Event) => topology::builtin("v1", "Event"),
        (None, _) => topology::builtin(&kind.api_version(), &kind.kind),
    };
    builtin.unwrap_or_else(TypeInfo::deduced)
}

fn reset(kind: &Kind, subresource: &str) -> ResetFields {
    if kind.is_custom() {
        return ResetFields::custom(kind.status != crate::registry::StatusRule::None, subresource);
    }
    ResetFields::builtin(&kind.api_version(), &kind.kind, subresource)
}

/// Records that a create, replace or patch writes `new` over `old`.
pub(crate) fn track(
    kind: &Kind,
    old: Option<&Value>,
    new: &mut Value,
    options: &WriteOptions,
    subresource: &str,
    now: Timestamp,
) {
    let write = Write {
        manager: &options.manager,
        api_version: &kind.api_version(),
        subresource,
        reset: &reset(kind, subresource),
        now,
    };
    fields::track_update(old, new, &write, &types(kind));
    if subresource == "scale" {
        forget_time_of_scale(new);
    }
}

/// The API server notes no time for what is written through `scale`; entries without one come first.
fn forget_time_of_scale(value: &mut Value) {
    let entries = object::meta_mut(value)
        .get_mut("managedFields")
        .and_then(Value::as_array_mut);
    let Some(entries) = entries else { return };
    for entry in entries
        .iter_mut()
        .filter(|entry| object::text(entry, &["subresource"]) == "scale")
    {
        object::put(entry, "time", None);
    }
    entries.sort_by_key(|entry| {
        let text = |name: &str| object::text(entry, &[name]).to_owned();
        (text("operation") != "Apply", text("time"))
    });
}

/// Merges an applied configuration into an object, or into nothing.
pub(crate) fn apply(
    kind: &Kind,
    live: Option<&Value>,
    configuration: &Value,
    options: &WriteOptions,
    subresource: &str,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let write = Write {
        manager: &options.manager,
        api_version: &kind.api_version(),
        subresource,
        reset: &reset(kind, subresource),
        now,
    };
    fields::apply(live, configuration, &write, options.force, &types(kind)).map_err(|error| match error {
        ApplyError::Conflict(conflicts) => {
            let causes = conflicts.causes().map(|(reason, message, field)| Cause {
                reason,
                message,
                field,
            });
            Refusal::apply_conflict(conflicts.to_string(), causes.collect())
        }
        ApplyError::BadRequest(message) => Refusal::bad_request(message),
        ApplyError::Internal(message) => Refusal::plain_error(message),
    })
}
