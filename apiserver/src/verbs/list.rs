//! List, over a snapshot that stays the same from page to page.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Answer;
use crate::fields_of;
use crate::registry::Kind;
use crate::request::{Call, Target};
use crate::selector::{Fields, Labels};
use crate::state::State;
use crate::status::{Cause, Refusal};
use crate::store::{Key, Marks, Snapshot, Stored};

/// The objects that were asked for.
pub(crate) struct List {
    /// The kind they are served as.
    pub(crate) kind: Arc<Kind>,
    /// The objects as stored.
    pub(crate) items: Vec<Arc<Stored>>,
    /// The version of the list.
    pub(crate) version: u64,
    /// Where the next page begins; empty when this was the last.
    pub(crate) next: String,
    /// How many objects follow, where that is known.
    pub(crate) remaining: Option<usize>,
}

/// Which objects of a collection are meant.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    kind: Arc<Kind>,
    namespace: String,
    name: String,
    labels: Labels,
    fields: Fields,
    /// What an object has at least that is meant.
    marks: Marks,
}

impl Selection {
    pub(crate) fn parse(target: &Target, call: &Call) -> Result<Self, Refusal> {
        let labels = Labels::parse(call.query.get("labelSelector")).map_err(Refusal::bad_request)?;
        let fields = Fields::parse(call.query.get("fieldSelector")).map_err(Refusal::bad_request)?;
        for term in &fields.0 {
            fields_of::check(&target.kind, &term.field)?;
        }
        let name = fields.exact("metadata.name").unwrap_or_default().to_owned();
        // of custom objects a field may be a number
        let node = fields.exact("spec.nodeName").filter(|_| !target.kind.is_custom());
        let marks = labels.marks().with_node(node.unwrap_or_default());
        Ok(Self {
            kind: target.kind.clone(),
            namespace: target.namespace.clone(),
            name,
            labels,
            fields,
            marks,
        })
    }

    /// Whether an object is meant. It is decoded only if that depends on what is in it.
    pub(crate) fn matches(&self, key: &Key, stored: &Stored) -> bool {
        (self.namespace.is_empty() || key.namespace() == self.namespace)
            && stored.marks().may_have(self.marks)
            && (self.is_everything() || self.selects(&stored.value()))
    }

    fn selects(&self, value: &Value) -> bool {
        self.labels.matches(value)
            && (self.fields.0.is_empty()
                || self
                    .fields
                    .matches(|field| fields_of::read(&self.kind, value, field)))
    }

    /// Whether nothing but the namespace limits the selection.
    fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.0.is_empty()
    }

    /// The objects of a snapshot from a key on, in order.
    pub(crate) fn select<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        from: &str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Stored>)> {
        let prefix = if self.namespace.is_empty() {
            String::new()
        } else {
            format!("{}/", self.namespace)
        };
        let only = self.only(&prefix);
        let begin = from.max(only.as_deref().unwrap_or(&prefix)).to_owned();
        snapshot
            .objects
            .range::<_, str>((Bound::Included(begin.as_str()), Bound::Unbounded))
            .take_while(move |(key, _)| match &only {
                Some(only) => key.as_str() == only,
                None => key.as_str().starts_with(&prefix),
            })
            .filter(|(key, stored)| self.matches(key, stored))
    }

    /// The one key that can match, if the selection says so.
    fn only(&self, prefix: &str) -> Option<String> {
        let known = !self.name.is_empty() && (self.kind.namespaced != self.namespace.is_empty());
        known.then(|| format!("{prefix}{}", self.name))
    }
}

pub(super) fn list(state: &State, target: &Target, call: &Call) -> Result<Answer, Refusal> {
    select(state, target, call).map(Answer::List)
}

