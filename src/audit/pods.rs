//! Pods run only under a share, and each Task has one Pod, ever. (I5, F5)

use super::facts::{Pod, holds, shown};
use super::world::{Change, Moved, World};
use super::{Invariant, Moment, Options, Report};
use crate::api::ContainerInstance;

/// Remembers which Pods each Task had.
pub(super) fn note(world: &mut World, change: &Change) {
    let Change::Pod(moved) = change else { return };
    let Some(pod) = &moved.after else { return };
    if let Some((_, uid)) = &pod.task {
        world
            .pods_of
            .entry(uid.clone())
            .or_default()
            .insert(pod.uid.clone(), pod.probed);
    }
}

/// Judges one write of a Pod.
pub(super) fn judge(
    world: &World,
    moved: &Moved<Pod>,
    moment: Moment,
    options: Options,
    report: &mut Report,
) {
    let Some(pod) = &moved.after else { return };
    let Some((task, uid)) = &pod.task else { return };
    if moved.before.as_ref().is_some_and(|before| before.task.is_some()) {
        return;
    }
    report.figures.pods = report.figures.pods.saturating_add(1);
    let object = format!("Pod {}", shown(&moved.key));
    if world.pods_of.get(uid).is_some_and(|pods| pods.len() > 1) {
        let sentence = format!("Task {} had a Pod before: one Pod per Task, ever", shown(task));
        report.add(Invariant::I5, moment.version, object.clone(), sentence);
    }
    let tolerated = options.expect_wipe && world.wiped.contains(&(pod.node.clone(), task.clone()));
    if !pod.ended && !tolerated && !world.reserved(&pod.node, task) {
        let sentence = format!(
            "it was created on {}, whose ledger holds no share for {}",
            pod.node,
            shown(task)
        );
        report.add(Invariant::I5, moment.version, object, sentence);
    }
}

/// Judges what a write of an instance means for the Pods there.
pub(super) fn judge_instance(
    world: &World,
    moved: &Moved<ContainerInstance>,
    moment: Moment,
    options: Options,
    report: &mut Report,
) {
    let Some(before) = &moved.before else { return };
    let instance = &moved.key.name;
    if !world.has_node(instance) {
        return;
    }
    for (key, pod) in world
        .pods
        .iter()
        .filter(|(_, pod)| pod.node == *instance && !pod.ended)
    {
        let Some((task, _)) = &pod.task else { continue };
        let lost = holds(before, task) && !moved.after.as_deref().is_some_and(|after| holds(after, task));
        // of a Task that has not ended the loss of the share itself is reported
        let said = world
            .tasks
            .get(task)
            .is_some_and(|t| t.alive && t.is_on(instance));
        let wiped = options.expect_wipe && world.wiped.contains(&(instance.clone(), task.clone()));
        if lost && !said && !wiped && !world.cut_off.contains(&pod.uid) {
            let sentence = format!(
                "the share of {} was taken back while its Pod {} runs",
                shown(task),
                shown(key)
            );
            report.add(
                Invariant::I5,
                moment.version,
                format!("ContainerInstance {instance}"),
                sentence,
            );
        }
    }
}
