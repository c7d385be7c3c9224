//! A preview for people.

use std::collections::BTreeMap;

use super::preview::{InstancePreview, Preview, RunOncePreview, ServicePreview, StepKind, StepLine};
use super::text::{table_indented, verdicts, word};

/// Most tasks that a line names.
const NAMED_MAX: usize = 6;

/// What would happen.
#[must_use]
pub fn preview(it: &Preview) -> Vec<String> {
    let mut lines = Vec::new();
    for note in &it.notes {
        lines.push(format!("Note: {note}"));
    }
    for service in &it.services {
        lines.extend(of_service(service));
        lines.push(String::new());
    }
    for task in &it.run_once {
        lines.extend(of_run_once(task));
        lines.push(String::new());
    }
    for instance in &it.instances {
        lines.extend(of_instance(instance));
        lines.push(String::new());
    }
    if it.unchanged > 0 {
        let (services, stay) = if it.unchanged == 1 {
            ("service", "stays")
        } else {
            ("services", "stay")
        };
        lines.push(
            format!("{} {services} {stay} as they are.", it.unchanged)
                .replace("stays as they are", "stays as it is"),
        );
    }
    lines.push(match (&it.not_at_rest, it.at_rest_after_seconds) {
        (Some(why), _) => format!("Not at rest: {why}."),
        (None, Some(0)) => "At rest at once.".to_owned(),
        (None, seconds) => format!(
            "At rest after {} at the latest.",
            time(seconds.unwrap_or_default())
        ),
    });
    lines
}

fn of_service(it: &ServicePreview) -> Vec<String> {
    let mut lines = vec![format!(
        "EcsService {} ({})",
        it.service,
        word(&it.scheduling_strategy)
    )];
    if it.steps.is_empty() {
        lines.push("  nothing is started or stopped".to_owned());
    }
    let shown: Vec<&StepLine> = it
        .steps
        .iter()
        .filter(|step| step.what != StepKind::Ended)
        .collect();
    for group in groups(&shown) {
        lines.push(told(&group));
    }
    let tasks: usize = it.tasks.values().sum();
    let places = counted(it.tasks.iter().map(|(name, count)| (name.as_str(), *count)));
    let on = if places.is_empty() {
        String::new()
    } else {
        format!(": {places}")
    };
    lines.push(format!("  at the end {tasks} run, {} wanted{on}", it.desired));
    if it.finds_no_place {
        let what = match it.without_place {
            0 => "a task that is to replace another finds no place".to_owned(),
            count => format!("{count} without a place"),
        };
        lines.push(format!("  {what}. On each instance, the closest first:"));
        lines.extend(verdicts(&it.verdicts));
    } else if tasks < usize::try_from(it.desired).unwrap_or(usize::MAX) {
        lines.extend(it.says.iter().map(|text| format!("  it says: {text}")));
    }
    lines
}

fn of_run_once(it: &RunOncePreview) -> Vec<String> {
    let mut lines = vec![format!("Task {} (run once)", it.task)];
    if let Some(step) = &it.starts {
        let instance = step.instance.as_deref().unwrap_or_default();
        lines.push(format!(
            "  after {}: starts on {instance}",
            time(step.after_seconds)
        ));
    } else if it.verdicts.is_empty() {
        lines.extend(it.says.iter().map(|text| format!("  waits for {text}")));
    } else {
        lines.push("  finds no place. On each instance, the closest first:".to_owned());
        lines.extend(verdicts(&it.verdicts));
    }
    lines
}

/// Steps of one moment and one kind, as long as they follow each other.
fn groups<'a>(steps: &[&'a StepLine]) -> Vec<Vec<&'a StepLine>> {
    let mut found: Vec<Vec<&StepLine>> = Vec::new();
    for step in steps {
        let alike = |last: &&StepLine| {
            last.after_seconds == step.after_seconds
                && last.what == step.what
                && last.ended_after_seconds == step.ended_after_seconds
        };
        match found.last_mut().filter(|group| group.last().is_some_and(alike)) {
            Some(group) => group.push(step),
            None => found.push(vec![step]),
        }
    }
    found
}

