//! Data sets on SQLite: files under `target/perf`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use feed_core::db::Db;
use feed_core::migrate;

use super::fill::fill;
use super::store::{Set, is_outdated, key, timed};

/// The URL of a data set, which is built first if it is missing. Its file is not removed while the returned lock is
/// held.
pub(super) fn provide(set: Set) -> (String, File) {
    let file = file(set);
    let lock = lock_file(&set.key());
    loop {
        lock.lock_shared().expect("the data set can be locked");
        if file.exists() {
            return (format!("sqlite://{}", file.display()), lock);
        }
        lock.unlock().expect("the data set can be unlocked");
        lock.lock().expect("the data set can be locked");
        // Another process may have built it meanwhile.
        if !file.exists() {
            timed(&format!("built SQLite's {} flyers", set.size), || build(set));
        }
        lock.unlock().expect("the data set can be unlocked");
    }
}

fn folder() -> PathBuf {
    crate::target_folder().join("perf")
}

fn file(set: Set) -> PathBuf {
    folder().join(set.name()).with_extension("db")
}

/// The lock file that both data sets of a size share. It is never removed: a new file of the same name would be another
/// lock.
fn lock_file(key: &str) -> File {
    let folder = folder().join("locks");
    fs::create_dir_all(&folder).expect("the folder of the locks can be created");
    File::create(folder.join(key)).expect("the lock file opens")
}

/// Removes the data sets of older generators that nobody has open.
fn remove_outdated() {
    for entry in folder().read_dir().expect("the folder of the data sets is readable").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_file() || !is_outdated(&name) {
            continue;
        }
        let lock = lock_file(&key(&name));
        if lock.try_lock().is_ok() {
            // An error is ignored, because another process may have removed the file already.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Builds both files of a size, with and without statistics. They get their names once they are complete.
fn build(set: Set) {
    remove_outdated();
    let files = set.both().map(|set| (file(set), file(set).with_extension("building")));
    let [(_, plain), (_, analyzed)] = &files;
    for (building, suffix) in
        [plain, analyzed].iter().flat_map(|file| ["", "-wal", "-shm"].map(|s| (file, s)))
    {
        // An interrupted build leaves such files behind.
        let _ = fs::remove_file(format!("{}{suffix}", building.display()));
    }

    let mut connection = connect(plain);
    // Nothing needs to survive a crash: an incomplete file is built again.
    connection
        .batch_execute(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -524288",
        )
        .expect("the pragmas are set");
    let mut connection = Db::Sqlite(connection);
    migrate::run(&mut connection).expect("migrations run");
    timed("  rows and indexes", || fill(&mut connection, set.size).expect("the rows are written"));
    // The file keeps this mode. Otherwise the first connection would have to change it, which only a connection that is
    // alone can do.
    connection.batch_execute("PRAGMA journal_mode = WAL").expect("the file changes to WAL mode");
    drop(connection);

    timed("  copy and statistics", || {
        fs::copy(plain, analyzed).expect("the file can be copied");
        connect(analyzed).batch_execute("ANALYZE").expect("ANALYZE runs");
    });
    for (file, building) in &files {
        fs::rename(building, file).expect("the file gets its name");
    }
}

fn connect(file: &Path) -> SqliteConnection {
    SqliteConnection::establish(&file.display().to_string()).expect("the file opens")
}
