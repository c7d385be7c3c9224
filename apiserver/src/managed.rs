//! Who wrote which field: `metadata.managedFields`, and the apply that rests on it.

use jiff::Timestamp;
use serde_json::Value;

use crate::convert;
use crate::fields::{self, ApplyError, ResetFields, Write};
use crate::object;
use crate::registry::{Kind, Role};
use crate::request::WriteOptions;
use crate::status::{Cause, Refusal};
use crate::topology::{self, TypeInfo};

/// What is known of the fields of a kind.
fn types(kind: &Kind) -> TypeInfo {
    let builtin = match &kind.custom {
        Some(custom) => return custom.types.clone(),
        None => topology::builtin(&kind.api_version(), &kind.kind),
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
    if kind.role == Role::Event {
        // Both groups of Events are stored in the form of the core group, and recorded in their own.
        *new = convert::to_served(kind, new).into_owned();
        let old = old.map(|old| convert::to_served(kind, old));
        fields::track_update(old.as_deref(), new, &write, &types(kind));
        convert::event_to_stored(kind, new);
        return;
    }
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
    let live = live.map(|live| convert::to_served(kind, live));
    let applied = fields::apply(
        live.as_deref(),
        configuration,
        &write,
        options.force,
        &types(kind),
    );
    applied.map_err(|error| match error {
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
