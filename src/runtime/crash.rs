//! For tests: ends the process at a chosen write, as SIGKILL would.
//!
//! `ECS_OPERATOR_TEST_CRASH_AFTER` is the number of the write. With `ECS_OPERATOR_TEST_CRASH_IN`, a namespace, only
//! writes about it count: to its objects, and those that give, take back or complete shares of its tasks. Events and
//! leases do not count.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request};
use kube::client::Body;
use tower::{Layer, Service};

/// Time in which a request is sent, but hardly answered.
const SENT: Duration = Duration::from_millis(2);

/// When the process ends.
#[derive(Debug)]
struct Plan {
    /// Number of the write.
    at: u64,
    /// Only writes about it count.
    namespace: Option<String>,
    writes: AtomicU64,
    /// Instances whose next write is about the namespace.
    concerned: Mutex<BTreeSet<String>>,
}

static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
    let at = std::env::var("ECS_OPERATOR_TEST_CRASH_AFTER").ok()?;
    Some(Plan {
        at: at.parse().ok()?,
        namespace: std::env::var("ECS_OPERATOR_TEST_CRASH_IN").ok(),
        writes: AtomicU64::new(0),
        concerned: Mutex::default(),
    })
});

/// Says whether the next write to an instance's status is about a namespace; writes to one instance follow each other.
pub fn next_write(instance: &str, is_about: impl Fn(&str) -> bool) {
    let Some(plan) = &*PLAN else { return };
    let Some(namespace) = &plan.namespace else { return };
    let mut concerned = plan.concerned.lock().unwrap_or_else(PoisonError::into_inner);
    if is_about(namespace) {
        concerned.insert(instance.to_owned());
    } else {
        concerned.remove(instance);
    }
}

impl Plan {
    /// The number of this request among the writes that count; `None` if it does not.
    fn number(&self, request: &Request<Body>) -> Option<u64> {
        let path = request.uri().path();
        let writes = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        if !writes || path.contains("/events") || path.contains("/leases") || !self.counts(path) {
            return None;
        }
        Some(self.writes.fetch_add(1, Ordering::SeqCst).saturating_add(1))
    }

    fn counts(&self, path: &str) -> bool {
        let Some(namespace) = &self.namespace else {
            return true;
        };
        let of_instance = path
            .split_once("/containerinstances/")
            .and_then(|(_, rest)| rest.strip_suffix("/status"));
        match of_instance {
            Some(instance) => self
                .concerned
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(instance),
            None => path.contains(&format!("/namespaces/{namespace}/")),
        }
    }
}

/// Puts [`Crash`] around a client.
#[derive(Clone, Copy, Debug)]
pub struct CrashLayer;

impl<S> Layer<S> for CrashLayer {
    type Service = Crash<S>;

    fn layer(&self, inner: S) -> Crash<S> {
        Crash(inner)
    }
}

/// Sends requests; the process ends at the n-th write: after it was sent if n is odd, after its answer if n is even.
#[derive(Clone, Debug)]
pub struct Crash<S>(S);

impl<S> Service<Request<Body>> for Crash<S>
where
    S: Service<Request<Body>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let number = PLAN.as_ref().and_then(|plan| {
            let number = plan.number(&request)?;
            (number == plan.at).then_some(number)
        });
        let last_words = number.map(|n| (n, format!("{} {}", request.method(), request.uri().path())));
        let request = self.0.call(request);
        Box::pin(async move {
            let Some((number, what)) = last_words else {
                return request.await;
            };
            if number % 2 == 1 {
                let _answer = tokio::time::timeout(SENT, request).await;
            } else {
                let _answer = request.await;
            }
            tracing::warn!(write = number, %what, "ending here, as the test wants");
            std::process::abort();
        })
    }
}
