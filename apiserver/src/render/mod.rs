//! The form of an answer: JSON, or the parts of it that a client asks for by its `Accept` header.

mod accept;
pub(crate) mod table;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) use accept::{Form, Include, negotiate};

use crate::convert;
use crate::registry::{Kind, Role};
use crate::store::Stored;
use crate::verbs::Answer;

/// Writes an object with its apiVersion and kind, which are not stored with it.
pub(crate) fn object(out: &mut Vec<u8>, kind: &Kind, value: &Value) {
    let value = convert::to_served(kind, value);
    with_type(out, &kind.api_version(), &kind.kind, &value);
}

/// Writes an object as it is stored, with its apiVersion and kind. What is stored is shown as it is, but for Events.
pub(crate) fn stored(out: &mut Vec<u8>, kind: &Kind, stored: &Stored) {
    if kind.role == Role::Event {
        return object(out, kind, &stored.value());
    }
    json_to(out, &json!({"apiVersion": kind.api_version(), "kind": kind.kind}));
    let text = stored.text();
    if let Some(members) = text.strip_prefix(b"{").filter(|members| *members != b"}") {
        out.pop();
        out.push(b',');
        out.extend_from_slice(members);
    }
}

fn with_type(out: &mut Vec<u8>, api_version: &str, kind: &str, value: &Value) {
    json_to(out, &json!({"apiVersion": api_version, "kind": kind}));
    let Some(members) = value.as_object() else { return };
    if !members.keys().any(|name| name == "apiVersion" || name == "kind") {
        if !members.is_empty() {
            out.pop();
            let joint = out.len();
            json_to(out, value);
            if let Some(brace) = out.get_mut(joint) {
                *brace = b',';
            }
        }
        return;
    }
    // Dry runs answer with what was to be stored, which may still carry them.
    let typed = out.iter().rposition(|byte| *byte == b'{').unwrap_or(0);
    out.truncate(typed);
    let mut members = members.clone();
    members.insert("apiVersion".to_owned(), api_version.into());
    members.insert("kind".to_owned(), kind.into());
    json_to(out, &Value::Object(members));
}

fn json_to(out: &mut Vec<u8>, value: &Value) {
    // Writing a JSON value into memory cannot fail.
    drop(serde_json::to_writer(out, value));
}

/// The metadata of an object as an object of its own.
pub(crate) fn partial(value: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": value.get("metadata").cloned().unwrap_or(Value::Null),
    })
}

/// Writes one object in a form.
pub(crate) fn one(out: &mut Vec<u8>, form: Form, kind: &Kind, value: &Arc<Value>, now: Timestamp) {
    match form {
        Form::Json => object(out, kind, value),
        Form::Partial => json_to(out, &partial(value)),
        Form::Table(include) => {
            json_to(
                out,
                &table::table(
                    kind,
                    std::slice::from_ref(value),
                    include,
                    true,
                    &json!({"resourceVersion": version(value)}),
                    now,
                ),
            );
        }
    }
}

fn version(value: &Value) -> &str {
    crate::object::meta_text(value, "resourceVersion")
}

/// Writes an answer; its HTTP status code.
pub(crate) fn answer(out: &mut Vec<u8>, form: Form, answer: &Answer, now: Timestamp) -> u16 {
    match answer {
        Answer::Object { code, kind, value } => {
            one(out, form, kind, value, now);
            *code
        }
        Answer::Stored { kind, stored: found } => {
            match form {
                Form::Json => stored(out, kind, found),
                form => one(out, form, kind, &found.value(), now),
            }
            200
        }
        Answer::Plain { code, value } => {
            json_to(out, value);
            *code
        }
        Answer::List(list) => {
            let mut meta = Map::new();
            meta.insert("resourceVersion".to_owned(), list.version.to_string().into());
            // A list of custom objects says so when it is the last page.
            if !list.next.is_empty() || (list.kind.is_custom() && form == Form::Json) {
                meta.insert("continue".to_owned(), list.next.as_str().into());
            }
            if let Some(remaining) = list.remaining {
                meta.insert("remainingItemCount".to_owned(), remaining.into());
            }
            items(out, form, &list.kind, &list.items, &Value::Object(meta), now);
            200
        }
        Answer::Watch(_) => 200,
    }
}

fn items(out: &mut Vec<u8>, form: Form, kind: &Kind, items: &[Arc<Stored>], meta: &Value, now: Timestamp) {
    let (api_version, list_kind) = match form {
        Form::Table(include) => {
            let items: Vec<Arc<Value>> = items.iter().map(|item| item.value()).collect();
            return json_to(out, &table::table(kind, &items, include, true, meta, now));
        }
        Form::Json => (kind.api_version(), kind.list_kind.as_str()),
        Form::Partial => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
    };
    json_to(
        out,
        &json!({"apiVersion": api_version, "kind": list_kind, "metadata": meta}),
    );
    out.pop();
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match form {
            Form::Partial => json_to(out, &partial(&item.value())),
            // Items of built-in kinds do not repeat what the list says.
            _ if kind.role == Role::Event => json_to(out, &convert::to_served(kind, &item.value())),
            _ if !kind.is_custom() => out.extend_from_slice(&item.text()),
            _ => stored(out, kind, item),
        }
    }
    out.extend_from_slice(b"]}");
}
