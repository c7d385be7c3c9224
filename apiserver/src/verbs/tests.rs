//! Rules that show only in whole answers.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::request::{Call, Query};
use crate::{Limits, Server, Sources};

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

struct World(Server);

/// Status code, body and warnings.
type Answered = (u16, Value, Vec<String>);

impl World {
    fn new() -> Self {
        Self(Server::new(Sources::system(), Limits::default()))
    }

    fn ask(&self, method: &Method, path: &str, content_type: &str, body: &Value) -> Answered {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = Call {
            method: method.clone(),
            path: path.to_owned(),
            query: Query::parse(query),
            accept: String::new(),
            content_type: content_type.to_owned(),
            agent: "tests/1".to_owned(),
            body: if body.is_null() {
                Bytes::new()
            } else {
                body.to_string().into()
            },
        };
        let (parts, body) = self.0.respond(&call).into_parts();
        let bytes = futures::executor::block_on(body.collect()).unwrap().to_bytes();
        let warnings = parts.headers.get_all(http::header::WARNING).iter();
        let warnings = warnings
            .map(|warning| warning.to_str().unwrap().to_owned())
            .collect();
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (parts.status.as_u16(), value, warnings)
    }

    fn get(&self, path: &str) -> Value {
        self.ask(&Method::GET, path, "", &Value::Null).1
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask(&Method::POST, path, "application/json", body).1
    }

    fn patch(&self, path: &str, content_type: &str, body: &Value) -> Value {
        self.ask(&Method::PATCH, path, content_type, body).1
    }
}

fn definition() -> Value {
    json!({"metadata": {"name": "widgets.a.b"}, "spec": {
        "group": "a.b", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        }}, "subresources": {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}}}],
    }})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "x"}, "finalizers": ["a.b/c"]},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

const DEFAULT: &str = "/api/v1/namespaces/default";

#[test]
fn what_is_discovered_is_only_read() {
    let world = World::new();
    for path in ["/version", "/api", "/api/v1", "/apis/apps/v1"] {
        assert_eq!(world.ask(&Method::GET, path, "", &Value::Null).0, 200, "{path}");
        assert_eq!(world.ask(&Method::POST, path, "", &json!({})).0, 405, "{path}");
    }
}

#[test]
fn what_only_a_kubelet_could_answer_is_refused_with_the_reason() {
    let world = World::new();
    for subresource in ["log", "exec", "attach", "portforward", "proxy"] {
        let path = format!("{DEFAULT}/pods/a/{subresource}");
        let (code, refusal, _) = world.ask(&Method::GET, &path, "", &Value::Null);
        assert_eq!(
            (code, &refusal["reason"]),
            (501, &json!("NotImplemented")),
            "{path}"
        );
    }
    let (code, refusal, _) = world.ask(&Method::GET, &format!("{DEFAULT}/pods/a/none"), "", &Value::Null);
    assert_eq!((code, &refusal["reason"]), (404, &json!("NotFound")));
}

#[test]
fn the_paths_below_watch_are_read_only_too() {
    let world = World::new();
    let path = "/api/v1/watch/namespaces/default/configmaps";
    let (code, status, _) = world.ask(&Method::POST, path, "", &json!({}));
    assert_eq!((code, &status["reason"]), (404, &json!("NotFound")));
}

#[test]
fn system_fields_of_a_new_object_are_the_servers() {
    let world = World::new();
    let given =
        json!({"metadata": {"name": "a", "generation": 7, "deletionTimestamp": "2020-01-01T00:00:00Z"}});
    let meta = world.post(&format!("{DEFAULT}/configmaps"), &given)["metadata"].clone();
    assert_eq!(meta["generation"], 7);
    assert_eq!(meta.get("deletionTimestamp"), None);
    assert_eq!(meta.get("managedFields"), None);
}

#[test]
fn what_a_patch_empties_is_left_out() {
    let world = World::new();
    world.post(
        &format!("{DEFAULT}/configmaps"),
        &json!({"metadata": {"name": "a"}, "data": {"k": "v"}}),
    );
    for content_type in [MERGE, STRATEGIC] {
        let patched = world.patch(
            &format!("{DEFAULT}/configmaps/a"),
            content_type,
            &json!({"data": {"k": null}}),
        );
        assert_eq!(patched.get("data"), None);
    }
}

