//! Scale-in protection among the tasks of a service: who may have it, and what waits for it. (PROT)

use super::members::{Member, count};
use super::world::{ASKED, Key, World};
use crate::domain::records::SchedulingStrategy;

/// Most protected tasks that are told of.
const NAMES_MAX: usize = 3;

/// Whether the service of a task has more protected tasks than it wants, so that no other gets protection. Of a daemon
/// the instances decide how many there are. (PROT-5)
#[must_use]
pub fn crowded(world: &World, task: &Key) -> bool {
    let Some(of) = world.task(task).and_then(|t| t.service.as_ref()) else {
        return false;
    };
    let key = Key::new(&task.namespace, &of.name);
    let Some(service) = world.services.get(&key).filter(|s| s.uid == of.uid) else {
        return false;
    };
    let has = |until| until > world.now && until != ASKED;
    let protected = world
        .tasks_of(&service.uid)
        .filter(|t| t.wanted() && t.protected_until.is_some_and(has));
    service.strategy == SchedulingStrategy::Replica && count(protected) > service.desired_count
}

/// Says which protected tasks a service waits for, if these are the ones that should go. (PROT-7, PROT-8, DRAIN-15)
pub(super) fn awaited<'m>(going: impl Iterator<Item = &'m Member<'m>>) -> Option<String> {
    let mut held: Vec<_> = going
        .filter_map(|m| Some((m.protected_until?, m.key.name.as_str())))
        .collect();
    held.sort_unstable();
    let named: Vec<String> = held
        .iter()
        .take(NAMES_MAX)
        .map(|(until, task)| {
            if *until == ASKED {
                format!("task {task}")
            } else {
                format!("task {task} until {until}")
            }
        })
        .collect();
    let more = match held.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "protected tasks that should go are waited for: {}{more}; to end it before, set protectionEnabled to false in \
             spec.protection of the Task",
            named.join(", ")
        )
    })
}
