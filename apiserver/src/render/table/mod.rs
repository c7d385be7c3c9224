//! `Table`: rows and columns for people, as `kubectl get` prints them.

mod age;
mod builtin;
mod custom;
mod path;
mod pod;
mod texts;
mod workload;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Include;
use crate::object::{self, has};
use crate::registry::Kind;

/// A column as the table describes it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

impl Column {
    fn new(name: &str, kind: &str, priority: i64) -> Self {
        let format = if name == "Name" { "name" } else { "" };
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: format.to_owned(),
            description: String::new(),
            priority,
        }
    }

    fn to_value(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority,
        })
    }
}

/// A table of objects. The columns are left out when they were sent before.
pub(crate) fn table(
    kind: &Kind,
    items: &[Arc<Value>],
    include: Include,
    with_columns: bool,
    meta: &Value,
    now: Timestamp,
) -> Value {
    let columns: Value = if with_columns {
        columns(kind).iter().map(Column::to_value).collect()
    } else {
        Value::Null
    };
    let rows: Vec<Value> = items.iter().map(|item| row(kind, item, include, now)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns, "rows": rows,
    })
}

fn columns(kind: &Kind) -> Vec<Column> {
    match &kind.custom {
        Some(custom) => custom::columns(custom),
        None => builtin::columns(kind),
    }
}

fn row(kind: &Kind, item: &Arc<Value>, include: Include, now: Timestamp) -> Value {
    let cells = match &kind.custom {
        Some(custom) => custom::cells(custom, item, now),
        None => builtin::cells(kind, item, now),
    };
    let object = match include {
        Include::None => Value::Null,
        Include::Metadata => super::partial(item),
        Include::Object => {
            let mut whole = crate::convert::to_served(kind, item).into_owned();
            crate::verbs::body::add_type(kind, &mut whole);
            whole
        }
    };
    let mut row = json!({"cells": cells, "object": object});
    if kind.plural == "pods" && !kind.is_custom() && pod::has_ended(item) {
        object::put(&mut row, "conditions", Some(pod::ended_condition(item)));
    }
    row
}

/// The age of an object, from its creation.
fn age_of(value: &Value, now: Timestamp) -> Value {
    since(value, &["metadata", "creationTimestamp"], now)
}

/// The time since a moment that an object names; `<unknown>` without one.
fn since(value: &Value, path: &[&str], now: Timestamp) -> Value {
    if !has(value, path) {
        return "<unknown>".into();
    }
    age::since(object::text(value, path), now).into()
}
