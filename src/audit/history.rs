//! An ordered record of watch events, and how far it is complete.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds a history is made of. One etcd holds them all, so their versions are in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Settings of the scheduler.
    EcsCluster,
    /// Instances with the ledger.
    ContainerInstance,
    /// Services with what was decided for them.
    EcsService,
    /// Tasks.
    Task,
    /// Pods, foreign ones too.
    Pod,
    /// Nodes.
    Node,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::EcsCluster,
        Self::ContainerInstance,
        Self::EcsService,
        Self::Task,
        Self::Pod,
        Self::Node,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Event {
    /// The object is in the list that was taken at this version.
    Listed,
    /// The kind is complete up to this version: end of a list, or a bookmark.
    Sync,
    /// Created by the write of this version.
    Added,
    /// Changed by the write of this version.
    Modified,
    /// Removed by the write of this version.
    Deleted,
    /// What came after this version was lost; the next list begins anew.
    Gap,
}

impl Event {
    /// Whether it stands for a write.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(self, Self::Added | Self::Modified | Self::Deleted)
    }
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version it is about.
    pub version: u64,
    /// What it tells.
    #[serde(rename = "type")]
    pub event: Event,
    /// Kind it is about.
    pub kind: Kind,
    /// Number of the record among those of its kind, from 0: a line that is missing shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// When it was received, by the recorder's clock: not before it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
    /// Why there is a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Versions over which a kind is complete, or all kinds are: every write after `from`, up to and including `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Version of the first list.
    pub from: u64,
    /// Last version known to be complete.
    pub to: u64,
}

/// A place where the history is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Kind that is not complete.
    pub kind: Kind,
    /// Version before or at which something is missing.
    pub version: u64,
    /// What is wrong.
    pub why: String,
}

/// How complete a history is.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    pub(super) kinds: BTreeMap<Kind, Span>,
    pub(super) span: Option<Span>,
    pub(super) gaps: Vec<Gap>,
}

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the history can't be read")]
pub struct ReadError {
    /// Number of the line, from 1.
    line: usize,
    #[source]
    source: serde_json::Error,
}

/// An ordered record of watch events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// A history of records; those of one kind are in the order they came.
    #[must_use]
    pub fn new(records: Vec<Record>) -> Self {
        Self { records }
    }

    /// Reads JSON lines. Empty lines, and objects with a member `expect`, are comments.
    ///
    /// # Errors
    /// A line is neither a record nor a comment.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let mut records = Vec::new();
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let at_line = |source| ReadError {
                line: index.saturating_add(1),
                source,
            };
            let value: Value = serde_json::from_str(line).map_err(at_line)?;
            if value.get("expect").is_none() {
                records.push(serde_json::from_value(value).map_err(at_line)?);
            }
        }
        Ok(Self { records })
    }

    /// Writes JSON lines in order of versions.
    ///
    /// # Errors
    /// `out` can't be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for record in self.ordered() {
            serde_json::to_writer(&mut *out, record)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// The records; those of one kind are in the order they came.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records in order of versions; those of one version and kind stay in the order they came.
    pub fn ordered(&self) -> impl Iterator<Item = &Record> {
        let mut sorted: Vec<&Record> = self.records.iter().collect();
        sorted.sort_by_key(|record| record.version);
        sorted.into_iter()
    }

    /// The versions each kind is complete over, gaps within them left aside.
    #[must_use]
    pub fn spans(&self) -> BTreeMap<Kind, Span> {
        self.survey().kinds
    }

    /// Where the history is not complete, as far as its order tells.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.survey().gaps
    }

    pub(super) fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        for kind in Kind::ALL {
            self.survey_kind(kind, &mut survey);
        }
        let mut writers: BTreeMap<u64, Kind> = BTreeMap::new();
        for record in self.records.iter().filter(|r| r.event.is_write()) {
            if let Some(other) = writers.insert(record.version, record.kind)
                && other != record.kind
            {
                let why = format!(
                    "version {} was written by {other} too: the versions are not in one order",
                    record.version
                );
                survey.gaps.push(Gap {
                    kind: record.kind,
                    version: record.version,
                    why,
                });
            }
        }
        let complete = Kind::ALL.iter().all(|kind| survey.kinds.contains_key(kind));
        let from = survey.kinds.values().map(|s| s.from).max();
        let to = survey.kinds.values().map(|s| s.to).min();
        survey.span = match (from, to) {
            (Some(from), Some(to)) if complete && from <= to => Some(Span { from, to }),
            _ => None,
        };
        survey
    }

    /// Follows one kind in the order its records came.
    fn survey_kind(&self, kind: Kind, survey: &mut Survey) {
        let mut gap = |version: u64, why: String| survey.gaps.push(Gap { kind, version, why });
        let mut span: Option<Span> = None;
        let mut listing = true;
        let mut expected = 0;
        for record in self.records.iter().filter(|r| r.kind == kind) {
            let version = record.version;
            if let Some(number) = record.number {
                if number != expected {
                    gap(
                        version,
                        format!("record {expected} should follow, and {number} does"),
                    );
                }
                expected = number.saturating_add(1);
            }
            match record.event {
                Event::Listed => {
                    if !listing {
                        gap(version, "it was listed again while it was watched".to_owned());
                        listing = true;
                    }
                }
                Event::Sync => {
                    listing = false;
                    let begun = span.get_or_insert(Span {
                        from: version,
                        to: version,
                    });
                    // an older bookmark says nothing new
                    begun.to = begun.to.max(version);
                }
                Event::Added | Event::Modified | Event::Deleted => match &mut span {
                    Some(span) if !listing && version > span.to => span.to = version,
                    Some(span) if !listing => {
                        gap(
                            version,
                            format!(
                                "an event came late: the history was complete up to {} already",
                                span.to
                            ),
                        );
                    }
                    _ => gap(version, "an event came before the list was complete".to_owned()),
                },
                Event::Gap => {
                    listing = true;
                    gap(
                        version,
                        record
                            .note
                            .clone()
                            .unwrap_or_else(|| "the watch was lost".to_owned()),
                    );
                }
            }
        }
        match span {
            Some(span) => {
                survey.kinds.insert(kind, span);
            }
            None => gap(0, "it was never listed to the end".to_owned()),
        }
    }
}
