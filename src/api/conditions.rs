//! Conditions: typed states in, a `meta/v1` list out.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Condition;

/// Longest message of a condition.
const MESSAGE_MAX: usize = 1024;

/// What a condition says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `True`, `False` or `Unknown`.
    status: &'static str,
    reason: String,
    message: String,
}

impl State {
    /// It holds.
    #[must_use]
    pub fn yes(reason: &str, message: &str) -> Self {
        Self {
            status: "True",
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.status == "True"
    }

    /// It does not hold.
    #[must_use]
    pub fn no(reason: &str, message: &str) -> Self {
        Self {
            status: "False",
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// The list after this pass: `lastTransitionTime` changes only with the status; equal states give equal bytes.
#[must_use]
pub fn merge(
    old: &[Condition],
    states: &[(&str, State)],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut merged: Vec<Condition> = old
        .iter()
        .filter(|c| !states.iter().any(|(type_, _)| *type_ == c.type_))
        .cloned()
        .collect();
    for (type_, state) in states {
        let before = old.iter().find(|c| c.type_ == *type_);
        let since = before
            .filter(|c| c.status == state.status)
            .map(|c| c.last_transition_time.clone());
        merged.push(Condition {
            type_: (*type_).to_owned(),
            status: state.status.to_owned(),
            reason: state.reason.clone(),
            message: state.message.chars().take(MESSAGE_MAX).collect(),
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| whole_second(now)),
        });
    }
    merged.sort_by(|a, b| a.type_.cmp(&b.type_));
    merged
}

/// The API server keeps whole seconds; what it gives back must equal what was sent.
fn whole_second(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_changes_only_with_the_status() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = merge(&[], &[("Ready", State::no("A", "x"))], Some(1), at(10));
        let same = merge(&first, &[("Ready", State::no("B", "y"))], Some(2), at(20));
        assert_eq!(same.first().map(|c| c.last_transition_time.0), Some(at(10)));
        let other = merge(&same, &[("Ready", State::yes("B", "y"))], Some(2), at(30));
        assert_eq!(other.first().map(|c| c.last_transition_time.0), Some(at(30)));
        assert_eq!(
            merge(&other, &[("Ready", State::yes("B", "y"))], Some(2), at(40)),
            other
        );
    }
}
