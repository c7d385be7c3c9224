//! Explanations for people.

use serde::Serialize;

use super::change::takes;
use super::instance::{DaemonLine, Drain, InstanceExplanation, ReplicaLine};
use super::service::{InstanceVerdict, ServiceExplanation};
use super::task::TaskExplanation;
use crate::domain::resources::Resources;
use crate::plan::UNPLACED;

/// Most instances that a text lists; the closest ones.
const ROWS_MAX: usize = 30;

/// A value's own word, as it stands in objects.
#[must_use]
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// Rows in columns, three spaces apart, as kubectl does.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..heads.len())
        .map(|at| {
            let all = std::iter::once(&heads).chain(rows);
            all.map(|row| cell(row, at).chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate();
        let padded: Vec<String> = cells
            .map(|(at, width)| format!("{:width$}", cell(row, at)))
            .collect();
        padded.join("   ").trim_end().to_owned()
    };
    std::iter::once(&heads).chain(rows).map(line).collect()
}

/// The same, a little to the right.
#[must_use]
pub fn table_indented(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    indented(table(heads, rows)).collect()
}

fn indented(lines: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    lines
        .into_iter()
        .map(|line| format!("  {line}").trim_end().to_owned())
}

fn notes(notes: &[String]) -> impl Iterator<Item = String> {
    notes.iter().map(|note| format!("Note: {note}"))
}

/// A service's explanation.
#[must_use]
pub fn service(it: &ServiceExplanation) -> Vec<String> {
    let strategy = word(&it.scheduling_strategy);
    let mut lines = vec![format!(
        "EcsService {} ({strategy}) of cluster {}",
        it.service, it.cluster
    )];
    lines.extend(notes(&it.notes));
    let mut counts = vec![
        format!("{} RUNNING", it.running),
        format!("{} PENDING", it.pending),
    ];
    let more = [
        (it.stopping, "stopping"),
        (it.starts, "about to start"),
        (it.stops, "about to be told to stop"),
        (it.waiting, "without a place"),
    ];
    let more = more.into_iter().filter(|(count, _)| *count > 0);
    counts.extend(more.map(|(count, what)| format!("{count} {what}")));
    lines.push(format!("  tasks: {} wanted; {}", it.desired, counts.join(", ")));
    for deployment in &it.deployments {
        lines.push(format!(
            "  deployment {}: {} {}, {} ({} RUNNING, {} PENDING)",
            deployment.id,
            word(&deployment.status),
            deployment.task_definition,
            word(&deployment.rollout_state),
            deployment.running,
            deployment.pending
        ));
    }
    // what the table says need not be said twice
    let says = it.says.iter().filter(|text| !text.starts_with(UNPLACED));
    lines.extend(says.map(|text| format!("  it says: {text}")));
    let Some(task) = &it.task else { return lines };
    lines.push(String::new());
    lines.push(format!(
        "Its next task takes {}. On each instance, the closest first:",
        takes(task)
    ));
    lines.extend(verdicts(&it.instances));
    lines
}

/// What a task would meet, as a table.
#[must_use]
pub fn verdicts(all: &[InstanceVerdict]) -> Vec<String> {
    if all.is_empty() {
        return vec!["  there is no instance in the cluster".to_owned()];
    }
    let rows: Vec<Vec<String>> = all.iter().take(ROWS_MAX).map(row).collect();
    let heads = ["INSTANCE", "FIRST THAT FAILS", "SMALLEST CHANGE", "DETAIL"];
    let mut lines: Vec<String> = indented(table(&heads, &rows)).collect();
    let rest = all.len().saturating_sub(rows.len());
    if rest > 0 {
        lines.push(format!("  and {rest} more instances: --output json has all"));
    }
    lines
}

fn row(verdict: &InstanceVerdict) -> Vec<String> {
    let first = match (&verdict.reason, verdict.fits) {
        (Some(reason), _) => reason.clone(),
        (None, true) => "none: it fits".to_owned(),
        (None, false) => "-".to_owned(),
    };
    let change = verdict.change.as_ref().map(super::remedy::Remedy::told);
    let detail = Some(verdict.detail.clone()).filter(|detail| !detail.is_empty());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![verdict.instance.clone(), first, or_none(change), or_none(detail)]
}

/// An instance's explanation.
#[must_use]
pub fn instance(it: &InstanceExplanation) -> Vec<String> {
    let connected = if it.connected {
        "connected"
    } else {
        "not connected"
    };
    let why = it.status_reason.as_ref().map(|why| format!(": {why}"));
    let mut lines = vec![format!(
        "ContainerInstance {} of cluster {}: {}{}, {connected}",
        it.instance,
        it.cluster,
        word(&it.status),
        why.unwrap_or_default()
    )];
    lines.extend(notes(&it.notes));
    if let Some(why) = &it.unschedulable {
        lines.push(format!("  takes no new tasks: {why}"));
    }
    lines.extend(drain(it.drain.as_ref()));
    lines.push(String::new());
    let amounts = |name: &str, r: &Resources| {
        vec![
            name.to_owned(),
            r.cpu.to_string(),
            r.memory.to_string(),
            r.pods.to_string(),
            r.gpu.to_string(),
            r.taken_of(r).join(","),
        ]
    };
    let rows = [
        amounts("registered", &it.registered),
        amounts("other Pods", &it.foreign),
        amounts("reserved", &it.reserved),
        amounts("held back for daemons", &it.withheld),
        amounts("left", &it.left),
    ];
    lines.extend(table(
        &["ROOM", "CPU", "MIB", "PODS", "GPUS", "HOST PORTS TAKEN"],
        &rows,
    ));
    if !it.tasks.is_empty() || !it.other_pods.is_empty() {
        lines.push(String::new());
        lines.extend(table(&["HELD BY", "OF", "STATE", "TAKES"], &holders(it)));
    }
    lines.extend(timeline(it));
    if !it.daemons.is_empty() {
        lines.push(String::new());
        let rows: Vec<Vec<String>> = it.daemons.iter().map(daemon_row).collect();
        lines.extend(table(&["DAEMON", "HERE", "WHY NOT", "SMALLEST CHANGE"], &rows));
    }
    if !it.replicas.is_empty() {
        lines.push(String::new());
        let rows: Vec<Vec<String>> = it.replicas.iter().map(replica_row).collect();
        let heads = [
            "REPLICA SERVICE",
            "HERE",
            "MORE",
            "WHY NOT ONE MORE",
            "SMALLEST CHANGE",
        ];
        lines.extend(table(&heads, &rows));
    }
    lines
}

/// When room frees up, and who waits for it.
fn timeline(it: &InstanceExplanation) -> Vec<String> {
    let frees = it.frees.iter().map(|freed| {
        let task = format!("task {}", freed.task);
        vec![format!("{:.0}", freed.about), task, takes(&freed.left)]
    });
    let waits = it.queue.iter().map(|waiting| {
        let about = waiting.about.map_or("-".to_owned(), |at| format!("{at:.0}"));
        vec![format!("task {}", waiting.task), takes(&waiting.takes), about]
    });
    let tables = [
        table(
            &["ROOM FREES UP ABOUT", "WITH THE END OF", "LEFT THEN"],
            &frees.collect::<Vec<_>>(),
        ),
        table(
            &["WAITS HERE", "TAKES", "STARTS ABOUT"],
            &waits.collect::<Vec<_>>(),
        ),
    ];
    // a table without rows is its heads
    let shown = tables.into_iter().filter(|lines| lines.len() > 1);
    shown
        .flat_map(|lines| std::iter::once(String::new()).chain(lines))
        .collect()
}

fn drain(drain: Option<&Drain>) -> Vec<String> {
    let Some(drain) = drain else { return Vec::new() };
    if drain.done {
        return vec!["  drained: nothing is left here".to_owned()];
    }
    let waits = drain.waits_for.iter().map(|text| format!("  waits for {text}"));
    let daemons = drain.daemons.iter().map(|text| format!("  daemon {text}"));
    waits.chain(daemons).collect()
}

fn holders(it: &InstanceExplanation) -> Vec<Vec<String>> {
    let tasks = it.tasks.iter().map(|holder| {
        let state = match (holder.last_status, holder.stopping, holder.stopped_by) {
            (None, ..) => "its Task is not there yet".to_owned(),
            (Some(last), false, _) => word(&last),
            (Some(last), true, None) => format!("{}, told to stop", word(&last)),
            (Some(last), true, Some(by)) => format!("{}, told to stop, by {by:.0}", word(&last)),
        };
        vec![
            format!("task {}", holder.task),
            holder.of.clone(),
            state,
            takes(&holder.amounts),
        ]
    });
    let pods = it.other_pods.iter().map(|pod| {
        vec![
            format!("Pod {}", pod.pod),
            "other".to_owned(),
            "-".to_owned(),
            takes(&pod.amounts),
        ]
    });
    tasks.chain(pods).collect()
}

/// Why not and what would change that.
fn why_not(verdict: &InstanceVerdict) -> [String; 2] {
    let [_, first, change, detail] = <[String; 4]>::try_from(row(verdict)).unwrap_or_default();
    let why = match (first.as_str(), detail.as_str()) {
        ("-", detail) => detail.to_owned(),
        (first, "-") => first.to_owned(),
        (first, detail) => format!("{first}: {detail}"),
    };
    [why, change]
}

fn daemon_row(line: &DaemonLine) -> Vec<String> {
    let here = line.last_status.as_ref().map_or("no".to_owned(), word);
    let [why, change] = if line.task.is_some() {
        ["-".to_owned(), "-".to_owned()]
    } else if line.verdict.fits {
        ["it comes with the next pass".to_owned(), "-".to_owned()]
    } else {
        why_not(&line.verdict)
    };
    vec![line.service.clone(), here, why, change]
}

fn replica_row(line: &ReplicaLine) -> Vec<String> {
    let [why, change] = why_not(&line.verdict);
    let (more, why) = if line.verdict.fits {
        (format!("{} or more", line.more), "-".to_owned())
    } else {
        (line.more.to_string(), why)
    };
    vec![line.service.clone(), line.here.to_string(), more, why, change]
}

/// A task's explanation.
#[must_use]
pub fn task(it: &TaskExplanation) -> Vec<String> {
    let mut lines = vec![format!("Task {} of {}, {}", it.task, it.of, it.task_definition)];
    lines.extend(notes(&it.notes));
    let instance = it.instance.as_ref();
    let mut facts = vec![
        format!(
            "{} (wanted: {}), health {}",
            word(&it.last_status),
            word(&it.desired_status),
            word(&it.health_status)
        ),
        instance.map_or_else(
            || "bound to no instance".to_owned(),
            |name| format!("bound to {name}"),
        ),
    ];
    let share = it
        .share
        .as_ref()
        .map(|share| format!("has {} reserved there", takes(share)));
    facts.extend(share);
    facts.extend(it.pod.as_ref().map(|pod| format!("Pod {pod}")));
    facts.push(format!("created {:.0}", it.created_at));
    facts.extend(it.started_at.map(|at| format!("RUNNING since {at:.0}")));
    facts.extend(it.stopped_at.map(|at| format!("STOPPED at {at:.0}")));
    facts.extend(
        it.protected_until
            .map(|until| format!("protected until {until:.0}")),
    );
    facts.extend(
        it.should_finish
            .map(|why| format!("told that it should finish: {why}")),
    );
    facts.extend(it.waits_for.as_ref().map(|what| format!("waits for {what}")));
    if let Some(stop) = &it.stop {
        let code = stop.code.as_ref().map(|code| format!(" ({})", word(code)));
        facts.push(format!("told to stop by {}{}", stop.by, code.unwrap_or_default()));
        facts.extend(stop.reason.as_ref().map(|reason| format!("reason: {reason}")));
        let latest = stop.at_the_latest;
        facts.extend(latest.map(|at| format!("has stopped by {at:.0} at the latest")));
        facts.extend(
            stop.waits_for
                .as_ref()
                .map(|what| format!("its end waits for {what}")),
        );
    }
    lines.extend(indented(facts));
    if let Some(task) = &it.takes {
        lines.push(String::new());
        lines.push(format!(
            "It takes {}. On each instance, the closest first:",
            takes(task)
        ));
        lines.extend(verdicts(&it.instances));
    }
    lines
}
