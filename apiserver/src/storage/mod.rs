//! Objects that outlive the process: a [`Journal`] in one file of a directory, which [`open`] reads back.
//!
//! Every write is one transaction that is on the disk before the write is acknowledged. What a crash leaves, be it of
//! the process or of the machine, is all that was acknowledged, and at most the one write that was not yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;

use crate::store::{Collection, Journal, JournalError, Key, Record, Store};

/// The file within the directory.
const FILE: &str = "objects.redb";
/// What this version writes and reads.
const FORMAT: u64 = 1;

/// Objects as JSON, by group, plural and key.
const OBJECTS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("objects");
/// Numbers about the whole, by name.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const FORMAT_NAME: &str = "format";
const VERSION_NAME: &str = "version";

/// Why a directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory cannot be made.
    #[error("{path} cannot be created", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = .0.display())]
    InUse(PathBuf),
    /// It was written by a newer version of this program.
    #[error("{path} has format {found}, and this version reads up to {FORMAT}: it was written by a newer one", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format that the file says it has.
        found: u64,
    },
    /// An object in it is no JSON.
    #[error("{path}: {key} cannot be read", path = path.display())]
    Object {
        /// The file.
        path: PathBuf,
        /// The object.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is no whole file any more.
    #[error("{path} is damaged: restore it from a copy, or move it away to begin with nothing", path = .0.display())]
    Damaged(PathBuf),
    /// The file cannot be read or written.
    #[error("{path} cannot be read or written", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

/// A store whose objects are in `directory`, which is made if need be. It remembers `history` changes of each collection
/// from now on; what was before is known as objects only.
pub fn open(directory: &Path, history: usize) -> Result<Store, StorageError> {
    let path = directory.join(FILE);
    fs::create_dir_all(directory).map_err(|source| StorageError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    // redb takes its own file for whole: of one that was cut short it reads past the end, and panics
    let opened = std::panic::catch_unwind(|| open_file(&path, history));
    opened.unwrap_or(Err(StorageError::Damaged(path)))
}

fn open_file(path: &Path, history: usize) -> Result<Store, StorageError> {
    let path = path.to_owned();
    let database = Database::create(&path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StorageError::InUse(path.clone()),
        other => StorageError::File {
            path: path.clone(),
            source: Box::new(other.into()),
        },
    })?;
    let fails = |source| StorageError::File {
        path: path.clone(),
        source: Box::new(source),
    };
    let found = format(&database).map_err(fails)?;
    if found > FORMAT {
        return Err(StorageError::Newer { path, found });
    }
    let (version, rows) = read(&database).map_err(fails)?;
    let mut objects = Vec::with_capacity(rows.len());
    for (collection, key, bytes) in rows {
        let value: Value = serde_json::from_slice(&bytes).map_err(|source| StorageError::Object {
            path: path.clone(),
            key: format!("{collection} {}", key.as_str()),
            source,
        })?;
        objects.push((collection, key, value));
    }
    Ok(Store::restore(
        history,
        Box::new(File { database }),
        version,
        objects,
    ))
}

/// The format of a file; a new one gets that of this version. One of a newer version is not touched.
fn format(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut numbers = transaction.open_table(NUMBERS)?;
        transaction.open_table(OBJECTS)?;
        let found = numbers.get(FORMAT_NAME)?.map(|number| number.value());
        if found.is_none() {
            numbers.insert(FORMAT_NAME, FORMAT)?;
        }
        found.unwrap_or(FORMAT)
    };
    if found > FORMAT {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(found)
}

/// An object as it is stored.
type Row = (Collection, Key, Vec<u8>);

/// The version of the last write, and all objects.
fn read(database: &Database) -> Result<(u64, Vec<Row>), redb::Error> {
    let transaction = database.begin_read()?;
    let version = transaction
        .open_table(NUMBERS)?
        .get(VERSION_NAME)?
        .map_or(0, |number| number.value());
    let mut rows = Vec::new();
    for row in transaction.open_table(OBJECTS)?.iter()? {
        let (place, bytes) = row?;
        let (group, plural, key) = place.value();
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        rows.push((
            Collection::new(group, plural),
            Key::new(namespace, name),
            bytes.value().to_vec(),
        ));
    }
    Ok((version, rows))
}

/// The open file. It is locked against other processes as long as this lives.
struct File {
    database: Database,
}

impl File {
    fn write(&self, record: &Record<'_>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let place = (
                &*record.collection.group,
                &*record.collection.plural,
                record.key.as_str(),
            );
            let mut objects = transaction.open_table(OBJECTS)?;
            match record.object {
                Some(object) => objects.insert(place, &*object.text())?,
                None => objects.remove(place)?,
            };
            transaction
                .open_table(NUMBERS)?
                .insert(VERSION_NAME, record.version)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Journal for File {
    fn record(&mut self, record: &Record<'_>) -> Result<(), JournalError> {
        self.write(record)
            .map_err(|error| JournalError(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
