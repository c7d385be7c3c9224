//! The way between clients and the API server: every request goes through here, and here it is delayed, lost, or ends
//! the process that sent it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use embedded_apiserver::Server;
use embedded_apiserver::body::Body as Answer;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::faults::{Crash, Fate, Faults};
use crate::history::{News, Recording};
use crate::log::Log;
use crate::watches::{self, Watches};

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// An operator, by number.
    Operator(usize),
    /// All kubelets.
    Kubelet,
    /// Who edits.
    User,
}

/// One life of an operator's process.
#[derive(Debug, Default)]
pub(crate) struct Life {
    over: AtomicBool,
    ended: Notify,
}

impl Life {
    /// Ends the process, as SIGKILL would.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.ended.notify_one();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }
}

/// No answer will come: the connection broke.
#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
pub(crate) struct Lost;

/// What is under way.
struct Inner {
    rng: StdRng,
    faults: Faults,
    /// Writes of the operators since they are counted.
    writes: Option<u64>,
    watches: Watches,
    recording: Recording,
    log: Log,
}

/// The network, with the API server at its end.
pub(crate) struct Network {
    server: Server,
    begun: Instant,
    inner: Mutex<Inner>,
    news: Notify,
}

impl Network {
    /// A network without clients. What happens to requests is drawn from `seed`.
    pub(crate) fn new(server: Server, seed: u64, faults: Faults, log: Log) -> Arc<Self> {
        let inner = Inner {
            rng: StdRng::seed_from_u64(seed),
            faults,
            writes: None,
            watches: Watches::default(),
            recording: Recording::default(),
            log,
        };
        Arc::new(Self {
            server,
            begun: Instant::now(),
            inner: Mutex::new(inner),
            news: Notify::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A way in for one life of somebody's process.
    pub(crate) fn line(self: &Arc<Self>, who: Who, life: Arc<Life>) -> Line {
        Line {
            network: self.clone(),
            who,
            life,
        }
    }

    /// From now on nothing is lost, nobody is killed, and delays are short.
    pub(crate) fn calm(&self) {
        self.inner().faults = Faults::none();
    }

    /// From now on the operators' writes are counted.
    pub(crate) fn count_writes(&self) {
        self.inner().writes.get_or_insert(0);
    }

    /// Counts a request, if it is a write that counts: whether its process is killed at it.
    fn count(&self, request: &Request<Body>) -> Option<Crash> {
        let inner = &mut *self.inner();
        let counts = request.method() != Method::GET && !request.uri().path().contains("/events");
        let writes = inner.writes.as_mut().filter(|_| counts)?;
        *writes += 1;
        inner.faults.is_the_end(*writes)
    }

    /// Draws from what rules the network.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut StdRng, &Faults) -> T) -> T {
        let inner = &mut *self.inner();
        draw(&mut inner.rng, &inner.faults)
    }

    /// Begins to record: every version of every object from now on.
    pub(crate) fn record(&self) {
        let opened = Recording::open(&self.server);
        self.inner().recording = opened;
    }

    /// The recording up to now.
    pub(crate) fn recorded<T>(&self, read: impl FnOnce(&mut Recording) -> T) -> T {
        self.pump();
        read(&mut self.inner().recording)
    }

    /// Waits for something new about Pods and Nodes.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// What is new about Pods and Nodes.
    pub(crate) fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.inner().recording.news)
    }

    /// The log.
    pub(crate) fn log<T>(&self, read: impl FnOnce(&mut Log) -> T) -> T {
        read(&mut self.inner().log)
    }

    /// Says something in the log that is read by people.
    pub(crate) fn note(&self, text: &str) {
        let at = self.begun.elapsed();
        self.inner().log.note(at, text);
    }

    /// Takes out of the server's watches what has happened, in one order, and puts it on its way.
    pub(crate) fn pump(&self) {
        let inner = &mut *self.inner();
        inner.recording.take();
        if !inner.recording.news.is_empty() {
            self.news.notify_one();
        }
        inner.watches.take(&mut inner.rng, &inner.faults);
    }

    /// Version of the last write.
    pub(crate) fn version(&self) -> u64 {
        self.server.version()
    }

