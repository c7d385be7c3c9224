//! Looking into the recorded history of a scenario.

use std::collections::{BTreeMap, BTreeSet};

use ecs_operator::api::Task;
use ecs_operator::audit::{Event, History, Kind};
use jiff::Timestamp;
use kube::ResourceExt;

/// Leaves a history that shows a violation where it can be looked at.
pub(super) fn keep(history: &History) {
    let path = std::env::temp_dir().join(format!("ecs-operator-history-{}.jsonl", std::process::id()));
    if let Ok(mut file) = std::fs::File::create(&path)
        && history.write(&mut file).is_ok()
    {
        eprintln!("the history is in {}", path.display());
    }
}

/// Every version of the Tasks of a namespace up to a version of the API server, in order, with the time it was received;
/// a deleted Task is left out.
pub(crate) fn moments(history: &History, namespace: &str, until: u64) -> Vec<(Option<Timestamp>, Task)> {
    history
        .ordered()
        .filter(|record| record.version <= until)
        .filter(|record| record.kind == Kind::Task && record.event != Event::Deleted)
        .filter_map(|record| Some((record.at, record.object.clone()?)))
        .filter_map(|(at, object)| Some((at, serde_json::from_value::<Task>(object).ok()?)))
        .filter(|(_, task)| task.namespace().as_deref() == Some(namespace))
        .collect()
}

/// Number of Pods that were ever seen, per Task; with a namespace, of it only.
pub(crate) fn pods_per_task(history: &History, namespace: Option<&str>) -> BTreeMap<String, usize> {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in history.ordered().filter(|record| record.kind == Kind::Pod) {
        let text = |pointer: &str| {
            let object = record.object.as_ref()?;
            Some(object.pointer(pointer)?.as_str()?.to_owned())
        };
        if namespace.is_some() && text("/metadata/namespace").as_deref() != namespace {
            continue;
        }
        if let (Some(task), Some(uid)) = (
            text("/metadata/labels/ecs-operator.dev~1task"),
            text("/metadata/uid"),
        ) {
            seen.entry(task).or_default().insert(uid);
        }
    }
    seen.into_iter().map(|(task, uids)| (task, uids.len())).collect()
}
