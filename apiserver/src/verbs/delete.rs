//! Delete, one object or many.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Answer, body, find, list};
use crate::definition;
use crate::lifecycle;
use crate::object::{self, at, number, text};
use crate::registry::{Kind, Role};
use crate::request::{Call, Target};
use crate::source::seconds;
use crate::state::State;
use crate::status::{self, Cause, Refusal};
use crate::strategy;

/// What happens to the objects that a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// `DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) dry_run: bool,
    /// Seconds.
    pub(crate) grace: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) propagation: Option<Propagation>,
}

impl DeleteOptions {
    /// Reads the options from the body or, without one, from the query.
    fn parse(call: &Call) -> Result<Self, Refusal> {
        let body = if call.body.is_empty() {
            query_options(call)?
        } else {
            body::parse(call, "")?
        };
        let (api_version, kind) = (text(&body, &["apiVersion"]), text(&body, &["kind"]));
        if !["", "DeleteOptions"].contains(&kind) {
            return Err(Refusal::bad_request(format!(
                "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\""
            )));
        }
        Self::from_value(&body, call)
    }

    /// Reads the options from an object; `dryRun` may stand in the query too.
    pub(super) fn from_value(body: &Value, call: &Call) -> Result<Self, Refusal> {
        let grace = body.get("gracePeriodSeconds").filter(|grace| !grace.is_null());
        if let Some(wrong) = grace.filter(|grace| !grace.is_i64()) {
            return Err(Refusal::bad_request(format!(
                "json: cannot unmarshal {} into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
                body::json_kind(wrong)
            )));
        }
        let mut causes = Vec::new();
        let propagation = propagation(body, &mut causes);
        let dry_run: Vec<&str> = match object::list(body, &["dryRun"]) {
            [] => call.query.all("dryRun").iter().map(String::as_str).collect(),
            list => list.iter().filter_map(Value::as_str).collect(),
        };
        if dry_run.iter().any(|value| *value != "All") {
            let given: Vec<String> = dry_run.iter().map(|value| format!("\"{value}\"")).collect();
            causes.push(Cause::unsupported(
                "dryRun",
                &format!("[{}]", given.join(",")),
                &["All"],
            ));
        }
        if !causes.is_empty() {
            return Err(Refusal::invalid_options("DeleteOptions", causes));
        }
        let precondition = |name: &str| {
            at(body, &["preconditions", name])
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            grace: number(body, &["gracePeriodSeconds"]),
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
            propagation,
        })
    }
}

fn query_options(call: &Call) -> Result<Value, Refusal> {
    let mut options = Value::Object(object::Object::new());
    if let Some(grace) = call.query.number("gracePeriodSeconds")? {
        object::put(&mut options, "gracePeriodSeconds", Some(grace.into()));
    }
    let propagation = call.query.get("propagationPolicy");
    if !propagation.is_empty() {
        object::put(&mut options, "propagationPolicy", Some(propagation.into()));
    }
    if !call.query.get("orphanDependents").is_empty() {
        object::put(
            &mut options,
            "orphanDependents",
            Some(call.query.flag("orphanDependents").into()),
        );
    }
    Ok(options)
}

fn propagation(body: &Value, causes: &mut Vec<Cause>) -> Option<Propagation> {
    let orphan = at(body, &["orphanDependents"]).and_then(Value::as_bool);
    let policy = text(body, &["propagationPolicy"]);
    if orphan.is_some() && !policy.is_empty() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &policy.into(), detail));
        return None;
    }
    match (policy, orphan) {
        ("Background", _) | ("", Some(false)) => Some(Propagation::Background),
        ("Foreground", _) => Some(Propagation::Foreground),
        ("Orphan", _) | ("", Some(true)) => Some(Propagation::Orphan),
        ("", None) => None,
        (other, _) => {
            let choices = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::unsupported(
                "propagationPolicy",
                &format!("\"{other}\""),
                &choices,
            ));
            None
        }
    }
}

/// How far a deletion has come.
pub(crate) enum Deleted {
    /// It has begun; the object waits for its grace period or for finalizers.
    Begun(Arc<Value>),
    /// The object is gone; this is its last state.
    Gone(Arc<Value>),
}

pub(super) fn delete(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let options = DeleteOptions::parse(call)?;
    let kind = &target.kind;
    lifecycle::admit_deletion(kind, &target.name)?;
    let old = find(state, target)?;
    Ok(match remove(state, kind, &old, &options)? {
        Deleted::Begun(value) => Answer::ok(kind, value),
        Deleted::Gone(value) if shows_deleted(kind) => Answer::ok(kind, value),
        Deleted::Gone(value) => Answer::Plain {
            code: 200,
            value: status::deleted(kind, object::name(&value), object::uid(&value)),
        },
    })
}

/// Kinds whose deletion is answered with the object instead of a `Status`.
fn shows_deleted(kind: &Kind) -> bool {
    kind.group.is_empty()
        && ["pods", "services", "serviceaccounts", "resourcequotas"].contains(&kind.plural.as_str())
}

