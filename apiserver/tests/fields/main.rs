//! Replays what a real API server was asked and answered (`record.py`) through the patches and the field management.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod agree;

use std::collections::BTreeMap;

use embedded_apiserver::fields::{self, ApplyError, ResetFields, Write, manager_name};
use embedded_apiserver::patch::{self, PatchError};
use embedded_apiserver::topology::{TypeInfo, builtin};
use serde_json::{Value, json};

use agree::{Differences, without_server_fields};

/// A sequence of writes to one object, with the real answers.
struct Question {
    name: String,
    kind: String,
    slug: String,
    steps: Vec<(Value, Value)>,
}

fn table() -> Vec<Question> {
    let questions: Vec<Value> = serde_json::from_str(include_str!("questions.json")).unwrap();
    let answers: Vec<Value> = serde_json::from_str(include_str!("answers.json")).unwrap();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let question = |(question, answer): (&Value, &Value)| {
        assert_eq!(
            question["name"], answer["name"],
            "answers.json is not of these questions"
        );
        let list = |value: &Value, member: &str| value[member].as_array().unwrap().clone();
        Question {
            name: text(question, "name"),
            kind: text(question, "of"),
            slug: text(answer, "slug"),
            steps: list(question, "steps")
                .into_iter()
                .zip(list(answer, "answers"))
                .collect(),
        }
    };
    assert_eq!(questions.len(), answers.len());
    questions.iter().zip(&answers).map(question).collect()
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "DaemonSet" => "apps/v1",
        "Job" => "batch/v1",
        "Lease" => "coordination.k8s.io/v1",
        "PodDisruptionBudget" => "policy/v1",
        "Role" => "rbac.authorization.k8s.io/v1",
        "Widget" | "Loose" => "test.io/v1",
        _ => "v1",
    }
}

fn is_custom(kind: &str) -> bool {
    api_version(kind) == "test.io/v1"
}

fn type_of(kind: &str) -> TypeInfo {
    if !is_custom(kind) {
        return builtin(api_version(kind), kind).unwrap();
    }
    let crds: Vec<Value> = serde_json::from_str(include_str!("crds.json")).unwrap();
    let crd = crds
        .iter()
        .find(|crd| crd["spec"]["names"]["kind"] == kind)
        .unwrap();
    TypeInfo::custom(Some(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
}

/// What the API server sets after it has recorded ownership, at creation.
fn set_late(kind: &str) -> &'static [&'static str] {
    match kind {
        "Service" => &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        "Namespace" => &["finalizers"],
        _ => &[],
    }
}

#[test]
fn answers_like_a_real_api_server() {
    let questions = table();
    assert!(questions.len() >= 120);
    let mut differences = Differences::default();
    for question in &questions {
        replay(question, &mut differences);
    }
    differences.assert_none();
}

fn replay(question: &Question, differences: &mut Differences) {
    let mut live: Option<Value> = None;
    for (number, (step, answer)) in question.steps.iter().enumerate() {
        let at = format!("{}, step {number}", question.name);
        let step = Step::new(question, number, step);
        let ours = step.run(live.as_ref());
        let code = answer["code"].as_u64().unwrap();
        let theirs = &answer["body"];
        match ours {
            Outcome::Elsewhere => {}
            Outcome::Refused(refusal) => differences.refusal(&at, &refusal, code, theirs),
            // What merging allows, validation may still refuse.
            Outcome::Object(_) if code == 422 && theirs["details"]["causes"].is_array() => {}
            Outcome::Object(_) if code >= 300 => differences.add(&at, format!("{code} expected: {theirs}")),
            Outcome::Object(ours) => {
                differences.object(&at, &ours, theirs, live.as_ref(), &step);
                let tracked = step.tracked(live.as_ref(), &ours, theirs);
                differences.managed_fields(&at, &tracked, theirs);
            }
        }
        if code < 300 {
            live = Some(theirs.clone());
        }
    }
}

/// An answer other than an object.
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    causes: Vec<(String, String)>,
}

enum Outcome {
    Object(Value),
    Refused(Refusal),
    /// The answer is not decided here.
    Elsewhere,
}

/// A step of a question.
struct Step<'a> {
    question: &'a Question,
    number: usize,
    asked: &'a Value,
    verb: &'a str,
    body: &'a Value,
    info: TypeInfo,
    reset: ResetFields,
}

impl<'a> Step<'a> {
    fn new(question: &'a Question, number: usize, asked: &'a Value) -> Self {
        let verbs = [
            "create",
            "update",
            "apply",
            "json",
            "merge",
            "strategic",
            "json-times",
        ];
        let (verb, body) = asked
            .as_object()
            .unwrap()
            .iter()
            .find(|(key, _)| verbs.contains(&key.as_str()))
            .unwrap();
        let kind = &question.kind;
        let sub = asked["sub"].as_str().unwrap_or_default();
        let reset = if is_custom(kind) {
            ResetFields::custom(kind == "Widget", sub)
        } else {
            ResetFields::builtin(api_version(kind), kind, sub)
        };
        Self {
            question,
            number,
            asked,
            verb,
            body,
            info: type_of(kind),
            reset,
        }
    }

