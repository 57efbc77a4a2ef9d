//! The migrations of both engines, carried by the binary.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::Db;
use crate::error::{Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Runs the migrations that the database lacks and returns their names.
///
/// # Errors
/// [`Error::Internal`] when one fails; those before it stay.
pub fn run(connection: &mut Db) -> Result<Vec<String>> {
    let done = match connection {
        Db::Sqlite(c) => c.run_pending_migrations(SQLITE).map(names),
        Db::Postgres(c) => c.run_pending_migrations(POSTGRES).map(names),
    };
    done.map_err(Error::Internal)
}

/// Reverts every migration and returns their names, newest first: all data is gone.
///
/// # Errors
/// [`Error::Internal`] when one fails; those reverted before it stay so.
pub fn revert(connection: &mut Db) -> Result<Vec<String>> {
    let done = match connection {
        Db::Sqlite(c) => c.revert_all_migrations(SQLITE).map(names),
        Db::Postgres(c) => c.revert_all_migrations(POSTGRES).map(names),
    };
    done.map_err(Error::Internal)
}

/// Whether the database lacks a migration that this binary carries.
///
/// # Errors
/// [`Error::Internal`] when the database cannot be asked.
pub fn is_pending(connection: &mut Db) -> Result<bool> {
    let pending = match connection {
        Db::Sqlite(c) => c.has_pending_migration(SQLITE),
        Db::Postgres(c) => c.has_pending_migration(POSTGRES),
    };
    pending.map_err(Error::Internal)
}

fn names(versions: Vec<diesel::migration::MigrationVersion<'_>>) -> Vec<String> {
    versions.iter().map(ToString::to_string).collect()
}
