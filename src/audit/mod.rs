//! The auditor: replays the watch history of a cluster and says where invariants I1 to I8 were broken.
//!
//! It reads what the API server committed, version by version, and shares nothing with the planner or the ledger but
//! the types of the objects: a mistake in their arithmetic is not repeated here. Where a decision rests on what its
//! author could see and the history doesn't tell, it is judged in the author's favour; what could not be judged is
//! counted in [`Figures`].

mod bounds;
mod facts;
mod history;
mod pods;
mod recorder;
mod rest;
mod shares;
mod tasks;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use history::{Event, Gap, History, Kind, ReadError, Record, Span};
pub use recorder::{RecordError, Recorder};
use world::{Change, World};

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Invariant {
    /// No write adds a reservation for which there is no room.
    I1,
    /// At most one desired-RUNNING task of a daemon service per instance.
    I2,
    /// No reservation is added to an instance that is not ACTIVE.
    I3,
    /// On a DRAINING instance daemons are told to stop last.
    I4,
    /// A Pod runs only under a reservation, each Task has one Pod, ever, and no name of a Task comes twice.
    I5,
    /// Decisions keep a service between its lower and upper bound.
    I6,
    /// Scale-in and deployments leave protected tasks alone.
    I7,
    /// At rest nothing is left behind.
    I8,
    /// The history itself is not complete: what it leaves out can't be judged.
    Gap,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An invariant broken by one write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What was broken.
    pub invariant: Invariant,
    /// resourceVersion of the write that broke it.
    pub version: u64,
    /// Kind and name of the object that was written.
    pub object: String,
    /// What happened, in one sentence.
    pub sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at version {}, {}: {}",
            self.invariant, self.version, self.object, self.sentence
        )
    }
}

/// What the history is expected to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The cluster is at rest at the end of the history: I8 is judged there.
    pub quiet: bool,
    /// A foreign hand wipes the ledger during the history: shares of running tasks may vanish.
    pub expect_wipe: bool,
}

/// How much was seen and judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Versions that every kind is complete over.
    pub span: Option<Span>,
    /// Writes per kind within the span.
    pub writes: BTreeMap<Kind, u64>,
    /// Reservations that were added, restored ones left out. (I1, I3)
    pub reservations: u64,
    /// Tasks that were put into the queue of an instance. (OPT-1)
    pub queued: u64,
    /// Tasks that were told to stop by a scheduler. (I4, I7)
    pub stops: u64,
    /// Pods of tasks that were created. (I5)
    pub pods: u64,
    /// Planning writes that added stop marks or allocations and were judged. (I6)
    pub planning: u64,
    /// Planning writes decided on Tasks older than the history.
    pub planning_unjudged: u64,
}

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was broken, in order of versions.
    pub violations: Vec<Violation>,
    /// How much was seen and judged.
    pub figures: Figures,
}

impl Report {
    fn add(&mut self, invariant: Invariant, version: u64, object: String, sentence: String) {
        self.violations.push(Violation {
            invariant,
            version,
            object,
            sentence,
        });
    }
}

/// Where and when a write is judged.
#[derive(Clone, Copy, Debug)]
struct Moment {
    version: u64,
    /// When the recorder received it: never before it was written.
    at: Option<Timestamp>,
}

/// What in the history broke an invariant.
#[must_use]
pub fn check(history: &History, options: &Options) -> Vec<Violation> {
    audit(history, options).violations
}

/// Replays the history and judges every write that all kinds are complete at.
#[must_use]
pub fn audit(history: &History, options: &Options) -> Report {
    let mut report = Report::default();
    let survey = history.survey();
    for gap in &survey.gaps {
        report.add(Invariant::Gap, gap.version, gap.kind.to_string(), gap.why.clone());
    }
    let Some(span) = survey.span else {
        let why = "there is no version at which all kinds are complete".to_owned();
        report.add(Invariant::Gap, 0, "history".to_owned(), why);
        return report;
    };
    report.figures.span = Some(span);
    let mut world = World::default();
    for record in history.ordered() {
        if record.version > span.to {
            break;
        }
        let change = match world.apply(record) {
            Ok(change) => change,
            Err(broken) => {
                report.add(Invariant::Gap, record.version, broken.object, broken.why);
                broken.change
            }
        };
        let moment = Moment {
            version: record.version,
            at: record.at,
        };
        pods::note(&mut world, &change);
        tasks::note(&mut world, &change);
        shares::note(&mut world, &change);
        if record.event.is_write() && world.complete() {
            let writes = report.figures.writes.entry(record.kind).or_default();
            *writes = writes.saturating_add(1);
            judge(&world, &change, moment, *options, &mut report);
        }
    }
    if options.quiet {
        rest::judge(&world, span.to, &mut report);
    }
    report
        .violations
        .sort_by_key(|found| (found.version, found.invariant));
    report
}

fn judge(world: &World, change: &Change, moment: Moment, options: Options, report: &mut Report) {
    match change {
        Change::Instance(moved) => {
            shares::judge(world, moved, moment, options, report);
            pods::judge_instance(world, moved, moment, options, report);
        }
        Change::Service(moved) => bounds::judge(world, moved, moment, report),
        Change::Task(moved) => tasks::judge(world, moved, moment, report),
        Change::Pod(moved) => pods::judge(world, moved, moment, options, report),
        Change::Nothing => {}
    }
}
