//! Scale-in protection: what is asked for a task, what is granted, and until when. (PROT-1 to PROT-6)

#![allow(
    clippy::doc_markdown,
    reason = "field docs are plain text in `kubectl explain`, and camelCase there is no code"
)]

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long protection lasts if its request does not say. (PROT-1)
pub const DEFAULT_MINUTES: i64 = 120;

/// Longest time for which a task can be protected. (PROT-1)
const LONGEST_MINUTES: i64 = 2880;

/// ECS's reason for a task that gets no protection because its service has more protected tasks than it wants. (PROT-5)
pub const DEPLOYMENT_BLOCKED: &str = "DEPLOYMENT_BLOCKED";

/// A request for scale-in protection of a task, or for its end. (PROT-1)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskProtection {
    /// Whether scale-in, deployments and drains are to leave the task. (PROT-1)
    pub protection_enabled: bool,
    /// Minutes until protection ends by itself, from when the operator saw the request: 1 to 2880, default 120. (PROT-1)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2880))]
    pub expires_in_minutes: Option<i64>,
    /// Any text: another one than before is a further request, whose period begins anew. (PROT-2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub renewal: Option<String>,
}

/// A request that was answered. (PROT-3)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProtectionAnswer {
    /// The request as it was seen.
    pub request: TaskProtection,
    /// ECS's reason why it was not granted. (PROT-5)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub failure: Option<String>,
}

/// Why a protected task should finish. (PROT-11)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum QuiesceReason {
    /// Its service has more tasks than it wants.
    ScaleIn,
    /// A deployment replaces it.
    Deployment,
    /// Its container instance drains.
    Drain,
}

impl QuiesceReason {
    /// Why the task should finish, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ScaleIn => "its service has more tasks than it wants",
            Self::Deployment => "a deployment replaces it",
            Self::Drain => "its container instance drains",
        }
    }

    /// As it stands in objects and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ScaleIn => "ScaleIn",
            Self::Deployment => "Deployment",
            Self::Drain => "Drain",
        }
    }
}

/// A protected task that should finish and end its protection. (PROT-11)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quiesce {
    /// ScaleIn, Deployment or Drain.
    pub reason: QuiesceReason,
    /// Since when (RFC 3339).
    pub since: String,
}

/// What a task has of protection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// The last request that was answered.
    pub answered: Option<ProtectionAnswer>,
    /// Protected until then.
    pub until: Option<Timestamp>,
}

