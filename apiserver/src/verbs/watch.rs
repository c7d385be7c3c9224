//! Watch: where a stream of changes begins, and what a change looks like to who watches.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::Answer;
use super::list::{Selection, parse_version};
use crate::object;
use crate::registry::Kind;
use crate::request::{Call, Target};
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::store::{Change, Stored};

/// Watches that name no timeout end after this and up to twice this time, in seconds.
const TIMEOUT_SECONDS: u64 = 1800;

/// A watch that is about to begin.
pub(crate) struct Start {
    /// The kind it shows.
    pub(crate) kind: Arc<Kind>,
    /// What it shows of it.
    pub(crate) selection: Selection,
    /// Objects to show as added before any change.
    pub(crate) initial: Vec<Arc<Stored>>,
    /// Whether a bookmark marks the end of these.
    pub(crate) mark_initial_end: bool,
    /// Changes after this version are shown.
    pub(crate) version: u64,
    /// Whether bookmarks are wanted.
    pub(crate) bookmarks: bool,
    /// When the stream ends.
    pub(crate) timeout: Duration,
    /// Wakes when the collection changes.
    pub(crate) news: watch::Receiver<u64>,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventType {
    Added,
    Modified,
    Deleted,
}

impl EventType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

pub(super) fn start(state: &mut State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    let query = &call.query;
    check_options(call)?;
    let selection = Selection::parse(target, call)?;
    let asked = parse_version(query.get("resourceVersion")).map_err(Refusal::plain_error)?;
    let send_initial = query.get("sendInitialEvents");
    let wants_initial = if send_initial.is_empty() {
        asked == 0
    } else {
        query.flag("sendInitialEvents")
    };
    let snapshot = state.store.snapshot(&target.kind.collection);
    if wants_initial && asked > snapshot.version {
        return Err(Refusal::too_large_version(asked, snapshot.version));
    }
    let initial = if wants_initial {
        selection
            .select(&snapshot, "")
            .map(|(_, stored)| stored.clone())
            .collect()
    } else {
        Vec::new()
    };
    let timeout = query
        .number("timeoutSeconds")?
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0);
    let timeout = timeout.unwrap_or_else(|| {
        state
            .sources
            .between(TIMEOUT_SECONDS, TIMEOUT_SECONDS.saturating_mul(2))
    });
    let begins_now = wants_initial || asked == 0;
    Ok(Answer::Watch(Box::new(Start {
        kind: target.kind.clone(),
        selection,
        initial,
        mark_initial_end: query.flag("sendInitialEvents") && query.flag("allowWatchBookmarks"),
        version: if begins_now { snapshot.version } else { asked },
        bookmarks: query.flag("allowWatchBookmarks"),
        timeout: Duration::from_secs(timeout),
        news: state.store.subscribe(&target.kind.collection),
    })))
}

fn check_options(call: &Call) -> Result<(), Refusal> {
    let query = &call.query;
    let field = "resourceVersionMatch";
    let (matching, initial) = (query.get(field), query.get("sendInitialEvents"));
    let mut causes = Vec::new();
    if !initial.is_empty() && matching != "NotOlderThan" {
        causes.push(Cause::forbidden(
            field,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if initial.is_empty() && !matching.is_empty() {
        causes.push(Cause::forbidden(
            field,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid_options("ListOptions", causes))
    }
}

impl Start {
    /// What a change is to this watch; nothing when it concerns only objects that are not selected.
    pub(crate) fn event(&self, change: &Change) -> Option<(EventType, Arc<Stored>)> {
        let before = change
            .before
            .as_ref()
            .filter(|before| self.selection.matches(&change.key, before));
        let is_selected = !change.deleted && self.selection.matches(&change.key, &change.object);
        match (before, is_selected) {
            (None, false) => None,
            (None, true) => Some((EventType::Added, change.object.clone())),
            (Some(_), true) => Some((EventType::Modified, change.object.clone())),
            (Some(_), false) if change.deleted => Some((EventType::Deleted, change.object.clone())),
            (Some(before), false) => {
                // It left the selection: shown as it was while it was in it, with the version of the change.
                let mut last = Value::clone(&before.value());
                object::set_meta(&mut last, "resourceVersion", change.version.to_string());
                Some((EventType::Deleted, Arc::new(Stored::new(Arc::new(last)))))
            }
        }
    }
}
