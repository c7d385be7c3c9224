//! Create.

use std::sync::Arc;

use serde_json::Value;

use super::{Answer, body, priority};
use crate::lifecycle;
use crate::meta;
use crate::object;
use crate::registry::{Kind, Role};
use crate::request::{Call, Target, WriteOptions};
use crate::state::State;
use crate::status::Refusal;
use crate::store::Key;
use crate::{definition, managed, strategy, typed};

/// Objects larger than this are refused as by etcd: 1.5 MiB.
const STORED_MAX_BYTES: usize = 1_572_864;

/// Attempts to find a name that is not taken.
const NAME_ATTEMPTS: usize = 8;

pub(super) fn create(
    state: &mut State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let value = body::decode(call, &target.kind, options.validation, warnings)?;
    warnings.extend(meta::warnings(&target.kind, None, &value));
    insert(state, target, value, &options, Writing::Update).map(|value| Answer::created(&target.kind, value))
}

/// How a write counts in the record of who owns what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Create, replace and patch.
    Update,
    /// Apply, which has recorded itself.
    Apply,
    /// A write that nobody is the owner of.
    Unrecorded,
}

/// Creates an object that was read from a body, or made by an apply.
pub(crate) fn insert(
    state: &mut State,
    target: &Target,
    mut value: Value,
    options: &WriteOptions,
    written_by: Writing,
) -> Result<Arc<Value>, Refusal> {
    let kind = &*target.kind;
    place(target, &mut value)?;
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        object::take_meta(&mut value, field);
    }
    lifecycle::admit(state, kind, &value)?;
    let generated = name(state, kind, &mut value);
    object::set_meta(&mut value, "uid", state.sources.uid());
    object::set_meta(&mut value, "creationTimestamp", state.sources.now_text());
    typed::defaults::apply(kind, &mut value);
    if written_by == Writing::Update {
        managed::track(kind, None, &mut value, options, "", state.sources.now());
    }
    if kind.role == Role::Pod {
        priority::admit(state, kind, &mut value)?;
    }
    strategy::prepare_create(kind, &mut value);
    check(kind, &value, None, "")?;
    if kind.custom.is_some() {
        crate::schema::settle(&mut value);
    }
    check_size(&value)?;
    let key = Key::new(object::namespace(&value), object::name(&value));
    if let Some(existing) = state.store.get(&kind.collection, &key) {
        return Err(taken(kind, &existing, generated));
    }
    if options.dry_run {
        return Ok(Arc::new(value));
    }
    let written = state.write(kind, value)?;
    if kind.role == Role::Definition {
        definition::establish(state, kind, &written)?;
    }
    Ok(written)
}

/// The object goes where the path says; a body that says otherwise is wrong.
pub(super) fn place(target: &Target, value: &mut Value) -> Result<(), Refusal> {
    if !value.get("metadata").is_some_and(Value::is_object) {
        object::put(value, "metadata", Some(Value::Object(object::Object::new())));
    }
    let given = object::namespace(value);
    if !given.is_empty() && given != target.namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if target.kind.namespaced {
        object::set_meta(value, "namespace", target.namespace.as_str());
    }
    if !object::meta_text(value, "resourceVersion").is_empty() && target.name.is_empty() {
        return Err(Refusal::plain_error(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    object::take_meta(value, "resourceVersion");
    Ok(())
}

/// Gives a name where only its beginning was given; whether it did.
fn name(state: &mut State, kind: &Kind, value: &mut Value) -> bool {
    let base = object::meta_text(value, "generateName").to_owned();
    if base.is_empty() || !object::name(value).is_empty() {
        return false;
    }
    // Names have at most 63 characters then, five of them random.
    let base: String = base.chars().take(58).collect();
    for _ in 0..NAME_ATTEMPTS {
        object::set_meta(value, "name", format!("{base}{}", state.sources.suffix()));
        let key = Key::new(object::namespace(value), object::name(value));
        if !state.store.has(&kind.collection, &key) {
            break;
        }
    }
    true
}

/// What is wrong with an object that is to be stored.
pub(super) fn check(
    kind: &Kind,
    value: &Value,
    old: Option<&Value>,
    subresource: &str,
) -> Result<(), Refusal> {
    let mut causes = meta::check(kind, value);
    if let Some(old) = old {
        causes.extend(meta::check_update(old, value));
    }
    causes.extend(typed::check(kind, value, old, subresource));
    if kind.role == Role::Definition {
        causes.extend(definition::check(value, old));
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = object::name(value);
    if kind.role == Role::Event {
        // What is refused is the Event that would be stored.
        let stored = Kind {
            group: String::new(),
            ..kind.clone()
        };
        return Err(Refusal::invalid(&stored, name, causes));
    }
    Err(Refusal::invalid(kind, name, causes))
}

/// Refuses what etcd would not take.
pub(super) fn check_size(value: &Value) -> Result<(), Refusal> {
    if at_most(value) <= STORED_MAX_BYTES {
        return Ok(());
    }
    let mut counted = Count { bytes: 0 };
    // A count that has gone too far stops the writing.
    if serde_json::to_writer(&mut counted, value).is_err() {
        return Err(Refusal::plain_error("etcdserver: request is too large"));
    }
    Ok(())
}

/// More bytes than the JSON of a value can have: what is far from the limit is not written out to be counted.
fn at_most(value: &Value) -> usize {
    // A character may become six, such as \u0001.
    let text = |text: &str| text.len().saturating_mul(6).saturating_add(4);
    match value {
        Value::Null | Value::Bool(_) => 6,
        Value::Number(_) => 32,
        Value::String(string) => text(string),
        Value::Array(items) => items
            .iter()
            .fold(2, |sum, item| sum.saturating_add(at_most(item)).saturating_add(1)),
        Value::Object(members) => members.iter().fold(2, |sum, (name, member)| {
            let sum = sum.saturating_add(text(name));
            sum.saturating_add(at_most(member)).saturating_add(1)
        }),
    }
}

/// Counts what is written to it, up to the limit.
struct Count {
    bytes: usize,
}

impl std::io::Write for Count {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.bytes = self.bytes.saturating_add(part.len());
        if self.bytes > STORED_MAX_BYTES {
            Err(std::io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(part.len())
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn taken(kind: &Kind, existing: &Value, generated: bool) -> Refusal {
    let name = object::name(existing);
    let refusal = Refusal::already_exists(kind, name);
    if generated {
        let message = format!(
            "{}, the server was not able to generate a unique name for the object",
            refusal.message
        );
        return Refusal { message, ..refusal };
    }
    if object::is_deleting(existing) {
        return Refusal {
            message: format!("object is being deleted: {}", refusal.message),
            ..refusal
        };
    }
    refusal
}

/// As [`place`], for an object that is to replace another.
pub(super) fn place_existing(target: &Target, value: &mut Value) -> Result<(), Refusal> {
    let version = object::take_meta(value, "resourceVersion");
    place(target, value)?;
    if let Some(version) = version {
        object::set_meta(value, "resourceVersion", version);
    }
    Ok(())
}