impl Protection {
    /// What the task has now: a new request is answered, what has expired is over. A further request begins its period
    /// anew, be it shorter; one that would add to protected tasks that are too many already, is not granted: `crowded`
    /// says so. What nobody can have been granted, somebody wrote there by hand: it does not hold. (PROT-1, PROT-2,
    /// PROT-5)
    #[must_use]
    pub fn after(
        &self,
        asked: Option<&TaskProtection>,
        crowded: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Self {
        let granted = self.answered.as_ref().is_some_and(ProtectionAnswer::granted);
        let until = self.until.filter(|until| granted && *until > now);
        let until = until.map(|until| until.min(end(now, LONGEST_MINUTES)));
        if asked == self.answered.as_ref().map(|a| &a.request) {
            return Self {
                until,
                ..self.clone()
            };
        }
        let enabled = asked.is_some_and(|request| request.protection_enabled);
        let refused = enabled && until.is_none() && crowded();
        Self {
            answered: asked.map(|request| ProtectionAnswer {
                request: request.clone(),
                failure: refused.then(|| DEPLOYMENT_BLOCKED.to_owned()),
            }),
            until: asked.filter(|_| enabled && !refused).map(|r| r.ends(now)),
        }
    }
}

impl ProtectionAnswer {
    fn granted(&self) -> bool {
        self.request.protection_enabled && self.failure.is_none()
    }
}

impl TaskProtection {
    /// When it ends if it begins now.
    fn ends(&self, now: Timestamp) -> Timestamp {
        end(now, self.expires_in_minutes.unwrap_or(DEFAULT_MINUTES))
    }
}

/// When a period that begins now ends: a whole second, as times in objects are.
fn end(now: Timestamp, minutes: i64) -> Timestamp {
    let whole = i64::from(now.subsec_nanosecond() > 0);
    let seconds = now.as_second().saturating_add(whole);
    let begin = Timestamp::from_second(seconds).unwrap_or(now);
    begin
        .checked_add(SignedDuration::from_secs(minutes.saturating_mul(60)))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(enabled: bool, minutes: Option<i64>, renewal: Option<&str>) -> TaskProtection {
        TaskProtection {
            protection_enabled: enabled,
            expires_in_minutes: minutes,
            renewal: renewal.map(str::to_owned),
        }
    }

    /// What this request makes of what the task had.
    fn asks(had: &Protection, asked: &TaskProtection, now: i64) -> Protection {
        had.after(Some(asked), || false, at(now))
    }

    #[test]
    fn protection_lasts_120_minutes_if_nothing_else_is_said_prot_1() {
        let none = Protection::default();
        let until = |minutes| asks(&none, &request(true, minutes, None), 100).until;
        assert_eq!(until(None), Some(at(100 + 7200)));
        assert_eq!(until(Some(1)), Some(at(160)));
        assert_eq!(until(Some(2880)), Some(at(100 + 172_800)));
        let off = asks(&none, &request(false, Some(5), None), 100);
        assert_eq!(off.until, None);
    }

    #[test]
    fn a_period_ends_on_a_whole_second_and_is_never_shorter_than_asked_prot_1() {
        let now = Timestamp::new(100, 1).unwrap();
        let granted = Protection::default().after(Some(&request(true, Some(1), None)), || false, now);
        assert_eq!(granted.until, Some(at(161)));
    }

    #[test]
    fn a_further_request_begins_anew_and_may_shorten_the_period_prot_2() {
        let first = asks(&Protection::default(), &request(true, Some(60), None), 0);
        let same = asks(&first, &request(true, Some(60), None), 600);
        assert_eq!(same, first, "the same request was answered");
        let shorter = asks(&first, &request(true, Some(1), None), 600);
        assert_eq!(shorter.until, Some(at(660)));
        let renewed = asks(&first, &request(true, Some(60), Some("2")), 600);
        assert_eq!(renewed.until, Some(at(4200)));
    }

    #[test]
    fn protection_ends_by_itself_and_by_request_prot_2_prot_3() {
        let asked = request(true, Some(1), None);
        let had = asks(&Protection::default(), &asked, 0);
        assert_eq!(asks(&had, &asked, 59).until, Some(at(60)));
        let over = asks(&had, &asked, 60);
        assert_eq!((over.until, &over.answered), (None, &had.answered));
        let off = asks(&had, &request(false, None, None), 1);
        assert_eq!(off.until, None, "expirationDate is absent");
        assert_eq!(had.after(None, || false, at(1)), Protection::default());
    }

    #[test]
    fn protection_that_was_written_into_the_status_by_hand_does_not_hold_prot_1_prot_6() {
        let asked = request(true, Some(60), None);
        let mut had = asks(&Protection::default(), &asked, 0);
        had.until = Some(Timestamp::MAX);
        let cut = asks(&had, &asked, 10);
        assert_eq!(
            cut.until,
            Some(at(10 + 172_800)),
            "nobody gets more than 48 hours"
        );
        assert_eq!(asks(&cut, &asked, 20), cut, "cut once");
        let unasked = Protection {
            until: Some(at(60)),
            ..Protection::default()
        };
        assert_eq!(unasked.after(None, || false, at(1)), Protection::default());
        let off = request(false, None, None);
        let mut had = asks(&Protection::default(), &off, 0);
        had.until = Some(at(60));
        assert_eq!(asks(&had, &off, 1).until, None);
    }

    #[test]
    fn too_many_protected_tasks_get_no_more_but_keep_what_they_have_prot_5() {
        let asked = request(true, None, None);
        let refused = Protection::default().after(Some(&asked), || true, at(0));
        let failure = refused.answered.as_ref().and_then(|a| a.failure.as_deref());
        assert_eq!((refused.until, failure), (None, Some(DEPLOYMENT_BLOCKED)));
        let again = refused.after(Some(&asked), || false, at(1));
        assert_eq!(again, refused, "an answer is an answer");
        let had = asks(&Protection::default(), &asked, 0);
        let longer = had.after(Some(&request(true, Some(2880), None)), || true, at(1));
        assert_eq!(longer.until, Some(at(1 + 172_800)));
    }
}
