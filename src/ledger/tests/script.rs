//! A scripted API server: the test says which request it expects next and how it is answered.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_test::mock::{Handle, SendResponse};

use crate::ledger::REQUEST_TIMEOUT;
use crate::runtime::client::with_deadline;

type Answer = SendResponse<Response<Body>>;

/// Longest time, on the paused clock, until the next request must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API server's side of a conversation.
pub(super) struct Server {
    handle: Handle<Request<Body>, Response<Body>>,
    unanswered: Vec<Answer>,
}

/// A request that waits for its answer.
pub(super) struct Asked<'a> {
    /// What was sent; null if nothing was.
    pub(super) body: Value,
    /// The query.
    pub(super) query: String,
    server: &'a mut Server,
    answer: Answer,
}

/// A client with the ledger's deadline layer, and the server it talks to.
pub(super) fn server() -> (Client, Server) {
    let (service, handle) = tower_test::mock::pair();
    let service = ServiceBuilder::new()
        .layer(MapRequestLayer::new(with_deadline))
        .service(service);
    let server = Server {
        handle,
        unanswered: Vec::new(),
    };
    (Client::new(service, "default"), server)
}

impl Server {
    /// The next request, which must be this one. `path` leaves out the group. Every write carries the deadline.
    pub(super) async fn expect(&mut self, method: Method, path: &str) -> Asked<'_> {
        let next = tokio::time::timeout(PATIENCE, self.handle.next_request()).await;
        let Ok(Some((request, answer))) = next else {
            panic!("{method} {path} was expected and nothing came");
        };
        let (parts, body) = request.into_parts();
        let asked = short(parts.uri.path());
        assert_eq!((&parts.method, asked), (&method, path));
        let query = parts.uri.query().unwrap_or_default().to_owned();
        if method != Method::GET {
            let deadline = format!("timeout={}s", REQUEST_TIMEOUT.as_secs());
            assert!(
                query.split('&').any(|pair| pair == deadline),
                "no deadline for the server in {query}"
            );
        }
        let bytes = body.collect_bytes().await.unwrap();
        Asked {
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            query,
            server: self,
            answer,
        }
    }

    /// Fails if anything is asked for within `time`.
    pub(super) async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(Some((request, _))) = tokio::time::timeout(time, self.handle.next_request()).await {
            panic!("{} {} was not expected", request.method(), request.uri());
        }
    }

    /// Fails if anything else was asked for.
    pub(super) async fn hears_nothing(&mut self) {
        self.hears_nothing_for(Duration::from_millis(1)).await;
    }
}

fn short(path: &str) -> &str {
    ["/apis/ecs-operator.dev/v1alpha1/", "/api/v1/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path)
}

fn response(code: u16, body: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

impl Asked<'_> {
    /// Checks that the write is bound to this very version of an object.
    #[track_caller]
    pub(super) fn on(self, object: &Value) -> Self {
        for part in ["uid", "resourceVersion"] {
            assert_eq!(
                self.body["metadata"][part], object["metadata"][part],
                "{part} of {}",
                self.body
            );
        }
        self
    }

    /// Done: the object as it is now.
    pub(super) fn is(self, object: &Value) {
        self.answer.send_response(response(200, object));
    }

    /// Refused, with the server's reason and text.
    pub(super) fn fails(self, code: u16, reason: &str, text: &str) {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": text });
        self.answer.send_response(response(code, &status));
    }

    /// The object moved on.
    pub(super) fn conflicts(self) {
        self.fails(409, "Conflict", "the object has been modified");
    }

    /// There is one of that name.
    pub(super) fn exists(self) {
        self.fails(409, "AlreadyExists", "already exists");
    }

    /// There is none of that name.
    pub(super) fn not_found(self) {
        self.fails(404, "NotFound", "not found");
    }

    /// No answer ever comes. Whether it was done is the test's to say, in what is read later.
    pub(super) fn loses_answer(self) {
        self.server.unanswered.push(self.answer);
    }

    /// The connection breaks before an answer.
    pub(super) fn breaks(self) {
        self.answer.send_error("connection reset by peer");
    }

    /// Done, but the answer takes this long.
    pub(super) fn answers_after(self, time: Duration, object: &Value) {
        let (answer, response) = (self.answer, response(200, object));
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            answer.send_response(response);
        });
    }

    /// Done, but the answer comes when nobody waits for it any more.
    pub(super) fn answers_late(self, object: &Value) {
        self.answers_after(REQUEST_TIMEOUT + Duration::from_secs(1), object);
    }
}