#[test]
fn what_a_patch_makes_is_quoted_in_the_servers_order() {
    let world = World::new();
    let path = format!("{DEFAULT}/configmaps/a");
    world.post(
        &format!("{DEFAULT}/configmaps"),
        &json!({"metadata": {"name": "a"}}),
    );
    let message = |content_type: &str| {
        let strict = format!("{path}?fieldValidation=Strict");
        world.patch(&strict, content_type, &json!({"foo": 1}))["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let merged = message(MERGE);
    assert!(
        merged.contains(
            r#""{\"apiVersion\":\"v1\",\"foo\":1,\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\",\"#
        ),
        "{merged}"
    );
    let strategic = message(STRATEGIC);
    assert!(
        strategic.contains(r#"Invalid value: "map[foo:1]""#),
        "{strategic}"
    );
}

#[test]
fn lists_of_custom_objects_say_that_nothing_follows() {
    let world = World::new();
    world.post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition(),
    );
    let list = world.get("/apis/a.b/v1/namespaces/default/widgets");
    assert_eq!(list["metadata"]["continue"], "");
    assert_eq!(
        world.get(&format!("{DEFAULT}/configmaps"))["metadata"].get("continue"),
        None
    );
}

#[test]
fn a_definition_that_is_going_takes_no_new_objects_and_goes_with_its_last() {
    let world = World::new();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition_path = format!("{definitions}/widgets.a.b");
    world.post(definitions, &definition());
    let widgets = "/apis/a.b/v1/namespaces/default/widgets";
    let widget = |name: &str| json!({"apiVersion": "a.b/v1", "kind": "Widget", "metadata": {"name": name, "finalizers": ["a.b/c"]}});
    world.post(widgets, &widget("a"));
    world.ask(&Method::DELETE, &definition_path, "", &Value::Null);
    let (code, refusal, _) = world.ask(&Method::POST, widgets, "application/json", &widget("b"));
    assert_eq!((code, &refusal["reason"]), (403, &json!("Forbidden")));
    let shown = world.get(&definition_path);
    let conditions = shown["status"]["conditions"].as_array().unwrap();
    let terminating = conditions.iter().find(|known| known["type"] == "Terminating");
    assert_eq!(terminating.unwrap()["reason"], "InstanceDeletionInProgress");
    world.patch(
        &format!("{widgets}/a"),
        MERGE,
        &json!({"metadata": {"finalizers": null}}),
    );
    assert_eq!(world.get(&definition_path)["reason"], "NotFound");
}

#[test]
fn custom_objects_answer_for_subresources_they_do_not_have() {
    let world = World::new();
    world.post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition(),
    );
    let widgets = "/apis/a.b/v1/namespaces/default/widgets";
    assert_eq!(
        world.get(&format!("{widgets}/a/status"))["message"],
        "widgets.a.b \"a\" not found"
    );
    let widget =
        json!({"apiVersion": "a.b/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    world.post(widgets, &widget);
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}});
    let (code, status, _) = world.ask(
        &Method::PATCH,
        &format!("{widgets}/a/scale?fieldManager=m"),
        "application/apply-patch+yaml",
        &scale,
    );
    assert_eq!(code, 500);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("request to convert CR to an invalid group/version")
    );
}

#[test]
fn endpoints_are_deprecated() {
    let (_, _, warnings) = World::new().ask(&Method::GET, &format!("{DEFAULT}/endpoints"), "", &Value::Null);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("v1 Endpoints is deprecated in v1.33+"));
}

#[test]
fn events_are_recorded_in_the_names_of_their_group() {
    let world = World::new();
    let event = json!({"metadata": {"name": "e"}, "regarding": {"namespace": "default"}, "type": "Normal", "reason": "R",
        "note": "n", "action": "A", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a/b",
        "reportingInstance": "i"});
    let fields = |event: &Value| event["metadata"]["managedFields"][0]["fieldsV1"].clone();
    let created = world.post("/apis/events.k8s.io/v1/namespaces/default/events", &event);
    let own = fields(&created);
    assert!(
        own.get("f:note").is_some() && own.get("f:message").is_none(),
        "{own}"
    );
    // The other group shows the entry as it was written.
    assert_eq!(fields(&world.get(&format!("{DEFAULT}/events/e"))), own);
    // But it cannot read it, and forgets it when it writes.
    let core = format!("{DEFAULT}/events/e?fieldManager=other");
    let changed = world.patch(&core, MERGE, &json!({"message": "m"}));
    let entries = changed["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["manager"], "other");
    assert_eq!(entries[0]["fieldsV1"], json!({"f:message": {}}));
}

#[test]
fn an_event_is_refused_as_it_would_be_stored() {
    let world = World::new();
    let event = json!({"metadata": {"name": "e"}, "regarding": {"namespace": "default"}});
    let status = world.post("/apis/events.k8s.io/v1/namespaces/default/events", &event);
    assert_eq!(status["details"].get("group"), None);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("Event \"e\" is invalid")
    );
}

