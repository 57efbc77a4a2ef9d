//! Files with what nobody but their owner may read: accounts and the hashes of their passwords.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::DatabaseUrl;

/// What its owner may read and write, and nobody else.
const MODE: u32 = 0o600;

/// Makes a file that only its owner may read and write, whatever the process's umask.
///
/// # Errors
/// When there is a file of that name, or none can be made.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(MODE).open(path)?;
    // A umask may have taken rights away from the owner too.
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Makes the file of a database where there is none; SQLite gives its log and its index of the log the same mode.
///
/// A file that is there is not even opened: closing it would take away the locks that SQLite has on it. What cannot be
/// made, SQLite tells best.
pub(super) fn create_missing(path: &Path) {
    let mut path = path.to_owned();
    // Through links, as SQLite goes, and no further than the system would.
    for _ in 0..40 {
        let (Err(_), Ok(target)) = (create(&path), fs::read_link(&path)) else { return };
        path = path.parent().map_or(target.clone(), |folder| folder.join(&target));
    }
}

/// The file of an embedded database, where it is there and everybody on this machine may read or write it.
#[must_use]
pub fn open_to_all(url: &DatabaseUrl) -> Option<PathBuf> {
    let DatabaseUrl::Sqlite(path) = url else { return None };
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| path.into())
}
