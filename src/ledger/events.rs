//! Events of a service in ECS's words: which a planning write adds to its status. (EVT)

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::task::REASON_MAX;
use crate::api::ServiceEvent;
use crate::plan::{ServicePlan, UNPLACED};
use crate::runtime::source;

/// Events kept in status. (EVT-1)
const EVENTS_MAX: usize = 100;
/// A repeated identical message is suppressed for this many seconds. (EVT-2)
const REPEAT_SECONDS: i64 = 6 * 3600;

/// How the text begins that says what the user has to change.
pub const STALLED: &str = "is stalled";

/// Tasks that started or stopped, by the zone if they did so for the balance of zones. (AZ-4)
#[derive(Clone, Debug, Default)]
pub struct Moves(BTreeMap<Option<String>, Vec<String>>);

impl Moves {
    /// From zones and ids.
    pub fn new(tasks: impl IntoIterator<Item = (Option<String>, String)>) -> Self {
        let mut moves = Self::default();
        for (zone, id) in tasks {
            moves.0.entry(zone).or_default().push(id);
        }
        moves
    }

    /// Whether the task is one of them.
    #[must_use]
    pub fn any(&self, id: &str) -> bool {
        self.0.values().flatten().any(|other| other == id)
    }

    /// EVT-10 for tasks that exist; EVT-8 for those started in a zone for the balance.
    fn started(&self, service: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(zone, ids)| match zone {
            Some(zone) => {
                let (count, list) = (ids.len(), ids.join(", "));
                format!("{service} has started {count} tasks in {zone} to AZ Rebalance: {list}.")
            }
            None => format!("has started {} tasks: {}.", ids.len(), in_brackets(ids)),
        })
    }

    /// EVT-11 for tasks told to stop in a pass; EVT-8 for those that leave a zone for the balance.
    fn stopped(&self, service: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(zone, ids)| match zone {
            Some(zone) => {
                let (count, list) = (ids.len(), ids.join(", "));
                format!(
                    "{service} has stopped {count} running tasks in {zone} due to AZ rebalancing: {list}."
                )
            }
            None => format!("has stopped {} running tasks: {}.", ids.len(), in_brackets(ids)),
        })
    }
}

fn in_brackets(ids: &[String]) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!("(task {id})")).collect();
    list.join(" ")
}

/// Event texts of a planning write in the order in which things happened: what was stopped, what was started, what the
/// plan says. That tasks find no place is said only if `settled`: while others are on their way in either direction, it is said
/// after them, for a start or stop told later would end its suppression. (EVT-2)
#[must_use]
pub fn texts(
    service: &str,
    plan: &ServicePlan,
    started: &Moves,
    stopped: &Moves,
    settled: bool,
) -> Vec<String> {
    let mut texts: Vec<String> = stopped.stopped(service).collect();
    texts.extend(started.started(service));
    let now = |text: &&String| settled || !text.starts_with(UNPLACED);
    texts.extend(plan.events.iter().filter(now).cloned());
    if let Some(why) = &plan.stalled
        && !plan.events.iter().any(|event| why.ends_with(event))
    {
        texts.push(format!("{STALLED}: {why}"));
    }
    texts
}

/// What is written: most of ECS's texts begin with the service, those of rebalancing name it themselves. (EVT-4, EVT-8)
fn message(name: &str, text: &str) -> String {
    let whole = text.starts_with("service (") || text.starts_with(&format!("{name} has "));
    let message = if whole {
        text.to_owned()
    } else {
        format!("(service {name}) {text}")
    };
    message.chars().take(REASON_MAX).collect()
}

