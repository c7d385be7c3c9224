//! The API server's audit log, where the cluster offers it (`ECS_AUDIT_LOG`): what the installed operator wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use serde_json::Value;

/// Whom the installed operator is to the API server.
const OPERATOR: &str = "system:serviceaccount:ecs-operator:ecs-operator";

/// A write of the operator.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// As in `create tasks` or `patch containerinstances/status`.
    pub(crate) what: String,
    /// When the API server received it.
    pub(crate) received: String,
}

/// A place in the audit log.
pub(crate) struct AuditLog {
    path: String,
    from: u64,
}

impl AuditLog {
    /// The end of the log as it is now; `None`, and a word about it, if there is no log.
    pub(crate) fn now(scenario: &str) -> Option<Self> {
        let Ok(path) = std::env::var("ECS_AUDIT_LOG") else {
            eprintln!("left out: {scenario} reads the audit log of the harness of e2e/cluster");
            return None;
        };
        let from = std::fs::metadata(&path).expect("the audit log").len();
        Some(Self { path, from })
    }

    /// What the operator has written since to a namespace and to what has none, in order; leases and events do not
    /// count.
    pub(crate) fn writes(&self, namespace: &str) -> Vec<Write> {
        let mut file = File::open(&self.path).expect("the audit log");
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        // the last line may not be there whole yet
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let mut writes: Vec<Write> = events.filter_map(|event| write_of(&event, namespace)).collect();
        writes.sort_by(|a, b| a.received.cmp(&b.received));
        writes
    }
}

fn write_of(event: &Value, namespace: &str) -> Option<Write> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let verb = text("/verb")?;
    let resource = text("/objectRef/resource")?;
    let counts = text("/stage") == Some("ResponseComplete")
        && text("/user/username") == Some(OPERATOR)
        && !matches!(verb, "get" | "list" | "watch")
        && !matches!(resource, "leases" | "events")
        && text("/objectRef/namespace").is_none_or(|of| of == namespace);
    let part = text("/objectRef/subresource").map_or(String::new(), |part| format!("/{part}"));
    counts.then(|| Write {
        what: format!("{verb} {resource}{part}"),
        received: text("/requestReceivedTimestamp").unwrap_or_default().to_owned(),
    })
}

/// How often each was written.
pub(crate) fn tally(writes: &[Write]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for write in writes {
        *counts.entry(write.what.as_str()).or_default() += 1;
    }
    counts
}