fn told(group: &[&StepLine]) -> String {
    let Some(first) = group.first() else {
        return String::new();
    };
    let after = time(first.after_seconds);
    let tasks = if group.len() == 1 { "task" } else { "tasks" };
    let count = group.len();
    if first.what == StepKind::Starts {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for step in group {
            let place = places
                .entry(step.instance.as_deref().unwrap_or_default())
                .or_default();
            *place = place.saturating_add(1);
        }
        return format!(
            "  after {after}: starts {count} {tasks}: {}",
            counted(places.into_iter())
        );
    }
    let named: Vec<String> = group.iter().take(NAMED_MAX).map(|step| named(step)).collect();
    let more = if count > named.len() { ", …" } else { "" };
    let end = match first.ended_after_seconds {
        Some(by) => format!("ended after {} at the latest", time(by)),
        None => "the instance is not connected: nobody can say when it has ended".to_owned(),
    };
    format!(
        "  after {after}: tells {count} {tasks} to stop, {end}: {}{more}",
        named.join(", ")
    )
}

fn named(step: &StepLine) -> String {
    let short = short(step);
    match &step.instance {
        Some(instance) => format!("{short} on {instance}"),
        None => short,
    }
}

/// The beginning of an id; a name that a user gave stays whole.
fn short(step: &StepLine) -> String {
    let id = step.task.rsplit('/').next().unwrap_or_default();
    match step.service {
        Some(_) => id.chars().take(8).collect(),
        None => id.to_owned(),
    }
}

/// `a 2, b 1`
fn counted<'a>(places: impl Iterator<Item = (&'a str, usize)>) -> String {
    let told: Vec<String> = places.map(|(name, count)| format!("{name} {count}")).collect();
    told.join(", ")
}

fn of_instance(it: &InstancePreview) -> Vec<String> {
    let added = if it.added { ", added" } else { "" };
    let mut lines = vec![format!(
        "ContainerInstance {} ({}{added})",
        it.instance,
        word(&it.status)
    )];
    let rows: Vec<Vec<String>> = it
        .steps
        .iter()
        .map(|step| {
            let what = match step.what {
                StepKind::Starts => "starts",
                StepKind::ToldToStop => "told to stop",
                StepKind::Ended => "ended",
            };
            let latest = step.ended_after_seconds.map(|by| format!("ends by {}", time(by)));
            let detail = [latest, step.reason.clone()].into_iter().flatten();
            vec![
                time(step.after_seconds),
                what.to_owned(),
                step.service.clone().unwrap_or_default(),
                short(step),
                detail.collect::<Vec<_>>().join("; "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        lines.extend(table_indented(
            &["AFTER", "WHAT", "SERVICE", "TASK", "DETAIL"],
            &rows,
        ));
    }
    if let Some(seconds) = it.empty_after_seconds {
        lines.push(format!("  empty after {} at the latest", time(seconds)));
    }
    if let Some(left) = &it.left {
        lines.push("  does not become empty:".to_owned());
        lines.extend(left.waits_for.iter().map(|text| format!("    {text}")));
        lines.extend(left.daemons.iter().map(|text| format!("    daemon {text}")));
    }
    lines
}

/// Seconds as people say them: `40 s`, `2 min`, `1 h 30 min`.
fn time(seconds: i64) -> String {
    let (hours, rest) = (seconds.div_euclid(3600), seconds.rem_euclid(3600));
    let (minutes, left) = (rest.div_euclid(60), rest.rem_euclid(60));
    let parts = [(hours, "h"), (minutes, "min"), (left, "s")];
    let parts = parts.into_iter().filter(|(amount, _)| *amount > 0);
    let told: Vec<String> = parts.map(|(amount, unit)| format!("{amount} {unit}")).collect();
    if told.is_empty() {
        "0 s".to_owned()
    } else {
        told.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_told_in_hours_minutes_and_seconds() {
        assert_eq!(
            [0, 40, 120, 5430].map(time),
            ["0 s", "40 s", "2 min", "1 h 30 min 30 s"]
        );
    }
}