    /// Has the server answer a request now. What it changes is seen by every watch after it.
    fn serve(&self, who: Who, request: Request<Body>) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().now_or_never().and_then(Result::ok);
        let bytes = bytes.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let line = format!("{who:?} {} {}", parts.method, parts.uri);
        let watched = watches::asked(&parts);
        let sent = bytes.clone();
        let request = Request::from_parts(parts, Body::from(bytes));
        let answered = tower::ServiceExt::oneshot(self.server.clone(), request).now_or_never();
        let Some(Ok(response)) = answered else {
            unreachable!("the server answers at once");
        };
        self.pump();
        let (parts, body) = response.into_parts();
        let at = self.begun.elapsed();
        let inner = &mut *self.inner();
        if let (Some(until), true) = (watched, parts.status.is_success()) {
            inner.log.request(at, &line, &sent, parts.status.as_u16(), &[]);
            let stream = inner.watches.open(body, until, inner.faults.lag(&mut inner.rng));
            return Response::from_parts(parts, Answer::stream(stream));
        }
        let bytes = body.collect().now_or_never().and_then(Result::ok);
        let bytes = bytes.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        inner.log.request(at, &line, &sent, parts.status.as_u16(), &bytes);
        if inner.faults.compacts(&mut inner.rng) {
            self.server.compact(self.server.version());
        }
        Response::from_parts(parts, Answer::full(bytes))
    }

    /// Sends a request without any fault and has its answer at once: for kubelets and the user.
    pub(crate) fn send(&self, who: Who, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let kind = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let bytes = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, kind)
            .body(Body::from(bytes))
            .unwrap();
        let response = self.serve(who, request);
        let code = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .now_or_never()
            .unwrap()
            .unwrap()
            .to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Carries one request there and its answer back.
    async fn carry(
        self: Arc<Self>,
        (who, life): (Who, Arc<Life>),
        request: Request<Body>,
        fate: Fate,
        answer: oneshot::Sender<Response<Answer>>,
    ) {
        sleep(fate.there).await;
        if fate.crash == Some(Crash::Before) {
            self.note(&format!("{who:?} is killed before {}", request.uri().path()));
            life.end();
            return;
        }
        if fate.request_lost {
            self.note(&format!(
                "{who:?}: {} {} is lost",
                request.method(),
                request.uri().path()
            ));
            sleep(fate.breaks_after).await;
            return;
        }
        let what = format!("{} {}", request.method(), request.uri().path());
        let response = self.serve(who, request);
        if fate.crash == Some(Crash::After) {
            self.note(&format!("{who:?} is killed after {what}"));
            life.end();
            return;
        }
        if fate.answer_lost {
            self.note(&format!("{who:?}: the answer to {what} is lost"));
            sleep(fate.breaks_after).await;
            return;
        }
        sleep(fate.back).await;
        // who no longer waits does not mind
        drop(answer.send(response));
    }
}

/// A client's way to the API server.
#[derive(Clone)]
pub(crate) struct Line {
    network: Arc<Network>,
    who: Who,
    life: Arc<Life>,
}

impl tower::Service<Request<Body>> for Line {
    type Response = Response<Answer>;
    type Error = Lost;
    type Future = BoxFuture<'static, Result<Response<Answer>, Lost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.life.is_over() {
            return futures::future::pending().boxed();
        }
        let (answer, answered) = oneshot::channel();
        let mut fate = self.network.draw(|rng, faults| faults.fate(rng, &request));
        fate.crash = self.network.count(&request).or(fate.crash);
        let from = (self.who, self.life.clone());
        // what is under way arrives, whatever becomes of who sent it
        tokio::spawn(self.network.clone().carry(from, request, fate, answer));
        let life = self.life.clone();
        async move {
            match answered.await {
                Ok(answer) => Ok(answer),
                Err(_) if life.is_over() => futures::future::pending().await,
                Err(_) => Err(Lost),
            }
        }
        .boxed()
    }
}

/// A random time, to the millisecond, as timers have it.
pub(crate) fn between(rng: &mut StdRng, least: Duration, most: Duration) -> Duration {
    let (least, most) = (least.as_millis(), most.as_millis());
    let drawn = if least < most {
        rng.random_range(least..=most)
    } else {
        least
    };
    Duration::from_millis(u64::try_from(drawn).unwrap_or(u64::MAX))
}
