//! Who looks first when room appears for several: whoever has the smallest share of what it wants, so that no service waits
//! for ever because of its name, or behind one that is large.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::api::EcsService;

/// Puts services in the order in which they are to look for room: the smallest share of the desired tasks first, among equals
/// the one that lacks fewest; names decide the rest.
pub(super) fn neediest_first(services: &mut [Arc<EcsService>]) {
    services.sort_by(|a, b| by_need(&Need::of(a), &Need::of(b)));
}

/// Tasks that a service has and wants.
#[derive(Clone, Copy)]
struct Need {
    has: i64,
    wants: i64,
}

impl Need {
    fn of(service: &EcsService) -> Self {
        let status = service.status.as_ref();
        let has = status.map_or(0, |s| s.running_count.saturating_add(s.pending_count));
        let observed = status.map_or(0, |s| s.desired_count);
        Self {
            has: has.max(0),
            wants: service.spec.desired_count.unwrap_or(observed).max(0),
        }
    }

    fn lacks(self) -> i64 {
        self.wants.saturating_sub(self.has).max(0)
    }
}

/// Shares are compared as fractions, without rounding. Who lacks nothing comes last.
fn by_need(a: &Need, b: &Need) -> Ordering {
    let satisfied = (a.lacks() == 0).cmp(&(b.lacks() == 0));
    let share = a.has.saturating_mul(b.wants).cmp(&b.has.saturating_mul(a.wants));
    satisfied.then(share).then(a.lacks().cmp(&b.lacks()))
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    /// A service that has and wants so many tasks; none wanted: a daemon with so many eligible instances.
    fn service(name: &str, has: i64, wants: i64) -> Arc<EcsService> {
        let spec = json!({ "taskDefinition": "t", "desiredCount": wants });
        let mut object = EcsService::new(name, serde_json::from_value(spec).unwrap());
        let status =
            json!({ "status": "ACTIVE", "desiredCount": wants, "runningCount": has, "pendingCount": 0 });
        object.status = Some(serde_json::from_value(status).unwrap());
        Arc::new(object)
    }

    fn order(mut services: Vec<Arc<EcsService>>) -> Vec<String> {
        neediest_first(&mut services);
        services.iter().map(|service| service.name_any()).collect()
    }

    #[test]
    fn the_smallest_share_looks_first_and_among_equals_who_lacks_fewest() {
        let services = vec![
            service("content", 5, 5),
            service("half", 50, 100),
            service("large", 0, 1000),
            service("small", 0, 1),
            service("third", 1, 3),
            service("zero", 0, 0),
        ];
        let expected = ["small", "large", "third", "half", "content", "zero"];
        assert_eq!(order(services), expected);
    }

    #[test]
    fn a_service_that_got_room_stands_behind_one_that_got_none() {
        let (mut a, mut b) = (0, 0);
        for _ in 0..10 {
            let first = order(vec![service("a", a, 10), service("b", b, 10)]).remove(0);
            if first == "a" { a += 1 } else { b += 1 }
        }
        assert_eq!((a, b), (5, 5));
    }
}
