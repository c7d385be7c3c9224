//! Patch, in its four content types.

use serde_json::Value;

use super::{Answer, body, create, find, update};
use crate::object;
use crate::patch::{PatchError, json, merge, strategic};
use crate::registry::Kind;
use crate::request::{Call, Target, WriteOptions};
use crate::state::State;
use crate::status::Refusal;
use crate::topology::TypeInfo;

pub(super) fn patch(
    state: &mut State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let kind = &target.kind;
    check_media_type(kind, &call.media_type())?;
    let options = WriteOptions::parse(call, "PatchOptions")?;
    let types = crate::topology::builtin(&kind.api_version(), &kind.kind);
    let old = find(state, target)?;
    let mut current = crate::convert::to_served(kind, &old).into_owned();
    body::add_type(kind, &mut current);
    let mut new = apply_to(call, &current, types.as_ref())?;
    check_patched(kind, &new)?;
    body::conform(kind, &mut new, &[], options.validation, warnings)?;
    update::check_name(target, &new)?;
    create::place_existing(target, &mut new)?;
    let written = update::store(state, target, &old, new, &options)?;
    Ok(Answer::ok(kind, written))
}

/// A patch cannot make something else of an object.
fn check_patched(kind: &Kind, new: &Value) -> Result<(), Refusal> {
    let (api_version, name) = (object::text(new, &["apiVersion"]), object::text(new, &["kind"]));
    if kind.is_custom() {
        return body::check_custom_type(kind, new, api_version, name);
    }
    if api_version == kind.api_version() && name == kind.kind {
        return Ok(());
    }
    let why = format!(
        "no kind \"{name}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\""
    );
    Err(Refusal::invalid_patch(new, &why))
}

/// The content types that a kind can be patched with.
pub(super) fn check_media_type(kind: &Kind, media_type: &str) -> Result<(), Refusal> {
    match media_type {
        "application/json-patch+json" | "application/merge-patch+json" => Ok(()),
        "application/strategic-merge-patch+json" if !kind.is_custom() => Ok(()),
        "application/strategic-merge-patch+json" => Err(Refusal::unsupported_media(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Refusal::unsupported_media("415: Unsupported Media Type").without_object()),
    }
}

/// Applies the body of a request to an object.
pub(super) fn apply_to(call: &Call, current: &Value, types: Option<&TypeInfo>) -> Result<Value, Refusal> {
    let patch: Value = serde_json::from_slice(&call.body).map_err(|error| {
        Refusal::bad_request(format!("error decoding patch: {}", body::json_error(&error)))
    })?;
    let patched = match (call.media_type().as_str(), types) {
        ("application/json-patch+json", _) => json::apply(current, &patch),
        ("application/strategic-merge-patch+json", Some(types)) => strategic::apply(current, &patch, types),
        _ => merge::apply(current, &patch),
    };
    patched.map_err(|error| refusal(&error))
}

fn refusal(error: &PatchError) -> Refusal {
    match error {
        PatchError::BadRequest(message) => Refusal::bad_request(message.clone()),
        PatchError::TooManyOperations(_) => Refusal::too_large(error.to_string()),
        PatchError::Unprocessable { detail } => {
            tracing::debug!(detail, "a patch did not fit");
            Refusal::unprocessable()
        }
        PatchError::Internal(message) => Refusal::plain_error(message.clone()),
    }
}
