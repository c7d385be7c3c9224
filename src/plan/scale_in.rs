//! Which tasks go when a service has too many.

use super::choice::draw;
use super::members::Member;
use super::ranking::Ranking;
use super::world::{Instance, Service, World};
use crate::domain::resources::Resources;
use crate::domain::rollout::Budget;

/// Up to `surplus` of the candidates, in the order they are to stop: those that contribute least first, among equals
/// where the strategies want fewest; protected ones never. (SCALEIN-1 to SCALEIN-4)
///
/// `staying` are all tasks that count for spreading; what is chosen no longer counts for the next choice.
pub(super) fn choose<'m, 'a>(
    world: &World,
    service: &Service,
    staying: &[&'m Member<'a>],
    candidates: &[&'m Member<'a>],
    surplus: u32,
    budget: &mut Budget,
) -> Vec<&'m Member<'a>> {
    if surplus == 0 {
        return Vec::new();
    }
    let mut ranking = Ranking::new(world, service, staying.iter().copied());
    let mut left: Vec<(&Member<'_>, Option<(&Instance, Resources)>)> = candidates
        .iter()
        .filter(|m| m.protected_until.is_none())
        .map(|m| (*m, place(world, m)))
        .collect();
    let mut chosen = vec![];
    for _ in 0..surplus {
        let class = |m: &Member<'_>| (m.standing, m.phase);
        let Some(lowest) = left.iter().map(|(m, _)| class(m)).min() else {
            break;
        };
        let equals = left.iter().filter(|(m, _)| class(m) == lowest).collect();
        let Some((member, at)) = ranking.worst(
            equals,
            |(_, at)| at.as_ref().map(|(instance, room)| (*instance, room)),
            |(m, _)| draw(world.seed, &[&service.uid, &m.key.name]),
        ) else {
            break;
        };
        let (member, at) = (*member, at.as_ref().map(|(instance, _)| *instance));
        if !budget.pay(member.standing) {
            break;
        }
        if let Some(instance) = at {
            ranking.add(instance, -1);
        }
        left.retain(|(m, _)| m.key != member.key);
        chosen.push(member);
    }
    chosen
}

/// The instance of a member, and the room there will be without it.
fn place<'w>(world: &'w World, member: &Member<'_>) -> Option<(&'w Instance, Resources)> {
    let instance = world.instances.get(member.instance?)?;
    let mut room = instance.remaining();
    if let Some(entry) = instance.reservation(&member.key) {
        room.add(&entry.amounts);
    }
    Some((instance, room))
}
