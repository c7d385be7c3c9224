//! The columns that a definition names.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, age, path};
use crate::object;
use crate::registry::Custom;
use crate::registry::custom::Column as Printed;

pub(super) fn columns(custom: &Custom) -> Vec<Column> {
    let mut columns = vec![Column::new("Name", "string", 0)];
    if custom.columns.is_empty() {
        columns.push(Column::new("Age", "date", 0));
    }
    columns.extend(custom.columns.iter().map(|column| Column {
        name: column.name.clone(),
        kind: column.kind.clone(),
        format: column.format.clone(),
        description: column.description.clone(),
        priority: column.priority,
    }));
    columns
}

pub(super) fn cells(custom: &Custom, value: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![Value::from(object::name(value))];
    if custom.columns.is_empty() {
        cells.push(super::age_of(value, now));
    }
    cells.extend(custom.columns.iter().map(|column| cell(column, value, now)));
    cells
}

/// A cell; null where the path leads nowhere, or to something of another type.
fn cell(column: &Printed, value: &Value, now: Timestamp) -> Value {
    let found = path::find(value, &column.json_path);
    let Some(first) = found.first().filter(|first| !first.is_null()) else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "integer" if first.is_i64() || first.is_u64() => Value::clone(first),
        "integer" => first
            .as_f64()
            .map_or(Value::Null, |number| Value::from(number.trunc())),
        "number" if first.is_number() => Value::clone(first),
        "boolean" if first.is_boolean() => Value::clone(first),
        "date" => first
            .as_str()
            .map_or(Value::Null, |moment| match moment.parse::<Timestamp>() {
                Ok(_) => age::since(moment, now).into(),
                Err(_) => Value::from("<invalid>"),
            }),
        "string" if found.len() > 1 => Value::from(
            found
                .iter()
                .map(|value| shown(value))
                .collect::<Vec<_>>()
                .join(","),
        ),
        "string" => Value::from(shown(first)),
        _ => Value::Null,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
