//! A server: its state behind one lock, and the way of a request through it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::body::Body;
use crate::request::{Call, Query, decode_path};
use crate::source::Sources;
use crate::state::State;
use crate::status::Refusal;
use crate::store::{NoJournal, Packer, Store};
use crate::verbs::body::MAX_BYTES;
use crate::{housekeeping, routes};

/// What a server is told when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many changes of each collection are remembered for watches and for pages of lists.
    pub history: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { history: 20_000 }
    }
}

/// A Kubernetes API server. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<State>>,
    packer: Packer,
}

impl Server {
    /// An empty server in memory, with the namespaces that every cluster has.
    pub fn new(sources: Sources, limits: Limits) -> Self {
        Self::with_store(Store::new(limits.history, Box::new(NoJournal)), sources)
    }

    /// A server on a store that may hold something already.
    pub fn with_store(store: Store, sources: Sources) -> Self {
        let packer = store.packer();
        let mut state = State::new(store, sources);
        housekeeping::bootstrap(&mut state);
        Self {
            state: Arc::new(Mutex::new(state)),
            packer,
        }
    }

    /// The state, for as long as the guard lives. Nobody is served meanwhile.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }

    /// Forgets the history up to and with a version, as a compaction of etcd does.
    pub fn compact(&self, version: u64) {
        self.state().store.compact(version);
    }

    /// Does all that the server's own controllers have to do by now: garbage collection, the end of namespaces and of
    /// definitions. Returns how many things were looked at.
    pub fn settle(&self) -> usize {
        housekeeping::settle(&mut self.state())
    }

    /// Answers a call whose body was read.
    pub fn respond(&self, call: &Call) -> Response<Body> {
        let response = routes::respond(self, call);
        // What a write leaves to the controllers is done before the next request, in the same order every time.
        self.settle();
        // and what the objects take beyond need is given back, while others are served
        self.packer.work();
        response
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match read(request).await {
            Ok(call) => self.respond(&call),
            Err(refusal) => refused(&refusal),
        }
    }
}

/// Reads the body and the headers that count.
async fn read<B>(request: Request<B>) -> Result<Call, Refusal>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let limit = format!("limit is {MAX_BYTES}");
    let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::too_large(format!("Request entity too large: {limit}"))
        } else {
            Refusal::bad_request(error.to_string())
        }
    })?;
    let header = |name| {
        parts
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok())
            .collect::<Vec<_>>()
            .join(",")
    };
    Ok(Call {
        method: parts.method,
        path: decode_path(parts.uri.path()),
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        accept: header(ACCEPT),
        content_type: header(CONTENT_TYPE),
        agent: header(USER_AGENT),
        body: body.to_bytes(),
    })
}

/// The answer to a request that cannot be fulfilled.
pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = respond_with(
        refusal.code,
        "application/json",
        refusal.to_value().to_string().into_bytes(),
    );
    if refusal.retry_after_seconds > 0 {
        response.headers_mut().insert(
            http::header::RETRY_AFTER,
            HeaderValue::from(refusal.retry_after_seconds),
        );
    }
    response
}

/// An answer that is known as a whole.
pub(crate) fn respond_with(code: u16, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

impl<B> tower::Service<Request<B>> for Server
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}
