//! The two database engines.

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite: one embedded file.
    Sqlite,
    /// PostgreSQL: a server.
    Postgres,
}
