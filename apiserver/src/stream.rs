//! The stream of a watch: woken by changes, read from the log, one line for each event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Response;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::body::Body;
use crate::render::{self, Form, Include};
use crate::server::Server;
use crate::status::Refusal;
use crate::store::{Change, Compacted, Stored};
use crate::verbs::watch::Start;

/// Between two bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// From the last bookmark to the end that was asked for.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// Changes taken from the log at once.
const BATCH: usize = 500;

/// Marks the bookmark after the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

struct Watching {
    server: Server,
    start: Start,
    form: Form,
    pending: VecDeque<Bytes>,
    until: Instant,
    bookmark_at: Instant,
    /// Whether everything up to the version asked for was had.
    begun: bool,
    /// Whether the columns of the table were sent.
    has_columns: bool,
    ended: bool,
}

/// The answer to a watch.
pub(crate) fn response(server: Server, start: Start, form: Form) -> Response<Body> {
    let now = Instant::now();
    let far = now.checked_add(Duration::from_secs(86_400)).unwrap_or(now);
    let until = now.checked_add(start.timeout).unwrap_or(far);
    let mut watching = Watching {
        until,
        bookmark_at: next_bookmark(now, until),
        server,
        start,
        form,
        pending: VecDeque::new(),
        begun: false,
        has_columns: false,
        ended: false,
    };
    watching.push_initial();
    let stream = futures::stream::unfold(watching, |mut watching| async move {
        let next = watching.next().await?;
        Some((next, watching))
    });
    let mut response = Response::new(Body::stream(stream.boxed()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// When the next bookmark is due: every minute, and shortly before the end, so that a client resumes at what is new.
fn next_bookmark(now: Instant, until: Instant) -> Instant {
    let regular = now.checked_add(BOOKMARK_EVERY).unwrap_or(until);
    let last = until.checked_sub(BOOKMARK_BEFORE_END);
    last.filter(|last| *last > now)
        .map_or(regular, |last| last.min(regular))
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            // Seen before reading, so that a change after the reading wakes again.
            self.start.news.mark_unchanged();
            self.read();
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                changed = self.start.news.changed() => self.ended = changed.is_err(),
                () = sleep_until(self.until) => self.ended = true,
                () = sleep_until(self.bookmark_at) => self.bookmark(),
            }
        }
    }

    fn push_initial(&mut self) {
        let now = self.server.state().sources.now();
        for stored in std::mem::take(&mut self.start.initial) {
            self.push("ADDED", &stored, now);
        }
        if self.start.mark_initial_end {
            self.push_bookmark(true);
        }
    }

    /// Takes what has changed from the log.
    fn read(&mut self) {
        let (changes, version, now) = {
            let state = self.server.state();
            let (store, collection) = (&state.store, &self.start.kind.collection);
            let changes = if self.begun {
                store.changes_missed(collection, self.start.version, BATCH)
            } else {
                store.changes_after(collection, self.start.version, BATCH)
            };
            (changes, state.store.version(), state.sources.now())
        };
        match changes {
            Ok(changes) => {
                self.begun = true;
                for change in &changes {
                    self.push_change(change, now);
                }
                if changes.len() < BATCH {
                    self.start.version = version.max(self.start.version);
                }
            }
            Err(compacted) => self.push_expired(compacted),
        }
    }

    fn push_change(&mut self, change: &Change, now: Timestamp) {
        self.start.version = change.version;
        if let Some((kind, stored)) = self.start.event(change) {
            self.push(kind.as_str(), &stored, now);
        }
    }

    fn push_expired(&mut self, Compacted { asked, oldest }: Compacted) {
        let refusal = Refusal::expired(format!("too old resource version: {asked} ({oldest})"));
        self.pending
            .push_back(line("ERROR", refusal.to_value().to_string().as_bytes()));
        self.ended = true;
    }

    fn push(&mut self, event: &str, stored: &Stored, now: Timestamp) {
        let mut line = begin(event, stored.len());
        match self.form {
            Form::Json => render::stored(&mut line, &self.start.kind, stored),
            Form::Table(include) => {
                let value = stored.value();
                let table = render::table::table(
                    &self.start.kind,
                    std::slice::from_ref(&value),
                    include,
                    !self.has_columns,
                    &json!({"resourceVersion": crate::object::meta_text(&value, "resourceVersion")}),
                    now,
                );
                self.has_columns = true;
                line.extend(table.to_string().into_bytes());
            }
            form @ Form::Partial => {
                render::one(&mut line, form, &self.start.kind, &stored.value(), now);
            }
        }
        self.pending.push_back(end(line));
    }

    fn bookmark(&mut self) {
        self.bookmark_at = next_bookmark(Instant::now(), self.until);
        self.start.news.mark_unchanged();
        self.read();
        // With changes to show, these carry the version.
        if self.start.bookmarks && self.pending.is_empty() && !self.ended {
            self.push_bookmark(false);
        }
    }

    fn push_bookmark(&mut self, initial_end: bool) {
        let mut meta = json!({"resourceVersion": self.start.version.to_string()});
        if initial_end {
            crate::object::put(&mut meta, "annotations", Some(json!({INITIAL_END: "true"})));
        }
        let kind = &self.start.kind;
        let object = match self.form {
            Form::Json => json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": meta}),
            Form::Partial => render::partial(&json!({"metadata": meta})),
            Form::Table(_) => render::table::table(
                kind,
                &[Arc::new(json!({"metadata": meta}))],
                Include::Metadata,
                !self.has_columns,
                &json!({"resourceVersion": self.start.version.to_string()}),
                Timestamp::UNIX_EPOCH,
            ),
        };
        self.pending
            .push_back(line("BOOKMARK", object.to_string().as_bytes()));
    }
}

/// Beside the object: its type and what is around it.
const AROUND_BYTES: usize = 160;

/// The beginning of an event, up to its object, and room for that.
fn begin(event: &str, length: usize) -> Vec<u8> {
    let mut line = Vec::with_capacity(length.saturating_add(AROUND_BYTES));
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line
}

/// The end of an event, with its newline.
fn end(mut line: Vec<u8>) -> Bytes {
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}

/// One event, in JSON, with its newline.
fn line(event: &str, object: &[u8]) -> Bytes {
    let mut line = begin(event, object.len());
    line.extend_from_slice(object);
    end(line)
}
