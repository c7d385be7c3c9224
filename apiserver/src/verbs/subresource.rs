//! Scale, binding, eviction, and the reviews, which are asked like objects but not stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::create::Writing;
use super::{Answer, body, delete, find, patch, update};
use crate::object::{self, at, has, list, number, object_mut, text};
use crate::registry::{Kind, Role, ScalePaths};
use crate::request::{Call, Target, WriteOptions};
use crate::selector::{self, Labels};
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::store::Collection;

/// The user that this server takes everybody for.
const USER: &str = "admin";

/// Answers a review: everybody may do everything.
pub(super) fn review(
    state: &State,
    target: &Target,
    call: &Call,
    warnings: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let mut value = body::decode(call, &target.kind, options.validation, warnings)?;
    let user = json!({"username": USER, "groups": ["system:masters", "system:authenticated"]});
    let status = match target.kind.kind.as_str() {
        "SelfSubjectReview" => {
            object::set_meta(&mut value, "creationTimestamp", state.sources.now_text());
            json!({"userInfo": user})
        }
        "TokenReview" => json!({"authenticated": true, "user": user}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"allowed": true}),
    };
    object::meta_mut(&mut value);
    object::put(&mut value, "status", Some(status));
    Ok(Answer::Plain { code: 201, value })
}

fn scale_paths(kind: &Kind) -> Result<&ScalePaths, Refusal> {
    kind.scale.as_ref().ok_or_else(Refusal::no_such_resource)
}

fn at_path<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The `Scale` of an object.
fn scale_of(kind: &Kind, value: &Value) -> Result<Value, Refusal> {
    let paths = scale_paths(kind)?;
    let replicas = |path: &[String]| at_path(value, path).and_then(Value::as_i64).unwrap_or(0);
    let mut meta = object::Object::new();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(member) = at(value, &["metadata", name]) {
            meta.insert(name.to_owned(), member.clone());
        }
    }
    let mut status = json!({"replicas": replicas(&paths.status_replicas)});
    match paths.selector.as_ref().and_then(|path| at_path(value, path)) {
        Some(Value::String(selector)) if !selector.is_empty() => {
            object::put(&mut status, "selector", Some(selector.as_str().into()));
        }
        Some(selector @ Value::Object(_)) => {
            object::put(&mut status, "selector", Some(selector::text(selector).into()));
        }
        _ => {}
    }
    let wanted = replicas(&paths.spec_replicas);
    let spec = if wanted == 0 {
        json!({})
    } else {
        json!({"replicas": wanted})
    };
    Ok(json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": spec, "status": status,
    }))
}

pub(super) fn get_scale(state: &State, target: &Target) -> Result<Answer, Refusal> {
    let value = find(state, target)?;
    Ok(Answer::Plain {
        code: 200,
        value: scale_of(&target.kind, &value)?,
    })
}

pub(super) fn set_scale(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let kind = &target.kind;
    let is_patch = call.method == http::Method::PATCH;
    let options = WriteOptions::parse(call, if is_patch { "PatchOptions" } else { "UpdateOptions" })?;
    let old = find(state, target)?;
    let scale = if is_patch {
        let current = scale_of(kind, &old)?;
        patch::check_media_type(kind, &call.media_type())?;
        patch::apply_to(call, &current, None)?
    } else {
        body::parse(call, "Scale")?
    };
    update::check_name(target, &scale)?;
    let replicas = number(&scale, &["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 && !kind.is_custom() {
        let cause = Cause::invalid(
            "spec.replicas",
            &replicas.into(),
            "must be greater than or equal to 0",
        );
        let scaled = Kind {
            group: "autoscaling".to_owned(),
            kind: "Scale".to_owned(),
            ..Kind::clone(kind)
        };
        return Err(Refusal::invalid(&scaled, &target.name, vec![cause]));
    }
    let mut new = Value::clone(&old);
    match object::meta_text(&scale, "resourceVersion") {
        "" => {}
        version => object::set_meta(&mut new, "resourceVersion", version),
    }
    let paths = scale_paths(kind)?;
    if let Some((last, parents)) = paths.spec_replicas.split_last() {
        let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
        object_mut(&mut new, &parents).insert(last.clone(), replicas.into());
    }
    body::add_type(kind, &mut new);
    let whole = Target {
        subresource: "scale".to_owned(),
        ..target.clone()
    };
    let written = update::store(state, &whole, &old, new, &options, Writing::Update)?;
    Ok(Answer::Plain {
        code: 200,
        value: scale_of(kind, &written)?,
    })
}

fn done() -> Answer {
    let value =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Answer::Plain { code: 201, value }
}

/// The body of a subresource of a Pod names the Pod.
fn check_url_name(target: &Target, body: &Value, kind: &str) -> Result<(), Refusal> {
    if object::name(body) == target.name {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "name in URL does not match name in {kind} object"
    )))
}

