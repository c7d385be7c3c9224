//! The seam to storage that outlives the process.

use super::{Collection, Key, Stored};

/// One write, before it is acknowledged or seen by anybody.
#[derive(Debug)]
pub struct Record<'a> {
    /// The number of the write.
    pub version: u64,
    /// Where the object is.
    pub collection: &'a Collection,
    /// Which object.
    pub key: &'a Key,
    /// The object as written; none when it is deleted.
    pub object: Option<&'a Stored>,
}

/// A write could not be made to last. It did not happen.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);

/// Makes writes last. What [`Journal::record`] accepted must be there for [`super::Store::restore`] after a crash.
pub trait Journal: Send {
    /// Called in the order of versions, once for each write; an object that is only read otherwise comes with the version of the
    /// write before.
    fn record(&mut self, record: &Record<'_>) -> Result<(), JournalError>;
}

/// Nothing outlives the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn record(&mut self, _: &Record<'_>) -> Result<(), JournalError> {
        Ok(())
    }
}