/// Adds event texts, newest first, leaving out what was said before and whose cause has not gone. (EVT-1, EVT-2)
pub fn add(events: &mut Vec<ServiceEvent>, name: &str, texts: &[String], now: Timestamp) -> Vec<String> {
    let mut said = Vec::new();
    for text in texts {
        let message = message(name, text);
        let moves = |message: &str| message.contains(" has started ") || message.contains(" has stopped ");
        // a start or stop since then means that the cause had gone
        let still = events
            .iter()
            .take_while(|e| !moves(&e.message))
            .find(|e| e.message == message);
        let recent = still.is_some_and(|e| {
            e.created_at
                .parse::<Timestamp>()
                .is_ok_and(|at| now.duration_since(at).as_secs() < REPEAT_SECONDS)
        });
        if recent && !moves(&message) {
            continue;
        }
        events.insert(
            0,
            ServiceEvent {
                id: source::id(),
                created_at: now.to_string(),
                message: message.clone(),
            },
        );
        said.push(message);
    }
    events.truncate(EVENTS_MAX);
    said
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn why_a_service_is_stalled_is_an_event_unless_another_says_it() {
        let stalled = |events: &[&str]| {
            let plan = ServicePlan {
                stalled: Some("The service was unable".to_owned()),
                events: events.iter().map(ToString::to_string).collect(),
                ..ServicePlan::default()
            };
            texts("web", &plan, &Moves::default(), &Moves::default(), true)
        };
        assert_eq!(stalled(&[]), ["is stalled: The service was unable"]);
        assert_eq!(stalled(&["was unable"]), ["was unable"]);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    fn say(events: &mut Vec<ServiceEvent>, text: &str, second: i64) -> Vec<String> {
        add(events, "web", &[text.to_owned()], at(second))
    }

    #[test]
    fn the_last_100_events_are_kept_the_newest_first_evt_1_quota_19() {
        let mut events = Vec::new();
        for n in 0..130 {
            say(&mut events, &format!("event {n}"), n);
        }
        assert_eq!(events.len(), 100);
        let newest = &events[0];
        assert_eq!(newest.message, "(service web) event 129");
        assert_eq!(newest.created_at, at(129).to_string());
        assert_eq!(events[99].message, "(service web) event 30");
        let ids: std::collections::BTreeSet<&String> = events.iter().map(|e| &e.id).collect();
        assert_eq!(ids.len(), 100, "each has an id of its own");
    }

    #[test]
    fn what_was_said_is_repeated_after_six_hours_or_when_its_cause_had_gone_evt_2() {
        let mut events = Vec::new();
        let text = "was unable to place a task because";
        assert_eq!(say(&mut events, text, 0).len(), 1);
        assert!(say(&mut events, text, 10).is_empty());
        say(&mut events, "has reached a steady state.", 20);
        assert!(
            say(&mut events, text, 30).is_empty(),
            "another text changes nothing"
        );
        assert!(say(&mut events, text, 6 * 3600 - 1).is_empty());
        assert_eq!(say(&mut events, text, 6 * 3600).len(), 1);
        say(&mut events, "has started 1 tasks: (task t).", 6 * 3600 + 1);
        assert_eq!(say(&mut events, text, 6 * 3600 + 2).len(), 1);
        let again = say(&mut events, "has started 1 tasks: (task t).", 6 * 3600 + 3);
        assert_eq!(again.len(), 1, "each start is news");
    }

    #[test]
    fn ids_stand_in_parentheses_one_space_apart_and_the_plural_stays_evt_4_evt_9_evt_10_evt_11() {
        assert_eq!(
            told(&[(None, "a"), (None, "b")], &[(None, "c")]),
            [
                "has stopped 1 running tasks: (task c).",
                "has started 2 tasks: (task a) (task b)."
            ]
        );
    }

    fn told(started: &[(Option<&str>, &str)], stopped: &[(Option<&str>, &str)]) -> Vec<String> {
        let moves = |tasks: &[(Option<&str>, &str)]| {
            let tasks = tasks.iter();
            Moves::new(tasks.map(|(zone, id)| (zone.map(ToOwned::to_owned), (*id).to_owned())))
        };
        texts(
            "web",
            &ServicePlan::default(),
            &moves(started),
            &moves(stopped),
            true,
        )
    }

    #[test]
    fn moves_between_zones_have_texts_of_their_own_that_end_suppression_too_evt_8() {
        let said = told(
            &[(Some("a"), "1"), (None, "2"), (Some("a"), "3"), (Some("b"), "4")],
            &[(Some("c"), "5")],
        );
        assert_eq!(
            said,
            [
                "web has stopped 1 running tasks in c due to AZ rebalancing: 5.",
                "has started 1 tasks: (task 2).",
                "web has started 2 tasks in a to AZ Rebalance: 1, 3.",
                "web has started 1 tasks in b to AZ Rebalance: 4."
            ]
        );
        let (mut events, balanced) = (Vec::new(), "service (web) is AZ balanced with 1 tasks in a.");
        assert_eq!(say(&mut events, balanced, 0), [balanced]);
        assert!(say(&mut events, balanced, 1).is_empty());
        assert_eq!(say(&mut events, &said[2], 2), [said[2].as_str()]);
        assert_eq!(say(&mut events, balanced, 3), [balanced]);
    }

    #[test]
    fn that_tasks_find_no_place_is_said_when_nothing_is_on_its_way_evt_2() {
        let unplaced = format!("{UNPLACED} because");
        let plan = ServicePlan {
            events: vec![unplaced.clone(), "has reached a steady state.".to_owned()],
            ..ServicePlan::default()
        };
        assert_eq!(
            texts("web", &plan, &Moves::default(), &Moves::default(), false),
            ["has reached a steady state."]
        );
        assert_eq!(
            texts("web", &plan, &Moves::default(), &Moves::default(), true)[0],
            unplaced
        );
    }
}
