//! Data sets as SQLite files under `target/perf`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use feed_core::db::Db;
use feed_core::migrate;

use super::fill::fill;
use super::store::{Set, is_outdated, key, timed};

/// The URL of a data set, which is there as long as the lock is held.
pub(super) fn provide(set: Set) -> (String, File) {
    let file = file(set);
    let lock = lock_file(&set.key());
    loop {
        lock.lock_shared().expect("the lock");
        if file.exists() {
            return (format!("sqlite://{}", file.display()), lock);
        }
        lock.unlock().expect("the lock");
        lock.lock().expect("the lock");
        // Another process may have built it meanwhile.
        if !file.exists() {
            timed(&format!("built SQLite's {} flyers", set.size), || build(set));
        }
        lock.unlock().expect("the lock");
    }
}

fn folder() -> PathBuf {
    crate::target_folder().join("perf")
}

fn file(set: Set) -> PathBuf {
    folder().join(set.name()).with_extension("db")
}

/// The lock of both files of a size. It is never removed: two files of one name would be two locks.
fn lock_file(key: &str) -> File {
    let folder = folder().join("locks");
    fs::create_dir_all(&folder).expect("a folder for the locks");
    File::create(folder.join(key)).expect("a lock file")
}

/// Removes what former generators built and nobody has open.
fn remove_outdated() {
    for entry in folder().read_dir().expect("the data's folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_file() || !is_outdated(&name) {
            continue;
        }
        let lock = lock_file(&key(&name));
        if lock.try_lock().is_ok() {
            // Another process may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Builds both files of a size under other names: where they have their own, they are complete.
fn build(set: Set) {
    remove_outdated();
    let files = set.both().map(|set| (file(set), file(set).with_extension("building")));
    let [(_, plain), (_, analyzed)] = &files;
    for (building, suffix) in
        [plain, analyzed].iter().flat_map(|file| ["", "-wal", "-shm"].map(|s| (file, s)))
    {
        // There is one where a build was broken off.
        let _ = fs::remove_file(format!("{}{suffix}", building.display()));
    }

    let mut connection = connect(plain);
    // What is lost in a crash is built again.
    connection
        .batch_execute(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -524288",
        )
        .expect("pragmas");
    let mut connection = Db::Sqlite(connection);
    migrate::run(&mut connection).expect("migrations run");
    timed("  rows and indexes", || fill(&mut connection, set.size).expect("the rows"));
    // Kept in the file: nobody who opens it has to change it, for which they would have to be alone.
    connection.batch_execute("PRAGMA journal_mode = WAL").expect("write-ahead log");
    drop(connection);

    timed("  copy and statistics", || {
        fs::copy(plain, analyzed).expect("a copy");
        connect(analyzed).batch_execute("ANALYZE").expect("statistics");
    });
    for (file, building) in &files {
        fs::rename(building, file).expect("its name");
    }
}

fn connect(file: &Path) -> SqliteConnection {
    SqliteConnection::establish(&file.display().to_string()).expect("the file opens")
}
