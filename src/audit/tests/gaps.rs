//! Histories with something missing.

use serde_json::json;

use super::scene::{SCALING, Scene};
use super::{Case, case};
use crate::audit::{Event, History, Invariant, Kind, Record};

fn broken(name: &str, hurt: impl FnOnce(&mut Vec<Record>)) -> Case {
    let mut s = Scene::new();
    s.daemon("log", 0);
    s.run("d1", "n1", "log");
    s.plan("log", &[], &["d1"], SCALING);
    s.tell("d1", SCALING);
    let mut records = s.records();
    hurt(&mut records);
    case(name, Some(Invariant::Gap), History::new(records))
}

fn find(records: &[Record], kind: Kind, event: Event) -> usize {
    records
        .iter()
        .position(|r| r.kind == kind && r.event == event)
        .unwrap()
}

pub(super) fn all() -> Vec<Case> {
    vec![
        broken("Gap-creation-missing", |records| {
            records.remove(find(records, Kind::Pod, Event::Added));
        }),
        broken("Gap-deletion-missing", |records| {
            let created = find(records, Kind::Pod, Event::Added);
            let mut again = records[created].clone();
            again.version = 500;
            let object = again.object.as_mut().unwrap();
            object["metadata"]["resourceVersion"] = json!("500");
            object["metadata"]["uid"] = json!("another");
            // its Task's second Pod would be no gap
            object["metadata"]["labels"] = json!({});
            let end = records.len() - Kind::ALL.len();
            records.insert(end, again);
            for record in records.iter_mut().skip(end + 1) {
                record.version = 500;
            }
        }),
        broken("Gap-change-missing", |records| {
            let created = find(records, Kind::EcsService, Event::Added);
            let mut later = records[created].clone();
            (later.version, later.event) = (500, Event::Modified);
            let meta = &mut later.object.as_mut().unwrap()["metadata"];
            meta["resourceVersion"] = json!("500");
            meta["generation"] = json!(3);
            let end = records.len() - Kind::ALL.len();
            records.insert(end, later);
            for record in records.iter_mut().skip(end + 1) {
                record.version = 500;
            }
        }),
        broken("Gap-line-missing", |records| {
            for kind in Kind::ALL {
                let of_kind = records.iter_mut().filter(|r| r.kind == kind);
                for (number, record) in (0..).zip(of_kind) {
                    record.number = Some(number);
                }
            }
            let told = records
                .iter()
                .rposition(|r| r.kind == Kind::Task && r.event == Event::Modified);
            records.remove(told.unwrap());
        }),
        broken("Gap-watch-lost-and-listed-again", |records| {
            let told = records
                .iter()
                .rposition(|r| r.kind == Kind::Task && r.event == Event::Modified);
            let told = told.unwrap();
            let (version, mut listed) = (records[told].version, records[told].clone());
            listed.event = Event::Listed;
            let note = "the API server no longer has the history that follows".to_owned();
            records[told] = Record {
                version: version - 2,
                event: Event::Gap,
                kind: Kind::Task,
                number: None,
                at: None,
                object: None,
                note: Some(note),
            };
            records.insert(told + 1, listed);
        }),
        broken("Gap-kind-missing", |records| {
            records.retain(|r| r.kind != Kind::Node);
        }),
        broken("Gap-list-not-finished", |records| {
            records.retain(|r| r.kind != Kind::Pod || r.event != Event::Sync);
        }),
        broken("Gap-event-late", |records| {
            let second = records
                .iter()
                .rposition(|r| r.kind == Kind::Task && r.event == Event::Modified);
            let second = second.unwrap();
            let late = records.remove(second - 2);
            records.push(late);
        }),
        broken("Gap-two-orders-of-versions", |records| {
            let pod = find(records, Kind::Pod, Event::Added);
            let task = find(records, Kind::Task, Event::Added);
            let version = records[task].version;
            records[pod].version = version;
            let meta = &mut records[pod].object.as_mut().unwrap()["metadata"];
            meta["resourceVersion"] = json!(version.to_string());
        }),
        broken("Gap-never-complete-together", |records| {
            for record in records.iter_mut().filter(|r| r.kind == Kind::Node) {
                record.version += 1000;
            }
        }),
    ]
}
