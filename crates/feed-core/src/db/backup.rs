//! A copy of an embedded database, taken while it is in use.

use std::fs::{self, File};
use std::io;
use std::path::{self, Path, PathBuf};

use diesel::{RunQueryDsl, sql_query, sql_types::Text};

use super::{Access, DatabaseUrl, Manager, private};

/// Why a database is not copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is not an embedded one.
    #[error("only an embedded database is copied by this command: a server's is by pg_dump")]
    Server,
    /// There is a file of the copy's name.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The copy's name is not text, as SQLite needs it.
    #[error("{} is not UTF-8", .0.display())]
    Name(PathBuf),
    /// The database or the file system fails.
    #[error("cannot copy {} to {}: {reason}", from.display(), to.display())]
    Failed {
        /// The database's file.
        from: PathBuf,
        /// The copy's.
        to: PathBuf,
        /// What is wrong, in a line.
        reason: String,
    },
}

/// Copies the database as it is at one moment into a new file, while others read and write; returns the file's length in
/// bytes.
///
/// Everything that was acknowledged before is in it. Only its owner may read it, at any moment. The file appears under its name when it is whole and on the disk.
/// Nobody waits for it, but the database's log grows by what is written meanwhile: it takes as long as reading and
/// writing the whole database once.
///
/// # Errors
/// When there is no such database, or a file of that name is there already.
pub fn back_up(url: &DatabaseUrl, file: &Path) -> Result<u64, BackupError> {
    let DatabaseUrl::Sqlite(path) = url else { return Err(BackupError::Server) };
    let name = file.to_str().ok_or_else(|| BackupError::Name(file.to_owned()))?;
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let (from, to) = (PathBuf::from(path), file.to_owned());
    copy(url, &from, name).map_err(|reason| BackupError::Failed {
        from,
        to,
        reason: super::one_line(&reason),
    })
}

fn copy(url: &DatabaseUrl, from: &Path, name: &str) -> Result<u64, String> {
    let told = |error: io::Error| error.to_string();
    // To open a file that is not there would make one.
    fs::metadata(from).map_err(|error| format!("{}: {error}", from.display()))?;
    // Absolute: SQLite would take `file:…` for a URI. Of chance: another copy may be under way to the same name.
    let name = path::absolute(name).map_err(told)?;
    let part = Part(format!("{}.{:016x}.part", name.display(), rand::random::<u64>()));
    let copy = private::create(Path::new(&part.0)).map_err(|error| format!("{}: {error}", name.display()))?;
    let manager = Manager { url: url.clone(), access: Access::Write };
    // Bare: what is copied stays as it is, whosever it is.
    let mut database = manager.connect_bare().map_err(|error| error.to_string())?;
    // SQLite's copying by pages would begin anew with each write of another process.
    sql_query("VACUUM INTO ?")
        .bind::<Text, _>(&part.0)
        .execute(&mut database)
        .map_err(|error| error.to_string())?;
    copy.sync_all().map_err(told)?;
    let bytes = copy.metadata().map_err(told)?.len();
    if bytes == 0 {
        return Err("the copy is empty".to_owned());
    }
    // A link, since a rename would replace a file that has come meanwhile. Not every file system has links.
    match fs::hard_link(&part.0, &name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err("a file of that name has come meanwhile".to_owned());
        }
        Err(_) => fs::rename(&part.0, &name).map_err(told)?,
        Ok(()) => {}
    }
    let folder = name.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
    Ok(bytes)
}

/// A file that is gone afterwards, whatever happens, unless it has got another name.
struct Part(String);

impl Drop for Part {
    fn drop(&mut self) {
        // Where it cannot be deleted, the next copy says so.
        let _ = fs::remove_file(&self.0);
    }
}
