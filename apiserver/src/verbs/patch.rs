//! Patch, in its four content types.

use serde_json::Value;

use super::create::{self, Writing};
use super::{Answer, body, find, update};
use crate::managed;
use crate::meta;
use crate::object;
use crate::patch::{PatchError, json, merge, strategic};
use crate::registry::Kind;
use crate::request::{Call, Target, Validation, WriteOptions};
use crate::schema::Nulls;
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::structs;
use crate::topology::TypeInfo;
use crate::typed::Misfit;

pub(super) fn patch(
    state: &mut State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let kind = &target.kind;
    check_media_type(kind, &call.media_type())?;
    let options = WriteOptions::parse(call, "PatchOptions")?;
    if call.media_type() == APPLY {
        return apply(state, target, call, &options, warnings);
    }
    let types = crate::topology::builtin(&kind.api_version(), &kind.kind);
    let old = find(state, target)?;
    let mut current = patchable(call, &crate::convert::to_served(kind, &old));
    body::add_type(kind, &mut current);
    let mut new = apply_to(call, &current, types.as_ref())?;
    let refuse = |misfit: &Misfit| {
        let why = match call.media_type().as_str() {
            STRATEGIC => misfit.converted(),
            _ => misfit.decoded(),
        };
        let mut whole = crate::convert::to_served(kind, &old).into_owned();
        body::add_type(kind, &mut whole);
        Refusal::invalid_patch(&quoted(kind, call, &whole, types.as_ref()), &why)
    };
    check_patched(kind, &new, &refuse)?;
    body::conform(
        kind,
        &mut new,
        &[],
        options.validation,
        Nulls::Dropped,
        &refuse,
        warnings,
    )?;
    update::check_name(target, &new)?;
    create::place_existing(target, &mut new)?;
    warnings.extend(meta::warnings(kind, Some(&old), &new));
    let written = update::store(state, target, &old, new, &options, Writing::Update)?;
    Ok(Answer::ok(kind, written))
}

