use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What the API server answers to a request, by method and path; nothing if it does not answer.
type Answers = fn(&Method, &str) -> Option<(u16, Value)>;

/// Runs the command against an API server; what it said, and the requests that were to change something.
async fn uninstall(answers: Answers) -> (Result<(), String>, Vec<(String, Value)>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let heard = heard.clone();
        async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path().rsplit("/v1").next().unwrap_or_default();
            let path = path.strip_prefix("alpha1").unwrap_or(path).to_owned();
            if parts.method != Method::GET {
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                heard
                    .lock()
                    .unwrap()
                    .push((format!("{} {path}", parts.method), body));
            }
            // no Pod here has a label: somebody took them off
            let selected = path == "/pods" && parts.uri.query().is_some_and(|q| q.contains("labelSelector"));
            let answer = if selected {
                Some(list(&[]))
            } else {
                answers(&parts.method, &path)
            };
            let Some((code, answer)) = answer else {
                return std::future::pending().await;
            };
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok::<_, std::io::Error>(response)
        }
    });
    let result = release_all(&Client::new(server, "default")).await;
    let asked = asked.lock().unwrap().clone();
    (result.map_err(|error| format!("{error:#}")), asked)
}

fn failure(code: u16, text: &str) -> (u16, Value) {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "x",
        "message": text });
    (code, status)
}

fn list(items: &[Value]) -> (u16, Value) {
    (
        200,
        json!({ "metadata": { "resourceVersion": "1" }, "items": items }),
    )
}

fn task(name: &str) -> Value {
    json!({ "apiVersion": "ecs-operator.dev/v1alpha1", "kind": "Task",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "finalizers": ["ecs-operator.dev/task", "example.com/other"] },
        "spec": { "taskDefinition": "web:1" } })
}

fn pod() -> Value {
    json!({ "metadata": { "name": "p", "namespace": "shop", "uid": "uid-p", "finalizers": ["ecs-operator.dev/pod"] } })
}

fn budget() -> Value {
    json!({ "metadata": { "name": "ecs-operator-hold", "namespace": "shop" } })
}

fn whole(method: &Method, path: &str) -> (u16, Value) {
    match (method.as_str(), path) {
        ("GET", "/tasks") => list(&[task("a"), task("b"), task("c"), task("d")]),
        ("GET", "/pods") => list(&[pod()]),
        ("GET", "/poddisruptionbudgets") => list(&[budget()]),
        ("GET", "/ecsclusters") => failure(404, "the server could not find the requested resource"),
        ("GET", _) => list(&[]),
        _ => (200, json!({})),
    }
}

#[tokio::test]
async fn only_finalizers_of_ours_are_taken_off_and_budgets_of_ours_deleted() {
    let (result, asked) = uninstall(|method, path| Some(whole(method, path))).await;
    assert_eq!(result, Ok(()));
    assert_eq!(asked.len(), 6, "{asked:?}");
    let task = json!({ "metadata": { "uid": "uid-a", "finalizers": ["example.com/other"] } });
    assert_eq!(asked[0], ("PATCH /namespaces/shop/tasks/a".to_owned(), task));
    let pod = json!({ "metadata": { "uid": "uid-p", "finalizers": [] } });
    assert_eq!(asked[4], ("PATCH /namespaces/shop/pods/p".to_owned(), pod));
    assert_eq!(
        asked[5].0,
        "DELETE /namespaces/shop/poddisruptionbudgets/ecs-operator-hold"
    );
}

#[tokio::test]
async fn what_it_may_not_touch_is_named_with_the_servers_text_and_everything_else_is_released() {
    let (result, asked) = uninstall(|method, path| {
        Some(match (method.as_str(), path) {
            ("PATCH", p) if p.contains("/tasks/") => failure(403, "tasks is forbidden"),
            ("GET", "/containerinstances") => failure(403, "cannot list containerinstances"),
            _ => whole(method, path),
        })
    })
    .await;
    let said = result.unwrap_err();
    assert!(
        said.starts_with(
            "not everything was released. Left: 4 Task (shop/a, shop/b, shop/c, …: tasks is forbidden); \
             ContainerInstance that could not be listed (cannot list containerinstances). "
        ),
        "{said}"
    );
    assert!(
        said.contains("run the command again") && said.contains("rights to list and patch"),
        "{said}"
    );
    let done = |start: &str| asked.iter().any(|(request, _)| request.starts_with(start));
    assert!(done("PATCH /namespaces/shop/pods/p") && done("DELETE /namespaces/shop/poddisruptionbudgets"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_goes_away_is_waited_for_and_what_is_left_is_said() {
    let begun = tokio::time::Instant::now();
    let (result, _) = uninstall(|method, path| match path {
        "/ecsservices" => Some(list(&[])),
        "/tasks" if *method == Method::GET => Some(list(&[task("a")])),
        _ => None,
    })
    .await;
    let said = result.unwrap_err();
    assert!(
        said.contains("1 Task (shop/a: no answer from the API server within 30 s)"),
        "{said}"
    );
    assert!(!said.contains("EcsService"), "{said}");
    for kind in [
        "Pod",
        "ContainerInstance",
        "TaskDefinition",
        "EcsCluster",
        "PodDisruptionBudget",
    ] {
        assert!(
            said.contains(&format!("{kind} that could not be listed")),
            "{kind}: {said}"
        );
    }
    assert_eq!(begun.elapsed(), DEADLINE * 6);
}