/// Binds a Pod to a node.
pub(super) fn bind(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let binding = body::parse(call, "Binding")?;
    check_url_name(target, &binding, "Binding")?;
    let old = find(state, target)?;
    let node = text(&binding, &["target", "name"]);
    let of_kind = text(&binding, &["target", "kind"]);
    if !of_kind.is_empty() && of_kind != "Node" {
        let cause = Cause::unsupported("target.kind", &format!("\"{of_kind}\""), &["Node", "<empty>"]);
        let kind = Kind {
            kind: "Binding".to_owned(),
            ..Kind::clone(&target.kind)
        };
        return Err(Refusal::invalid(&kind, &target.name, vec![cause]));
    }
    let refuse = |why: String| {
        let kind = Kind {
            plural: "pods/binding".to_owned(),
            ..Kind::clone(&target.kind)
        };
        Refusal::conflict(&kind, &target.name, &why)
    };
    if object::is_deleting(&old) {
        return Err(refuse(format!(
            "pod {} is being deleted, cannot be assigned to a host",
            target.name
        )));
    }
    let bound = text(&old, &["spec", "nodeName"]);
    if !bound.is_empty() {
        return Err(refuse(format!(
            "pod {} is already assigned to node \"{bound}\"",
            target.name
        )));
    }
    let mut new = Value::clone(&old);
    object_mut(&mut new, &["spec"]).insert("nodeName".to_owned(), node.into());
    set_pod_condition(
        &mut new,
        &json!({"type": "PodScheduled", "status": "True"}),
        &state.sources.now_text(),
    );
    for map in ["annotations", "labels"] {
        for (name, value) in at(&binding, &["metadata", map])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            object_mut(&mut new, &["metadata", map]).insert(name.clone(), value.clone());
        }
    }
    if !options.dry_run {
        state.write(&target.kind, new)?;
    }
    Ok(done())
}

fn set_pod_condition(pod: &mut Value, condition: &Value, now: &str) {
    let mut condition = condition.clone();
    object::put(&mut condition, "lastProbeTime", Some(Value::Null));
    object::put(&mut condition, "lastTransitionTime", Some(now.into()));
    put_condition(pod, condition);
}

/// Puts a condition in place of the one of its type.
fn put_condition(value: &mut Value, condition: Value) {
    let conditions = object_mut(value, &["status"])
        .entry("conditions")
        .or_insert_with(|| json!([]));
    let Value::Array(conditions) = conditions else {
        return;
    };
    conditions.retain(|known| text(known, &["type"]) != text(&condition, &["type"]));
    conditions.push(condition);
}

/// Evicts a Pod, if its disruption budget allows.
pub(super) fn evict(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let eviction = body::parse(call, "Eviction")?;
    check_url_name(target, &eviction, "Eviction")?;
    let pod = find(state, target)?;
    let options = eviction
        .get("deleteOptions")
        .cloned()
        .unwrap_or_else(|| json!({}));
    let options = delete::DeleteOptions::from_value(&options, call)?;
    // Pods that have ended, wait to be bound or are already going are not the budget's concern.
    let phase = text(&pod, &["status", "phase"]);
    let is_free = ["Succeeded", "Failed", "Pending"].contains(&phase) || object::is_deleting(&pod);
    if !is_free {
        take_disruption(state, &pod, options.dry_run)?;
    }
    if options.dry_run {
        return Ok(done());
    }
    let pod = if object::is_deleting(&pod) {
        pod
    } else {
        mark_evicted(state, &target.kind, &pod)?
    };
    delete::remove(
        state,
        &target.kind,
        &pod,
        &delete::DeleteOptions {
            version: None,
            ..options
        },
    )?;
    Ok(done())
}

fn mark_evicted(state: &mut State, kind: &Kind, pod: &Arc<Value>) -> Result<Arc<Value>, Refusal> {
    let mut marked = Value::clone(pod);
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    });
    set_pod_condition(&mut marked, &condition, &state.sources.now_text());
    state.write(kind, marked)
}

const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Counts one disruption against the budget that selects the Pod.
fn take_disruption(state: &mut State, pod: &Value, dry_run: bool) -> Result<(), Refusal> {
    let budgets = state
        .store
        .snapshot(&Collection::new("policy", "poddisruptionbudgets"));
    let namespace = object::namespace(pod);
    let selecting: Vec<Arc<Value>> = budgets
        .objects
        .iter()
        .filter(|(key, _)| key.namespace() == namespace)
        .map(|(_, budget)| budget.value())
        .filter(|budget| {
            Labels::from_selector(at(budget, &["spec", "selector"])).is_some_and(|labels| labels.matches(pod))
        })
        .collect();
    let budget = match selecting.as_slice() {
        [] => return Ok(()),
        [one] => one,
        _ => {
            let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Refusal::internal(message));
        }
    };
    let count = |name: &str| number(budget, &["status", name]).unwrap_or(0);
    let is_ready = list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| text(condition, &["type"]) == "Ready" && text(condition, &["status"]) == "True");
    let always = text(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow";
    if !is_ready
        && (always || (count("currentHealthy") >= count("desiredHealthy") && count("desiredHealthy") > 0))
    {
        return Ok(());
    }
    let name = object::name(budget);
    if count("observedGeneration") < number(budget, &["metadata", "generation"]).unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Refusal::disruption_budget(VIOLATES, &cause, 10));
    }
    if count("disruptionsAllowed") <= 0 {
        let cause = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            count("desiredHealthy"),
            count("currentHealthy")
        );
        return Err(Refusal::disruption_budget(VIOLATES, &cause, 0));
    }
    if dry_run {
        return Ok(());
    }
    let mut next = Value::clone(budget);
    let (allowed, now) = (
        count("disruptionsAllowed").saturating_sub(1),
        state.sources.now_text(),
    );
    object_mut(&mut next, &["status"]).insert("disruptionsAllowed".to_owned(), allowed.into());
    object_mut(&mut next, &["status", "disruptedPods"])
        .insert(object::name(pod).to_owned(), now.as_str().into());
    if allowed == 0 {
        let condition = json!({
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": count("observedGeneration"), "lastTransitionTime": now,
        });
        put_condition(&mut next, condition);
    }
    let kind = state.registry.get("policy", "v1", "poddisruptionbudgets");
    if let Some(kind) = kind.filter(|kind| kind.role != Role::Review && has(&next, &["status"])) {
        state.write(&kind, next)?;
    }
    Ok(())
}
