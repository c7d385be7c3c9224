//! Who among protected tasks is told that it should finish: who would be stopped now if it were not protected. Who was told
//! stays told as long as it has to go. (PROT-11)

use std::collections::{BTreeMap, BTreeSet};

use super::choice::draw;
use super::members::{Member, count};
use super::world::{ASKED, Key, Service, World};
use super::{STOPS_MAX, ServicePlan};
use crate::domain::records::QuiesceReason;
use crate::domain::rollout::Budget;

/// Something a task is to be told, if it is still as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// The task.
    pub task: Key,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub version: u64,
    /// Why it should finish; `None`: it need not any more.
    pub reason: Option<QuiesceReason>,
}

/// Tasks that have to go, and why.
pub(super) type Going<'m> = BTreeMap<&'m str, QuiesceReason>;

/// Those that leave have to go: unprotected ones are stopped in their turn, of the others go as many as `spare` pays for,
/// which is what the stops of this plan have left of the service's budget. Who was told pays first.
pub(super) fn leaving<'m>(
    leaving: impl Iterator<Item = (&'m Member<'m>, QuiesceReason)>,
    spare: &mut Budget,
) -> Going<'m> {
    let mut held: Vec<_> = leaving.filter(|(m, _)| concerned(m)).collect();
    held.sort_by_key(|(m, _)| m.told.is_none());
    held.retain(|(m, _)| m.protected_until.is_none() || spare.pay(m.standing) || m.told.is_some());
    held.into_iter()
        .map(|(m, why)| (m.key.name.as_str(), why))
        .collect()
}

/// Among good tasks of which so many are too many: those that were told, then those whose protection ends first.
pub(super) fn surplus<'m>(
    world: &World,
    service: &Service,
    good: &[&'m Member<'m>],
    surplus: u32,
    spare: &mut Budget,
) -> Going<'m> {
    let free = count(good.iter().filter(|m| m.protected_until.is_none()));
    let mut places = surplus.saturating_sub(free);
    let mut held: Vec<_> = good.iter().filter(|m| concerned(m)).collect();
    held.sort_by_cached_key(|m| {
        let chance = draw(world.seed, &[&service.uid, &m.key.name]);
        (m.told.is_none(), m.protected_until, chance)
    });
    held.retain(|m| {
        if m.protected_until.is_none() {
            return surplus > 0;
        }
        let goes = places > 0 && (spare.pay(m.standing) || m.told.is_some());
        places = places.saturating_sub(u32::from(goes));
        goes
    });
    let scaled = |m: &&'m Member<'m>| (m.key.name.as_str(), QuiesceReason::ScaleIn);
    held.into_iter().map(scaled).collect()
}

/// Whether there is something to tell it, or was.
fn concerned(member: &Member<'_>) -> bool {
    member.protected_until.is_some() || member.told.is_some()
}

/// Puts into the plan what is to be told anew. A task that this plan stops is left as it was seen, else its stop would be
/// void; one whose request for protection has no answer yet may not be protected at all.
pub(super) fn tell<'m>(
    plan: &mut ServicePlan,
    members: impl IntoIterator<Item = &'m Member<'m>>,
    going: &Going<'_>,
) {
    let stopping: BTreeSet<&str> = plan.stop.iter().map(|s| s.task.name.as_str()).collect();
    let told = members.into_iter().filter(|m| m.live()).filter_map(|member| {
        let name = member.key.name.as_str();
        let reason = going.get(name).copied();
        let protected = member.protected_until.is_some_and(|until| until != ASKED);
        let news = match (reason, member.told) {
            (Some(_), None) => protected,
            (None, Some(_)) => true,
            (Some(_), Some(_)) | (None, None) => false,
        };
        let task = member.task.filter(|_| news && !stopping.contains(name))?;
        Some(Tell {
            task: member.key.clone(),
            uid: task.uid.clone(),
            version: task.version,
            reason,
        })
    });
    plan.tell = told.take(STOPS_MAX).collect();
}
