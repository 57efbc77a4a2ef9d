//! Creates files that only their owner may read: databases hold accounts and password hashes.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::url::DatabaseUrl;

/// The owner may read and write; nobody else may.
const MODE: u32 = 0o600;

/// Creates a file that only its owner may read and write, whatever the umask of the process.
///
/// # Errors
/// When a file with that name exists, or the file cannot be created.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(MODE).open(path)?;
    // The umask may have removed permissions of the owner, too.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Creates the file of a SQLite database if it is missing. SQLite gives its `-wal` and `-shm` files the same mode.
///
/// An existing file is not even opened, because closing it would release the locks that SQLite holds on it. Failures
/// are ignored here: SQLite reports them when it opens the file.
pub(super) fn create_missing(path: &Path) {
    let mut path = path.to_owned();
    // Follow symbolic links, as SQLite does, up to the usual limit of the system.
    for _ in 0..40 {
        let (Err(_), Ok(target)) = (create(&path), fs::read_link(&path)) else { return };
        path = path.parent().map_or(target.clone(), |folder| folder.join(&target));
    }
}

/// The file of a SQLite database, if it exists and every user of the machine has any permission on it.
#[must_use]
pub fn open_to_all(url: &DatabaseUrl) -> Option<PathBuf> {
    let DatabaseUrl::Sqlite(path) = url else { return None };
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| path.into())
}
