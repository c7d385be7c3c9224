//! Tables as kubectl prints them: the API server says the columns, we lay them out.

use anyhow::Context as _;
use http::header::ACCEPT;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A `meta.k8s.io/v1` Table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
}

impl Table {
    /// What is at a path of the API.
    pub(super) async fn get(client: &Client, path: &str) -> anyhow::Result<Self> {
        let request = http::Request::get(path)
            .header(ACCEPT, AS_TABLE)
            .body(Vec::new())?;
        client
            .request(request)
            .await
            .with_context(|| format!("cannot list {path}"))
    }

    /// A table of our own.
    #[must_use]
    pub(super) fn of(heads: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            priority: 0,
        };
        Self {
            column_definitions: heads.iter().map(column).collect(),
            rows: rows.into_iter().map(|cells| Row { cells }).collect(),
        }
    }

    /// Orders the rows by a column.
    #[must_use]
    pub(super) fn sorted_by(mut self, column: &str) -> Self {
        let at = self.column_definitions.iter().position(|c| c.name == column);
        self.rows
            .sort_by_key(|row| at.and_then(|at| row.cells.get(at)).map(shown));
        self
    }

    /// The lines, columns three spaces apart, as kubectl prints them without `-o wide`.
    #[must_use]
    pub(super) fn lines(&self) -> Vec<String> {
        let wanted: Vec<usize> = (0..self.column_definitions.len())
            .filter(|at| self.column_definitions.get(*at).is_some_and(|c| c.priority == 0))
            .collect();
        let heads = self.column_definitions.iter().map(|c| c.name.to_uppercase());
        let mut lines: Vec<Vec<String>> = vec![heads.collect()];
        lines.extend(self.rows.iter().map(|row| row.cells.iter().map(shown).collect()));
        let cell = |line: &[String], at: usize| line.get(at).cloned().unwrap_or_default();
        let width = |at: usize| {
            let widths = lines.iter().map(|line| cell(line, at).chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: Vec<usize> = wanted.iter().map(|at| width(*at)).collect();
        let laid_out = |line: &Vec<String>| {
            let cells = wanted.iter().zip(&widths);
            let padded: Vec<String> = cells
                .map(|(at, width)| format!("{:width$}", cell(line, *at)))
                .collect();
            padded.join("   ").trim_end().to_owned()
        };
        lines.iter().map(laid_out).collect()
    }
}

fn shown(cell: &Value) -> String {
    match cell {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_laid_out_as_kubectl_does() {
        let table: Table = serde_json::from_value(serde_json::json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Zone", "priority": 1}, {"name": "Ready", "priority": 0}],
            "rows": [{"cells": ["node-10", "a", true]}, {"cells": ["b", "a", null]}],
        }))
        .unwrap();
        assert_eq!(
            table.lines(),
            ["NAME      READY", "node-10   true", "b         <none>"]
        );
        let sorted = table.sorted_by("Name").lines();
        assert_eq!(sorted[1], "b         <none>");
    }
}