/// Reads the query and collects a page.
pub(super) fn select(state: &State, target: &Target, call: &Call) -> Result<List, Refusal> {
    check_options(call)?;
    let selection = Selection::parse(target, call)?;
    let limit = call
        .query
        .number("limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(0);
    let (snapshot, from) = snapshot(state, target, call)?;
    let mut items = Vec::new();
    let mut next = String::new();
    let mut remaining = None;
    let mut selected = selection.select(&snapshot, &from);
    let mut last: Option<&Key> = None;
    while let Some((key, stored)) = selected.next() {
        if limit > 0 && items.len() >= limit {
            next = last.map_or_else(String::new, |last| token(snapshot.version, last));
            remaining = selection
                .is_everything()
                .then(|| selected.count().saturating_add(1));
            break;
        }
        items.push(stored.clone());
        last = Some(key);
    }
    Ok(List {
        kind: target.kind.clone(),
        items,
        version: snapshot.version,
        next,
        remaining,
    })
}

fn check_options(call: &Call) -> Result<(), Refusal> {
    let (version, matching) = (
        call.query.get("resourceVersion"),
        call.query.get("resourceVersionMatch"),
    );
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if !call.query.get("sendInitialEvents").is_empty() {
        causes.push(Cause::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    if !matching.is_empty() {
        if version.is_empty() {
            causes.push(Cause::forbidden(
                field,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !call.query.get("continue").is_empty() {
            causes.push(Cause::forbidden(
                field,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        match matching {
            "Exact" if version == "0" => causes.push(Cause::forbidden(
                field,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            )),
            "Exact" | "NotOlderThan" => {}
            other => causes.push(Cause::unsupported(
                field,
                &format!("\"{other}\""),
                &["Exact", "NotOlderThan", ""],
            )),
        }
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid_options("ListOptions", causes))
    }
}

/// The snapshot that the query asks for, and the key to begin at.
fn snapshot(state: &State, target: &Target, call: &Call) -> Result<(Snapshot, String), Refusal> {
    let collection = &target.kind.collection;
    let (version, matching) = (
        call.query.get("resourceVersion"),
        call.query.get("resourceVersionMatch"),
    );
    // a page of a version means that very version, unless it says otherwise
    let page = call.query.number("limit")?.is_some_and(|limit| limit > 0) && !["", "0"].contains(&version);
    let exact = matching == "Exact" || (matching.is_empty() && page);
    let continued = call.query.get("continue");
    let current = state.store.version();
    if !continued.is_empty() {
        let (at, from) = read_token(continued)?;
        let snapshot = match at {
            None => state.store.snapshot(collection),
            Some(at) => state
                .store
                .snapshot_at(collection, at)
                .map_err(|_| page_expired(current, &from))?,
        };
        return Ok((snapshot, from));
    }
    let asked = parse_version(version)
        .map_err(|why| Refusal::bad_request(format!("invalid resource version: {why}")))?;
    if asked > current {
        return Err(Refusal::too_large_version(asked, current));
    }
    if exact {
        let past = state.store.snapshot_at(collection, asked);
        let snapshot = past.map_err(|_| {
            Refusal::expired("The resourceVersion for the provided list is too old.".to_owned())
        })?;
        return Ok((snapshot, String::new()));
    }
    Ok((state.store.snapshot(collection), String::new()))
}

/// A resourceVersion as a number; none is 0.
pub(super) fn parse_version(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let wrong = |_| {
        format!(
            "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
        )
    };
    text.parse().map_err(wrong)
}

/// The continue token of the API server: version and the first key of the next page.
fn token(version: u64, last: &Key) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": format!("/{}\u{0}", last.as_str())});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

/// The version (none: the newest) and the key that a token names.
fn read_token(text: &str) -> Result<(Option<u64>, String), Refusal> {
    let wrong = |why: &str| {
        Refusal::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|error| wrong(&error.to_string()))?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| {
        let first = String::from_utf8_lossy(&bytes).chars().next().unwrap_or(' ');
        wrong(&format!(
            "invalid character '{first}' looking for beginning of value"
        ))
    })?;
    if token.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
        return Err(wrong("server does not recognize this encoded version"));
    }
    let start = token
        .get("start")
        .and_then(Value::as_str)
        .filter(|start| !start.is_empty());
    let start = start.ok_or_else(|| wrong("encoded start key is empty"))?;
    let version = token
        .get("rv")
        .and_then(Value::as_i64)
        .and_then(|version| u64::try_from(version).ok());
    Ok((version, start.trim_start_matches('/').to_owned()))
}

/// 410 with a token that goes on from the same key, on a newer snapshot.
fn page_expired(current: u64, from: &str) -> Refusal {
    let token = json!({"v": "meta.k8s.io/v1", "rv": -1, "start": format!("/{from}")});
    let token = URL_SAFE_NO_PAD.encode(token.to_string());
    tracing::debug!(current, "a page of a list was asked for too late");
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                   list without the continue parameter, or use the continue token in this response to retrieve the \
                   remainder of the results. Continuing with the provided token results in an inconsistent list - \
                   objects that were created, modified, or deleted between the time the first chunk was returned and \
                   now may show up in the list.";
    Refusal::expired(message).continued(token)
}
