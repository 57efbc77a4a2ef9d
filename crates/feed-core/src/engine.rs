//! The two database engines.

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite: an embedded database in one file.
    Sqlite,
    /// PostgreSQL: a database server.
    Postgres,
}