#[test]
fn a_binding_names_a_node() {
    let world = World::new();
    world.post(&format!("{DEFAULT}/pods"), &pod("p"));
    let bind = |target: Value| {
        let binding = json!({"metadata": {"name": "p"}, "target": target});
        world.post(&format!("{DEFAULT}/pods/p/binding"), &binding)["message"].clone()
    };
    assert_eq!(bind(Value::Null), "target.name: Required value");
    let both = bind(json!({"kind": "Pod"}));
    assert!(
        both.as_str()
            .unwrap()
            .starts_with("[target.kind: Unsupported value: \"Pod\"")
    );
}

#[test]
fn an_eviction_is_counted_by_the_server() {
    let world = World::new();
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    world.post(&format!("{DEFAULT}/pods"), &pod("p"));
    let running =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    world.patch(&format!("{DEFAULT}/pods/p/status"), MERGE, &running);
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    world.post(budgets, &budget);
    let status = |allowed: u64, healthy: u64| {
        let status = json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": 1});
        world.patch(&format!("{budgets}/b/status"), MERGE, &json!({"status": status}));
    };
    let evict = || {
        world.post(
            &format!("{DEFAULT}/pods/p/eviction"),
            &json!({"metadata": {"name": "p"}}),
        )
    };
    let cause = |status: &Value| status["details"]["causes"][0]["message"].clone();
    status(0, 1);
    assert_eq!(
        cause(&evict()),
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
    status(0, 2);
    assert_eq!(
        cause(&evict()),
        "The disruption budget b does not allow evicting pods currently"
    );
    status(1, 2);
    assert_eq!(evict()["status"], "Success");
    let budget = world.get(&format!("{budgets}/b"));
    let condition = &budget["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"]),
        (&json!("DisruptionAllowed"), &json!("False"))
    );
    let entries = budget["metadata"]["managedFields"].as_array().unwrap();
    let own = entries
        .iter()
        .find(|entry| entry["manager"] == "kube-apiserver")
        .unwrap();
    assert_eq!(own["subresource"], "status");
    assert!(
        own["fieldsV1"]["f:status"].get("f:disruptedPods").is_some(),
        "{own}"
    );
}

#[test]
fn reviews_are_checked_and_recorded() {
    let world = World::new();
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = world.post(path, &json!({"spec": {"resourceAttributes": {"verb": "get"}}}));
    assert_eq!(review["status"]["allowed"], true);
    assert_eq!(
        review["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:resourceAttributes": {".": {}, "f:verb": {}}}})
    );
    assert_eq!(world.post(path, &json!({"spec": {}}))["code"], 422);
}

#[test]
fn a_pod_keeps_its_priority() {
    let world = World::new();
    let mut critical = pod("p");
    critical["spec"]["priorityClassName"] = "system-node-critical".into();
    let created = world.post(&format!("{DEFAULT}/pods"), &critical);
    assert_eq!(created["spec"]["priority"], 2_000_001_000);
    critical["metadata"]["labels"] = json!({"app": "y"});
    let (code, replaced, _) = world.ask(
        &Method::PUT,
        &format!("{DEFAULT}/pods/p"),
        "application/json",
        &critical,
    );
    assert_eq!(
        (code, &replaced["spec"]["priority"]),
        (200, &json!(2_000_001_000)),
        "{replaced}"
    );
}

#[test]
fn services_without_addresses_say_so_twice() {
    let world = World::new();
    let spec = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    let service = world.post(
        &format!("{DEFAULT}/services"),
        &json!({"metadata": {"name": "s"}, "spec": spec}),
    );
    assert_eq!(service["spec"]["clusterIPs"], json!(["None"]));
    assert_eq!(service["spec"]["ipFamilyPolicy"], "SingleStack");
}
