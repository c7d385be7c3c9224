//! The auditor in scenarios: the whole history is recorded and judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_operator::api::Task;
use ecs_operator::audit::{self, History, Kind, Options, Recorder, Report};
use jiff::Timestamp;
use kube::{Client, ResourceExt};

/// Begins a recording.
pub(crate) async fn record(client: &Client) -> Recorder {
    Recorder::start(client.clone())
        .await
        .expect("the cluster can be listed")
}

/// Ends a recording of a cluster that is at rest now; panics if an invariant was broken.
pub(crate) async fn sound(recorder: Recorder) -> (History, Report) {
    let history = recorder.stop(Duration::from_secs(60)).await;
    let options = Options {
        quiet: true,
        ..Options::default()
    };
    let report = audit::audit(&history, &options);
    if !report.violations.is_empty() {
        keep(&history);
    }
    let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    (history, report)
}

/// Leaves a history that shows a violation where it can be looked at.
fn keep(history: &History) {
    let path = std::env::temp_dir().join(format!("ecs-operator-history-{}.jsonl", std::process::id()));
    if let Ok(mut file) = std::fs::File::create(&path)
        && history.write(&mut file).is_ok()
    {
        eprintln!("the history is in {}", path.display());
    }
}

/// Every version of the Tasks of a namespace, in order, with the time it was received; a deleted Task is left out.
pub(crate) fn moments(history: &History, namespace: &str) -> Vec<(Option<Timestamp>, Task)> {
    history
        .ordered()
        .filter(|record| record.kind == Kind::Task && record.event != audit::Event::Deleted)
        .filter_map(|record| Some((record.at, record.object.clone()?)))
        .filter_map(|(at, object)| Some((at, serde_json::from_value::<Task>(object).ok()?)))
        .filter(|(_, task)| task.namespace().as_deref() == Some(namespace))
        .collect()
}

/// Number of Pods that were ever seen, per Task of a namespace.
pub(crate) fn pods_per_task(history: &History, namespace: &str) -> BTreeMap<String, usize> {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in history.ordered().filter(|record| record.kind == Kind::Pod) {
        let text = |pointer: &str| {
            let object = record.object.as_ref()?;
            Some(object.pointer(pointer)?.as_str()?.to_owned())
        };
        if text("/metadata/namespace").as_deref() != Some(namespace) {
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