/// The object that a patch is applied to. Managed fields that the patch doesn't name are left out: they are most of many
/// objects, and are worked out anew from those of the old one. A JSON patch may ask for the metadata as a whole.
fn patchable(call: &Call, old: &Value) -> Value {
    const NAME: &str = "managedFields";
    let names = |body: &[u8]| body.windows(NAME.len()).any(|part| part == NAME.as_bytes());
    let Value::Object(members) = old else {
        return old.clone();
    };
    let by_paths = call.media_type() == "application/json-patch+json";
    // an escape may hide the name
    if by_paths || names(&call.body) || call.body.contains(&b'\\') {
        return old.clone();
    }
    let kept = members.iter().map(|(name, member)| {
        let member = match member {
            Value::Object(metadata) if name == "metadata" => {
                let kept = metadata.iter().filter(|(name, _)| *name != NAME);
                kept.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            other => other.clone(),
        };
        (name.clone(), member)
    });
    kept.collect()
}

/// Server-side apply: creates the object, or merges the configuration into it.
fn apply(
    state: &mut State,
    target: &Target,
    call: &Call,
    options: &WriteOptions,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let kind = &target.kind;
    let configuration = body::parse_yaml(&call.body)?;
    check_configuration(target, &configuration)?;
    let live = match find(state, target) {
        Err(refusal) if !target.subresource.is_empty() => return Err(refusal),
        found => found.ok(),
    };
    let typed = live.as_deref().map(|live| {
        let mut live = live.clone();
        body::add_type(kind, &mut live);
        live
    });
    let now = state.sources.now();
    let mut new = managed::apply(
        kind,
        typed.as_ref(),
        &configuration,
        options,
        &target.subresource,
        now,
    )?;
    let made = new.clone();
    let refuse = |misfit: &Misfit| Refusal::invalid_patch(&structs::plain(&made), &misfit.decoded());
    body::conform(
        kind,
        &mut new,
        &[],
        Validation::Ignore,
        Nulls::Kept,
        &refuse,
        warnings,
    )?;
    object::set_meta(&mut new, "name", target.name.as_str());
    let Some(live) = live else {
        let created = create::insert(state, target, new, options, Writing::Apply)?;
        return Ok(Answer::created(kind, created));
    };
    let written = update::store(state, target, &live, new, options, Writing::Apply)?;
    Ok(Answer::ok(kind, written))
}

/// An applied configuration says what it is, and nothing else than the path does.
fn check_configuration(target: &Target, configuration: &Value) -> Result<(), Refusal> {
    let kind = &target.kind;
    let (api_version, name) = (
        object::text(configuration, &["apiVersion"]),
        object::text(configuration, &["kind"]),
    );
    if api_version != kind.api_version() || name != kind.kind {
        let slash = if api_version.contains('/') { "" } else { "/" };
        return Err(Refusal::bad_request(format!(
            "invalid object type: {slash}{api_version}, Kind={name}"
        )));
    }
    let given = object::namespace(configuration);
    if !given.is_empty() && given != target.namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if object::name(configuration).is_empty() {
        Ok(())
    } else {
        update::check_name(target, configuration)
    }
}

/// A patch cannot make something else of an object.
fn check_patched(kind: &Kind, new: &Value, refuse: &dyn Fn(&Misfit) -> Refusal) -> Result<(), Refusal> {
    let (api_version, name) = (object::text(new, &["apiVersion"]), object::text(new, &["kind"]));
    if kind.is_custom() && api_version != kind.api_version() {
        let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
        let made = Kind {
            group: group.to_owned(),
            ..kind.clone()
        };
        let detail = format!("must be {}", kind.api_version());
        let cause = Cause::invalid("apiVersion", &api_version.into(), &detail);
        return Err(Refusal::invalid(&made, object::name(new), vec![cause]));
    }
    if kind.is_custom() {
        return body::check_custom_type(kind, new, api_version, name);
    }
    if api_version == kind.api_version() && name == kind.kind {
        return Ok(());
    }
    let why = format!(
        "no kind \"{name}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\""
    );
    Err(refuse(&Misfit::Other(why)))
}

/// The content types that a kind can be patched with.
pub(super) fn check_media_type(kind: &Kind, media_type: &str) -> Result<(), Refusal> {
    match media_type {
        "application/json-patch+json" | "application/merge-patch+json" | APPLY => Ok(()),
        STRATEGIC if !kind.is_custom() => Ok(()),
        STRATEGIC => Err(Refusal::unsupported_media(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        _ => Err(Refusal::unsupported_media("415: Unsupported Media Type").without_object()),
    }
}

/// The content type of strategic merge patches.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// The content type of server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// Applies the body of a request to an object.
pub(super) fn apply_to(call: &Call, current: &Value, types: Option<&TypeInfo>) -> Result<Value, Refusal> {
    let patch: Value = serde_json::from_slice(&call.body).map_err(|error| {
        Refusal::bad_request(format!(
            "error decoding patch: {}",
            body::json_error(&call.body, &error)
        ))
    })?;
    let patched = match (call.media_type().as_str(), types) {
        ("application/json-patch+json", _) => json::apply(current, &patch),
        (STRATEGIC, Some(types)) => strategic::apply(current, &patch, types),
        _ => merge::apply(current, &patch),
    };
    patched.map_err(|error| refusal(&error))
}

/// What the API server shows of a patch whose result it cannot read: of a strategic patch the patch itself, of the others
/// the result. There members stand by name where the patch went, and as they are declared everywhere else.
fn quoted(kind: &Kind, call: &Call, current: &Value, types: Option<&TypeInfo>) -> String {
    let patch: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    if call.media_type() == STRATEGIC {
        return structs::go_map(&patch);
    }
    let result = apply_to(call, current, types).unwrap_or_default();
    let touches = |operation: &Value| object::text(operation, &["path"]).starts_with("/metadata");
    let is_touched = match &patch {
        Value::Array(operations) => operations.iter().any(touches),
        patch => patch.get("metadata").is_some(),
    };
    if kind.is_custom() {
        structs::plain(&result)
    } else {
        structs::object(&result, !is_touched)
    }
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
