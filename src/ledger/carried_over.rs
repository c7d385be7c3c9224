//! Stops that were decided on before and have not been carried out. (design: step 1)

use super::service::due;
use crate::domain::records::{InstanceStatus, SchedulingStrategy};
use crate::plan::world::{Key, Service, World};
use crate::plan::{Stop, only_daemons_left};

/// Stops that stand in the service's status and are still to be carried out. On an instance that drains since, daemons
/// wait until everything else there has STOPPED. (I4)
#[must_use]
pub fn carried_over(world: &World, service: &Service) -> Vec<Stop> {
    let daemon = service.strategy == SchedulingStrategy::Daemon;
    let waits = |key: &Key| {
        let instance = world.task(key).and_then(|task| task.instance.as_ref());
        let draining = instance
            .and_then(|name| world.instances.get(name))
            .filter(|i| i.status == InstanceStatus::Draining);
        daemon && draining.is_some_and(|i| !only_daemons_left(world, i))
    };
    service
        .stopping
        .iter()
        .filter(|mark| due(world, service, mark))
        .map(|mark| Stop {
            task: Key::new(&service.key.namespace, &mark.id),
            uid: mark.uid.clone(),
            version: mark.task_version.clone(),
            reason: mark.reason.clone(),
            availability_zone: mark.availability_zone.clone(),
        })
        .filter(|stop| !waits(&stop.task))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::records::{DesiredStatus as Desired, StopMark};
    use crate::plan::testing::*;
    use crate::plan::world::Task;

    #[test]
    fn a_stop_that_was_decided_on_and_not_carried_out_is_due_until_its_task_moves() {
        let mut scene = Scene::new()
            .definition(definition("r:1", 100, 100))
            .instance(instance("i1"))
            .service(replica("r", "r:1", 1));
        scene.settle("r");
        let task = scene.world.tasks().next().unwrap().clone();
        let mut service = Service::clone(scene.world.services.values().next().unwrap());
        service.stopping = vec![StopMark {
            id: task.key.name.clone(),
            uid: task.uid.clone(),
            task_version: task.version.to_string(),
            reason: "why".to_owned(),
            availability_zone: None,
        }];
        let stops = carried_over(&scene.world, &service);
        assert_eq!(
            stops
                .iter()
                .map(|s| (&s.task, s.reason.as_str()))
                .collect::<Vec<_>>(),
            [(&task.key, "why")]
        );
        let mut told = Task::clone(&task);
        told.desired = Desired::Stopped;
        scene.world.put_task(told);
        assert!(carried_over(&scene.world, &service).is_empty());
    }

    #[test]
    fn a_daemons_share_without_a_task_stays_marked_until_it_goes_f1() {
        let mut scene = Scene::new()
            .definition(definition("d:1", 100, 100))
            .instance(instance("i1"))
            .service(daemon("d", "d:1"));
        let plan = scene.plan("d");
        scene.commit("d", &plan);
        scene.edit_service("d", |s| s.deleting = true);
        let mark = |scene: &mut Scene| {
            let (service, plan) = (scene.get("d").clone(), scene.plan("d"));
            let (_, stopping) = super::super::service::lists(&scene.world, &service, &plan, &[]);
            scene.edit_service("d", |s| s.stopping.clone_from(&stopping));
            stopping.len()
        };
        assert_eq!(
            [mark(&mut scene), mark(&mut scene)],
            [1, 1],
            "no write changes it"
        );
        assert_eq!(
            carried_over(&scene.world, scene.get("d")).len(),
            1,
            "and it is due"
        );
        scene.edit_instance("i1", |i| i.reservations.clear());
        assert_eq!(mark(&mut scene), 0);
    }

    #[test]
    fn an_id_given_out_and_marked_is_due_until_it_is_a_task_f1() {
        let mut scene = Scene::new()
            .definition(definition("r:1", 100, 100))
            .service(replica("r", "r:1", 1));
        scene.settle("r");
        let mut service = Service::clone(scene.world.services.values().next().unwrap());
        let allocation = crate::domain::records::Allocation {
            id: "t9".to_owned(),
            deployment: "d".to_owned(),
            created_at: String::new(),
            availability_zone: None,
        };
        service.allocations = vec![allocation];
        service.stopping = vec![StopMark {
            id: "t9".to_owned(),
            uid: String::new(),
            task_version: String::new(),
            reason: "why".to_owned(),
            availability_zone: None,
        }];
        let stops = carried_over(&scene.world, &service);
        assert!(stops.iter().all(|s| s.task.name == "t9" && s.uid.is_empty()));
        assert_eq!(stops.len(), 1);
        service.allocations.clear();
        assert!(carried_over(&scene.world, &service).is_empty());
    }
}
