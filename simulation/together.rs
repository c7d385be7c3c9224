//! What must hold of requests for tasks: no Pod of a task of all or nothing before all its tasks had their share at one
//! moment, and no name of a task twice. (RUN-1, RUN-4)

use std::collections::{BTreeMap, BTreeSet};

use ecs_operator::audit::{Event, History, Kind};
use serde_json::Value;

/// A request by uid, and the attempt.
type Attempt = (String, u64);

/// What is known of an attempt.
#[derive(Default)]
struct Group {
    /// Its Tasks, by uid.
    tasks: BTreeSet<String>,
    /// All of them had their share at one moment.
    stood: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What was broken, empty if nothing was, and how many Pods there were of tasks that waited for each other.
pub(crate) fn together(history: &History) -> (Vec<String>, usize) {
    let (mut broken, mut pods) = (Vec::new(), 0);
    let mut groups: BTreeMap<Attempt, Group> = BTreeMap::new();
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut shares: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in history.ordered() {
        let Some(object) = &record.object else { continue };
        let (meta, gone) = (&object["metadata"], record.event == Event::Deleted);
        match record.kind {
            Kind::Task => {
                let of = &object["spec"]["runTask"];
                if of.is_null() || gone {
                    continue;
                }
                let (uid, name) = (text(&meta["uid"]), text(&meta["name"]));
                let known = names.entry(name.clone()).or_insert_with(|| uid.clone());
                if *known != uid {
                    broken.push(format!("Task {name} of a request was created twice"));
                }
                if of["commit"] == "AllOrNothing" {
                    let attempt = (text(&of["uid"]), of["attempt"].as_u64().unwrap());
                    let group = groups.entry(attempt.clone()).or_default();
                    // whoever comes later has no share yet
                    group.stood &= !group.tasks.insert(uid.clone());
                    attempts.insert(uid, attempt);
                }
            }
            Kind::ContainerInstance => {
                let entries = object["status"]["reservations"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let held = entries.iter().map(|entry| text(&entry["uid"])).collect();
                shares.insert(text(&meta["name"]), held);
                for group in groups.values_mut().filter(|group| !group.stood) {
                    group.stood = group
                        .tasks
                        .iter()
                        .all(|uid| shares.values().any(|held| held.contains(uid)));
                }
            }
            Kind::Pod if record.event == Event::Added => {
                let owner = text(&meta["ownerReferences"][0]["uid"]);
                let group = attempts.get(&owner).and_then(|attempt| groups.get(attempt));
                pods += usize::from(group.is_some());
                if group.is_some_and(|group| !group.stood) {
                    let name = text(&meta["name"]);
                    broken.push(format!(
                        "Pod {name} of a request was made before all its tasks had their share"
                    ));
                }
            }
            _ => {}
        }
    }
    (broken, pods)
}
