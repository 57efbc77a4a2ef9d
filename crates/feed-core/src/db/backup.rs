//! Copies a SQLite database while it is in use.

use std::fs::{self, File};
use std::io;
use std::path::{self, Path, PathBuf};

use diesel::{RunQueryDsl, sql_query, sql_types::Text};

use super::database::one_line;
use super::manager::{Access, Manager};
use super::private;
use super::url::DatabaseUrl;

/// A database could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is on a PostgreSQL server.
    #[error("this command copies SQLite databases only: use pg_dump for PostgreSQL")]
    Server,
    /// A file with the copy's name exists.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The copy's name is not UTF-8, which SQLite requires.
    #[error("the file name {} is not UTF-8", .0.display())]
    Name(PathBuf),
    /// The database or the file system reports an error.
    #[error("cannot copy {} to {}: {reason}", from.display(), to.display())]
    Failed {
        /// The file of the database.
        from: PathBuf,
        /// The file of the copy.
        to: PathBuf,
        /// The reason in one line.
        reason: String,
    },
}

/// Copies a snapshot of the database into a new file, and returns the file's size in bytes.
///
/// Others may read and write meanwhile, and do not wait. The copy contains everything that was acknowledged before the
/// call. At every moment only its owner may read it. The file gets its name once it is complete and synced to disk.
/// Copying takes as long as reading and writing the whole database once. Meanwhile the database's log grows by
/// everything that is written.
///
/// # Errors
/// When the database does not exist, a file with that name exists, or the database or the file system reports an error.
pub fn back_up(url: &DatabaseUrl, file: &Path) -> Result<u64, BackupError> {
    let DatabaseUrl::Sqlite(path) = url else { return Err(BackupError::Server) };
    let name = file.to_str().ok_or_else(|| BackupError::Name(file.to_owned()))?;
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let (from, to) = (PathBuf::from(path), file.to_owned());
    copy(url, &from, name).map_err(|reason| BackupError::Failed { from, to, reason: one_line(&reason) })
}

fn copy(url: &DatabaseUrl, from: &Path, name: &str) -> Result<u64, String> {
    let text = |error: io::Error| error.to_string();
    // Opening a missing database would create it.
    fs::metadata(from).map_err(|error| format!("{}: {error}", from.display()))?;
    // An absolute path: SQLite takes a name like `file:copy.db` for a URI. A random name: another copy with the same
    // name may be running.
    let name = path::absolute(name).map_err(text)?;
    let part = PartialFile(format!("{}.{:016x}.part", name.display(), rand::random::<u64>()));
    let copy = private::create(Path::new(&part.0)).map_err(|error| format!("{}: {error}", name.display()))?;
    let manager = Manager { url: url.clone(), access: Access::Write };
    // Connect without settings, so that the database is not changed, even if another application owns it.
    let mut database = manager.connect_bare().map_err(|error| error.to_string())?;
    // SQLite's backup API copies page by page, and would restart with each write of another process.
    sql_query("VACUUM INTO ?")
        .bind::<Text, _>(&part.0)
        .execute(&mut database)
        .map_err(|error| error.to_string())?;
    copy.sync_all().map_err(text)?;
    let bytes = copy.metadata().map_err(text)?.len();
    if bytes == 0 {
        return Err("the copy is empty".to_owned());
    }
    // A rename would replace a file that was created meanwhile, and a link does not. Not every file system has links.
    match fs::hard_link(&part.0, &name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err("a file of that name was created meanwhile".to_owned());
        }
        Err(_) => fs::rename(&part.0, &name).map_err(text)?,
        Ok(()) => {}
    }
    let folder = name.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(text)?;
    Ok(bytes)
}

/// An unfinished copy. Dropping it deletes the file, unless it was renamed.
struct PartialFile(String);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // If it cannot be deleted, the next copy reports the error.
        let _ = fs::remove_file(&self.0);
    }
}
