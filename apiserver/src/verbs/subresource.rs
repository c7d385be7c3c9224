//! Binding, eviction, and the reviews, which are asked like objects but not stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, body, delete, find};
use crate::object::{self, at, list, number, object_mut, text};
use crate::registry::Kind;
use crate::request::{Call, Target, WriteOptions};
use crate::selector::Labels;
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::store::Collection;
use crate::{managed, typed};

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
    let causes = typed::check(&target.kind, &value, None, "");
    if !causes.is_empty() {
        // The API server does not say of which kind it is.
        let nameless = Kind {
            kind: String::new(),
            ..Kind::clone(&target.kind)
        };
        return Err(Refusal::invalid(&nameless, object::name(&value), causes));
    }
    if target.kind.kind == "SelfSubjectRulesReview" {
        object::put(&mut value, "spec", Some(json!({})));
    } else if target.kind.group == "authorization.k8s.io" {
        managed::track(&target.kind, None, &mut value, &options, "", state.sources.now());
    }
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
    check_target(&binding)?;
    let old = find(state, target)?;
    let node = text(&binding, &["target", "name"]);
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

/// A Pod is bound to a node that is named. Otherwise the API server only says what is wrong.
fn check_target(binding: &Value) -> Result<(), Refusal> {
    let mut wrong = Vec::new();
    let kind = text(binding, &["target", "kind"]);
    if !["", "Node"].contains(&kind) {
        let shown = Value::from(kind).to_string();
        wrong.push(Cause::unsupported("target.kind", &shown, &["Node", "<empty>"]));
    }
    if text(binding, &["target", "name"]).is_empty() {
        wrong.push(Cause::required("target.name", ""));
    }
    let texts: Vec<String> = wrong
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    match texts.as_slice() {
        [] => Ok(()),
        [one] => Err(Refusal::plain_error(one.clone())),
        many => Err(Refusal::plain_error(format!("[{}]", many.join(", ")))),
    }
}

fn set_pod_condition(pod: &mut Value, condition: &Value, now: &str) {
    let mut condition = condition.clone();
    object::put(&mut condition, "lastProbeTime", Some(Value::Null));
    object::put(&mut condition, "lastTransitionTime", Some(now.into()));
    put_condition(pod, condition);
}

/// Puts a condition in place of the one of its type, whose time stays if the status does.
fn put_status_condition(value: &mut Value, mut condition: Value) {
    let same = |known: &&Value| {
        ["type", "status"]
            .iter()
            .all(|name| known.get(name) == condition.get(name))
    };
    let since = list(value, &["status", "conditions"])
        .iter()
        .find(same)
        .and_then(|known| known.get("lastTransitionTime").cloned());
    if since.is_some() {
        object::put(&mut condition, "lastTransitionTime", since);
    }
    put_condition(value, condition);
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
    check_budget(budget)?;
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
        put_status_condition(&mut next, condition);
    }
    if let Some(kind) = state.registry.get("policy", "v1", "poddisruptionbudgets") {
        let own = WriteOptions::own();
        managed::track(
            &kind,
            Some(budget),
            &mut next,
            &own,
            "status",
            state.sources.now(),
        );
        state.write(&kind, next)?;
    }
    Ok(())
}

/// Refuses where a budget is not up to date or allows no more.
fn check_budget(budget: &Value) -> Result<(), Refusal> {
    let (name, count) = (object::name(budget), |name: &str| {
        number(budget, &["status", name]).unwrap_or(0)
    });
    if count("observedGeneration") < number(budget, &["metadata", "generation"]).unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Refusal::disruption_budget(VIOLATES, &cause, 10));
    }
    if count("disruptionsAllowed") > 0 {
        return Ok(());
    }
    let (wanted, healthy) = (count("desiredHealthy"), count("currentHealthy"));
    let condition = list(budget, &["status", "conditions"])
        .iter()
        .filter(|condition| text(condition, &["type"]) == "DisruptionAllowed")
        .find(|condition| text(condition, &["status"]) == "False");
    let said = |name: &str| condition.map_or("", |condition| text(condition, &[name]));
    let (reason, message) = (said("reason"), said("message"));
    let disallows = format!("The disruption budget {name} does not allow evicting pods currently");
    let cause = if reason == "SyncFailed" && !message.is_empty() {
        format!("{disallows} because it failed sync: {message}")
    } else if healthy <= wanted {
        format!("The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    } else if message.is_empty() {
        disallows
    } else {
        format!("{disallows} ({reason}): {message}")
    };
    Err(Refusal::disruption_budget(VIOLATES, &cause, 0))
}
