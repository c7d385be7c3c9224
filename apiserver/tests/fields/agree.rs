//! When an object of ours and one of a real server say the same.

use serde_json::Value;

use super::{Refusal, Step};

/// What was found to differ.
#[derive(Default)]
pub(super) struct Differences(Vec<String>);

impl Differences {
    pub(super) fn add(&mut self, at: &str, text: impl AsRef<str>) {
        self.0.push(format!("{at}: {}", text.as_ref()));
    }

    pub(super) fn assert_none(&self) {
        assert!(
            self.0.is_empty(),
            "{} differences:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }

    pub(super) fn refusal(&mut self, at: &str, ours: &Refusal, code: u64, theirs: &Value) {
        let text = |member: &str| theirs[member].as_str().unwrap_or_default();
        // Errors of a shape come in the order of a map.
        let sorted = |message: &str| {
            let mut lines: Vec<String> = message.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let same = sorted(&ours.message) == sorted(text("message"));
        if u64::from(ours.code) != code || ours.reason != text("reason") || !same {
            let Refusal {
                code,
                reason,
                message,
                ..
            } = ours;
            self.add(at, format!("{code} {reason} {message:?}\n    but {theirs}"));
            return;
        }
        let causes = theirs["details"]["causes"].as_array().into_iter().flatten();
        let text = |cause: &Value, member: &str| cause[member].as_str().unwrap_or_default().to_owned();
        let mut causes: Vec<_> = causes
            .map(|cause| (text(cause, "field"), text(cause, "message")))
            .collect();
        let mut ours = ours.causes.clone();
        causes.sort();
        ours.sort();
        if ours != causes {
            self.add(at, format!("causes {ours:?} but {causes:?}"));
        }
    }

    /// Everything in ours is in theirs; theirs has more only where the server sets defaults, and nothing more that was
    /// there before with that value.
    pub(super) fn object(
        &mut self,
        at: &str,
        ours: &Value,
        theirs: &Value,
        live: Option<&Value>,
        step: &Step<'_>,
    ) {
        let view = |object: &Value| {
            let mut object = without_server_fields(object);
            if let Some(members) = object.as_object_mut() {
                match step.subresource() {
                    "status" => members.retain(|key, _| key == "status"),
                    _ => {
                        members.remove("status");
                    }
                }
            }
            object
        };
        let (ours, theirs, live) = (view(ours), view(theirs), live.map(view));
        if let Some(path) = disagreement(&ours, &theirs, live.as_ref()) {
            self.add(at, format!("at {path}: {ours}\n    but {theirs}"));
        }
    }

    pub(super) fn managed_fields(&mut self, at: &str, ours: &Value, theirs: &Value) {
        let [ours, theirs] = [ours, theirs].map(|object| object.pointer("/metadata/managedFields"));
        if ours != theirs {
            let show = |value: Option<&Value>| value.map_or("none".to_owned(), ToString::to_string);
            self.add(
                at,
                format!("managedFields {}\n    but {}", show(ours), show(theirs)),
            );
        }
    }
}

/// The object without what only the server sets.
pub(super) fn without_server_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let own = [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
            "namespace",
        ];
        metadata.retain(|key, _| !own.contains(&key.as_str()));
    }
    object
}

/// The first path where the two do not agree.
fn disagreement(ours: &Value, theirs: &Value, live: Option<&Value>) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(own), Value::Object(other)) => {
            let of_live = |key: &str| live.and_then(|live| live.get(key));
            for (key, member) in own.iter().filter(|(_, member)| !is_nothing(member)) {
                let found = other.get(key).unwrap_or(&Value::Null);
                if let Some(path) = disagreement(member, found, of_live(key)) {
                    return Some(format!(".{key}{path}"));
                }
            }
            let kept =
                |key: &&String| own.get(*key).is_none_or(is_nothing) && of_live(key) == other.get(*key);
            other
                .iter()
                .filter(|(_, member)| !is_nothing(member))
                .map(|(key, _)| key)
                .find(kept)
                .map(|key| format!(".{key} is kept"))
        }
        (Value::Array(own), Value::Array(other)) => {
            if own.len() != other.len() {
                return Some(" length".to_owned());
            }
            let same_length = live
                .and_then(Value::as_array)
                .filter(|live| live.len() == own.len());
            let mut pairs = own.iter().zip(other).enumerate();
            pairs.find_map(|(index, (own, other))| {
                let live = same_length.and_then(|live| live.get(index));
                Some(format!("[{index}]{}", disagreement(own, other, live)?))
            })
        }
        _ => (ours != theirs).then(String::new),
    }
}

/// What is not written, or is written empty, says the same.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