    fn subresource(&self) -> &'a str {
        self.asked["sub"].as_str().unwrap_or_default()
    }

    fn write<'b>(&'b self, manager: &'b str) -> Write<'b> {
        Write {
            manager,
            api_version: api_version(&self.question.kind),
            subresource: self.subresource(),
            reset: &self.reset,
            now: format!("2001-01-01T00:01:{:02}Z", self.number).parse().unwrap(),
        }
    }

    fn manager(&self) -> String {
        manager_name(
            self.asked["by"].as_str(),
            self.asked["agent"].as_str().unwrap_or("recorder/1"),
        )
    }

    /// The body as it was sent with a create or an apply.
    fn whole_body(&self) -> Value {
        let mut body = json!({"apiVersion": api_version(&self.question.kind), "kind": self.question.kind});
        for (key, value) in self.body.as_object().unwrap() {
            body[key] = value.clone();
        }
        let mut metadata = json!({"name": self.question.slug});
        for (key, value) in self.body["metadata"].as_object().into_iter().flatten() {
            metadata[key] = value.clone();
        }
        body["metadata"] = metadata;
        body
    }

    fn run(&self, live: Option<&Value>) -> Outcome {
        if self.verb == "create" {
            return Outcome::Object(self.whole_body());
        }
        if self.verb == "apply" {
            return self.apply(live);
        }
        let Some(live) = live else {
            return Outcome::Elsewhere;
        };
        let patched = match self.verb {
            "merge" if self.body.is_null() => return Outcome::Elsewhere,
            "update" | "merge" => patch::merge::apply(live, self.body),
            "strategic" if is_custom(&self.question.kind) => return Outcome::Elsewhere,
            "strategic" => patch::strategic::apply(live, self.body, &self.info),
            "json" => patch::json::apply(live, self.body),
            _ => {
                let times = usize::try_from(self.body[0].as_u64().unwrap()).unwrap();
                patch::json::apply(live, &Value::Array(vec![self.body[1].clone(); times]))
            }
        };
        patched.map_or_else(|error| Outcome::Refused(of_patch(&error)), Outcome::Object)
    }

    fn apply(&self, live: Option<&Value>) -> Outcome {
        let kind = [
            ("apiVersion", api_version(&self.question.kind)),
            ("kind", &self.question.kind),
        ];
        let body = self.whole_body();
        if self.asked["by"].is_null() || kind.iter().any(|(member, expected)| body[*member] != *expected) {
            return Outcome::Elsewhere;
        }
        let force = self.asked["force"] == true;
        let manager = self.manager();
        match fields::apply(live, &body, &self.write(&manager), force, &self.info) {
            Ok(object) => Outcome::Object(object),
            Err(error) => Outcome::Refused(of_apply(&error)),
        }
    }

    /// Our object with the managedFields that it is stored with. Ownership of an update counts all that the server
    /// stores, so it starts from their object.
    fn tracked(&self, live: Option<&Value>, ours: &Value, theirs: &Value) -> Value {
        if self.verb == "apply" {
            return ours.clone();
        }
        let mut new = theirs.clone();
        let requested = ours["metadata"].get("managedFields").cloned();
        new["metadata"].as_object_mut().unwrap().remove("managedFields");
        if let Some(requested) = requested {
            new["metadata"]["managedFields"] = requested;
        }
        if live.is_none()
            && let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut)
        {
            for name in set_late(&self.question.kind) {
                if self.body["spec"].get(name).is_none() {
                    spec.remove(*name);
                }
            }
        }
        let manager = self.manager();
        fields::track_update(live, &mut new, &self.write(&manager), &self.info);
        new
    }
}

fn of_patch(error: &PatchError) -> Refusal {
    Refusal {
        code: error.code(),
        reason: error.reason(),
        message: error.to_string(),
        causes: Vec::new(),
    }
}

fn of_apply(error: &ApplyError) -> Refusal {
    let causes = match error {
        ApplyError::Conflict(conflicts) => conflicts
            .causes()
            .map(|(_, message, field)| (field, message))
            .collect(),
        ApplyError::BadRequest(_) | ApplyError::Internal(_) => Vec::new(),
    };
    Refusal {
        code: error.code(),
        reason: error.reason(),
        message: error.to_string(),
        causes,
    }
}

/// The table asks of every verb and has refusals of every sort.
#[test]
fn the_table_covers_every_verb_and_answer() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for question in table() {
        for (number, (asked, answer)) in question.steps.iter().enumerate() {
            let verb = Step::new(&question, number, asked).verb.to_owned();
            *counts.entry(verb).or_default() += 1;
            *counts.entry(answer["code"].to_string()).or_default() += 1;
        }
    }
    for (what, at_least) in [
        ("create", 100),
        ("update", 10),
        ("apply", 180),
        ("merge", 40),
        ("strategic", 45),
        ("json", 20),
        ("409", 20),
        ("500", 20),
        ("422", 10),
        ("400", 10),
    ] {
        assert!(
            counts.get(what).is_some_and(|count| *count >= at_least),
            "{what}: {counts:?}"
        );
    }
    assert_eq!(
        without_server_fields(&json!({"metadata": {"uid": "x"}})),
        json!({"metadata": {}})
    );
}
