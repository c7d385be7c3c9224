//! Why tasks that have their place don't run yet, as their nodes say: one line for all of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::members::{Member, Phase};
use super::world::HeldUp;

/// Most reasons told; the most frequent ones.
const REASONS_MAX: usize = 3;
/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 200;

/// The reasons why members can't start, with how many tasks have each and the name of one.
pub(super) fn held_up(members: &[Member<'_>]) -> Option<String> {
    let mut groups: BTreeMap<(&str, &str), (usize, &str, &HeldUp)> = BTreeMap::new();
    for member in members.iter().filter(|m| m.live()) {
        let Some(held) = member.task.and_then(|t| t.held_up.as_ref()) else {
            continue;
        };
        // texts of one class may differ in the ids of Pods and containers
        let class = held.reason.split(':').next().unwrap_or_default();
        let group = groups
            .entry((&held.container, class))
            .or_insert((0, &member.key.name, held));
        group.0 = group.0.saturating_add(1);
    }
    let mut queued = members.iter().filter(|m| m.live() && m.phase == Phase::Queued);
    let behind = queued
        .next()
        .map(|first| behind(first, queued.count().saturating_add(1)));
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|(count, task, _)| (Reverse(*count), *task));
    let shown: Vec<String> = groups.iter().take(REASONS_MAX).map(line).chain(behind).collect();
    let more = match groups.len().saturating_sub(REASONS_MAX) {
        0 => String::new(),
        more => format!("; and {more} more reasons"),
    };
    (!shown.is_empty()).then(|| shown.join("; ") + &more)
}

/// Tasks that wait behind stopping ones. (OPT-1)
fn behind(first: &Member<'_>, count: usize) -> String {
    let (task, on) = (&first.key.name, first.instance.unwrap_or_default());
    let (tasks, example) = match count {
        1 => ("1 task waits".to_owned(), ""),
        _ => (format!("{count} tasks wait"), "such as "),
    };
    format!(
        "{tasks} for room behind stopping tasks ({example}task {task} on {on}: condition Placed says until when)"
    )
}

fn line((count, task, held): &(usize, &str, &HeldUp)) -> String {
    let reason: String = held.reason.chars().take(REASON_CHARS_MAX).collect();
    let (tasks, example) = match count {
        1 => ("1 task".to_owned(), ""),
        _ => (format!("{count} tasks"), "such as "),
    };
    format!(
        "{tasks} can't start yet: container {}: {reason} ({example}task {task})",
        held.container
    )
}

#[cfg(test)]
mod tests {
    use super::HeldUp;
    use crate::domain::records::{DesiredStatus, LastStatus};
    use crate::plan::testing::*;

    fn pull(image: &str) -> HeldUp {
        HeldUp {
            container: "app".to_owned(),
            reason: format!("CannotPullContainerError: no image {image}"),
        }
    }

    #[test]
    fn tasks_that_cannot_start_are_told_by_reason_with_their_number_and_one_of_them() {
        let mut scene = Scene::new()
            .definition(definition("r:1", 1, 1))
            .instance(instance("i1"))
            .service(replica("r", "r:1", 4));
        let plan = scene.plan("r");
        scene.commit("r", &plan);
        scene.create_tasks();
        assert_eq!(scene.plan("r").held_up, None);
        let ids: Vec<String> = scene.alive("r").into_iter().map(|t| t.key.name).collect();
        let config = HeldUp {
            container: "side".to_owned(),
            reason: "ResourceInitializationError: secret \"s\" not found".to_owned(),
        };
        scene.edit_task(&ids[0], |t| t.held_up = Some(config));
        scene.edit_task(&ids[1], |t| t.held_up = Some(pull("a")));
        scene.edit_task(&ids[2], |t| t.held_up = Some(pull("b")));
        let said = scene.plan("r").held_up.unwrap();
        assert_eq!(
            said,
            format!(
                "2 tasks can't start yet: container app: CannotPullContainerError: no image a (such as task {}); \
                 1 task can't start yet: container side: ResourceInitializationError: secret \"s\" not found (task {})",
                ids[1], ids[0]
            )
        );
        scene.edit_task(&ids[0], |t| t.desired = DesiredStatus::Stopped);
        assert!(
            !scene.plan("r").held_up.unwrap().contains("side"),
            "it is told to stop"
        );
        for id in &ids[1..] {
            scene.edit_task(id, |t| (t.held_up, t.last) = (None, LastStatus::Running));
        }
        assert_eq!(scene.plan("r").held_up, None);
    }
}