pub(super) fn delete_collection(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    if target.kind.namespaced && target.namespace.is_empty() {
        return Err(Refusal::method_not_allowed());
    }
    let options = DeleteOptions::parse(call)?;
    let listed = list::select(state, target, call)?;
    for item in &listed.items {
        remove(state, &target.kind, &item.value(), &options)?;
    }
    Ok(Answer::List(listed))
}

/// Deletes an object, or begins to.
pub(crate) fn remove(
    state: &mut State,
    kind: &Kind,
    old: &Arc<Value>,
    options: &DeleteOptions,
) -> Result<Deleted, Refusal> {
    check_preconditions(kind, old, options)?;
    let now = state.sources.now();
    let mut next = Value::clone(old);
    set_dependents_finalizer(kind, &mut next, options.propagation);
    if kind.role == Role::Definition && !object::is_deleting(old) {
        definition::begin_deletion(&mut next, &seconds(now));
    }
    let waits = begin(kind, old, &mut next, options, now);
    if options.dry_run {
        return Ok(if waits {
            Deleted::Begun(Arc::new(next))
        } else {
            Deleted::Gone(old.clone())
        });
    }
    if !waits {
        return state.remove(kind, next).map(Deleted::Gone);
    }
    if next == **old {
        return Ok(Deleted::Begun(old.clone()));
    }
    state.write(kind, next).map(Deleted::Begun)
}

fn check_preconditions(kind: &Kind, old: &Value, options: &DeleteOptions) -> Result<(), Refusal> {
    let name = object::name(old);
    let uid = object::uid(old);
    if let Some(given) = options.uid.as_deref().filter(|given| *given != uid) {
        let why = format!(
            "the UID in the precondition ({given}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        );
        return Err(Refusal::precondition(kind, name, &why));
    }
    let version = object::meta_text(old, "resourceVersion");
    if let Some(given) = options.version.as_deref().filter(|given| *given != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({given}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(Refusal::precondition(kind, name, &why));
    }
    Ok(())
}

/// Leaves word for the garbage collector: the one or the other of its finalizers, or neither.
fn set_dependents_finalizer(kind: &Kind, value: &mut Value, propagation: Option<Propagation>) {
    // Namespaces have their own way of deleting what they hold.
    if kind.role == Role::Namespace {
        return;
    }
    let wanted = match propagation {
        None => return,
        Some(Propagation::Background) => None,
        Some(Propagation::Foreground) => Some("foregroundDeletion"),
        Some(Propagation::Orphan) => Some("orphan"),
    };
    for finalizer in ["foregroundDeletion", "orphan"] {
        if Some(finalizer) == wanted {
            object::add_finalizer(value, finalizer);
        } else {
            object::remove_finalizer(value, finalizer);
        }
    }
}

/// Sets the marks of a deletion that has begun; whether something has to be waited for.
fn begin(kind: &Kind, old: &Value, next: &mut Value, options: &DeleteOptions, now: Timestamp) -> bool {
    let grace = if kind.role == Role::Pod {
        pod_grace(old, options.grace)
    } else {
        0
    };
    if object::is_deleting(old) {
        if kind.role == Role::Pod {
            shorten(old, next, options.grace, now);
        }
        return !strategy::may_go(kind, next);
    }
    let held = grace > 0
        || object::finalizers(next).next().is_some()
        || (kind.role == Role::Namespace && !object::list(next, &["spec", "finalizers"]).is_empty());
    if !held {
        return false;
    }
    let until = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    object::set_meta(next, "deletionTimestamp", seconds(until));
    match kind.role {
        Role::Namespace => {
            object::object_mut(next, &["status"]).insert("phase".to_owned(), "Terminating".into());
            return true;
        }
        Role::Definition => return true,
        _ => object::set_meta(next, "deletionGracePeriodSeconds", grace),
    }
    if let Some(generation) = number(next, &["metadata", "generation"]).filter(|generation| *generation > 0) {
        object::set_meta(next, "generation", generation.saturating_add(1));
    }
    true
}

/// The time in seconds that a Pod gets: none when it has ended or was never bound.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = ["Succeeded", "Failed"].contains(&text(pod, &["status", "phase"]));
    if ended || text(pod, &["spec", "nodeName"]).is_empty() {
        return 0;
    }
    asked
        .or_else(|| number(pod, &["spec", "terminationGracePeriodSeconds"]))
        .unwrap_or(30)
        .max(0)
}

/// A second deletion may only shorten the time that is left.
fn shorten(old: &Value, next: &mut Value, asked: Option<i64>, now: Timestamp) {
    let Some(before) = number(old, &["metadata", "deletionGracePeriodSeconds"]) else {
        return;
    };
    let asked = asked.map(|_| pod_grace(old, asked));
    let Some(grace) = asked.filter(|grace| *grace < before) else {
        return;
    };
    let begun = object::meta_text(old, "deletionTimestamp").parse().ok();
    let begun = begun.and_then(|until: Timestamp| until.checked_sub(SignedDuration::from_secs(before)).ok());
    let until = begun.and_then(|begun| begun.checked_add(SignedDuration::from_secs(grace)).ok());
    let until = if grace == 0 { Some(now) } else { until };
    object::set_meta(next, "deletionTimestamp", seconds(until.unwrap_or(now)));
    object::set_meta(next, "deletionGracePeriodSeconds", grace);
}
