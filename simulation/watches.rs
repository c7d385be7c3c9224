//! Watches: what the server tells them is taken out in one order, right after the write, and arrives later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use embedded_apiserver::body::Body as Answer;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::BodyExt;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::faults::{Faults, Lag};
use crate::network::between;

/// Time for which a watch is held up.
const STALL_MAX: Duration = Duration::from_secs(60);
/// A watch that names no end.
const FOREVER: Duration = Duration::from_secs(86_400);

/// How long the watch is to last that a request asks for; `None` if it asks for none.
pub(crate) fn asked(parts: &http::request::Parts) -> Option<Duration> {
    let query = parts.uri.query().unwrap_or_default();
    let member = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    member("watch").filter(|value| *value != "false")?;
    let seconds = member("timeoutSeconds").and_then(|s| s.parse().ok());
    Some(seconds.map_or(FOREVER, Duration::from_secs))
}

/// The events of an answer as they are there.
pub(crate) fn events(body: Answer) -> BoxStream<'static, Bytes> {
    body.into_data_stream()
        .filter_map(|frame| async move { frame.ok() })
        .boxed()
}

/// What is there of a stream without waiting; whether it has ended.
pub(crate) fn ready(source: &mut BoxStream<'static, Bytes>, mut each: impl FnMut(Bytes)) -> bool {
    let mut context = Context::from_waker(futures::task::noop_waker_ref());
    loop {
        match source.poll_next_unpin(&mut context) {
            Poll::Ready(Some(event)) => each(event),
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
}

/// Events on their way to one client.
#[derive(Debug, Default)]
struct Way {
    events: Mutex<VecDeque<(Instant, Bytes)>>,
    /// When nothing more comes.
    closed: Mutex<Option<Instant>>,
    news: Notify,
}

impl Way {
    fn close(&self, at: Instant) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.news.notify_one();
    }
}

/// One open watch.
struct Watch {
    source: BoxStream<'static, Bytes>,
    way: Arc<Way>,
    lag: Lag,
    last: Instant,
}

/// All open watches, in the order of their opening.
#[derive(Default)]
pub(crate) struct Watches {
    open: BTreeMap<u64, Watch>,
    number: u64,
}

impl Watches {
    /// Opens one; what the client sees of it.
    pub(crate) fn open(&mut self, body: Answer, lasts: Duration, lag: Lag) -> BoxStream<'static, Bytes> {
        let now = Instant::now();
        let way = Arc::new(Way::default());
        let watch = Watch {
            source: events(body),
            way: way.clone(),
            lag,
            last: now,
        };
        self.number += 1;
        self.open.insert(self.number, watch);
        arriving(way, now + lasts)
    }

    /// Takes what has happened and puts it on its way.
    pub(crate) fn take(&mut self, rng: &mut StdRng, faults: &Faults) {
        self.open
            .retain(|_, watch| Arc::strong_count(&watch.way) > 1 && !watch.take(rng, faults));
    }
}

impl Watch {
    /// Whether it has ended.
    fn take(&mut self, rng: &mut StdRng, faults: &Faults) -> bool {
        let mut events = Vec::new();
        let mut ended = ready(&mut self.source, |event| events.push(event));
        for event in events {
            if faults.is_none() {
                self.lag = Lag::short();
            }
            let mut due = Instant::now() + between(rng, Duration::from_millis(1), self.lag.most);
            if rng.random_bool(self.lag.stalls) {
                due += between(rng, Duration::ZERO, STALL_MAX);
            }
            self.last = self.last.max(due);
            if rng.random_bool(self.lag.closes) {
                ended = true;
                break;
            }
            let mut queue = self.way.events.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back((self.last, event));
            self.way.news.notify_one();
        }
        if ended {
            self.way.close(self.last);
        }
        ended
    }
}

/// Events as they arrive, until the watch is over.
fn arriving(way: Arc<Way>, until: Instant) -> BoxStream<'static, Bytes> {
    stream::unfold(way, move |way| async move {
        loop {
            let closed = *way.closed.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let next = {
                let mut queue = way.events.lock().unwrap_or_else(PoisonError::into_inner);
                if queue.front().is_some_and(|(due, _)| *due <= now)
                    && let Some((_, event)) = queue.pop_front()
                {
                    drop(queue);
                    return Some((event, way));
                }
                queue.front().map(|(due, _)| *due)
            };
            let end = closed.filter(|_| next.is_none()).unwrap_or(until).min(until);
            if end <= now {
                return None;
            }
            let wake = next.unwrap_or(end).min(end);
            tokio::select! {
                biased;
                () = way.news.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    })
    .boxed()
}
