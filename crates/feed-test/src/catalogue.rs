//! Reads the indexes and foreign keys of a database from its system catalogue.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use feed_core::db::Db;

/// The names of all indexes that the migrations create, without those of primary keys.
pub const INDEXES: &[&str] = &[
    "favorites_feed",
    "favorites_flyer_recent",
    "favorites_recent_feed",
    "favorites_user_recent",
    "flyers_creator_feed",
    "flyers_creator_recent",
    "flyers_feed",
    "flyers_large_cell_feed",
    "flyers_medium_cell_feed",
    "flyers_small_cell_feed",
    "flyers_to_clear",
    "flyers_to_mark",
    "flyers_valid_from",
    "follows_followed_recent",
    "follows_follower_recent",
    "users_email_key",
    "users_username",
];

/// An index.
#[derive(Debug)]
pub struct Index {
    /// The name.
    pub name: String,
    /// The table.
    pub table: String,
    /// The key columns, in order. SQLite has no `INCLUDE`, so there they end with the columns that only carry values.
    pub columns: Vec<String>,
    /// Whether it is a partial index.
    pub is_partial: bool,
}

/// The indexes and foreign keys of a database.
#[derive(Debug)]
pub struct Catalogue {
    /// All indexes, also those of primary keys.
    pub indexes: Vec<Index>,
    /// The table and column of each foreign key.
    pub foreign_keys: Vec<(String, String)>,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    index_name: String,
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_partial: bool,
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
}

impl Catalogue {
    /// Reads the catalogue.
    pub fn read(c: &mut Db) -> Self {
        let (columns, foreign_keys) = match c {
            Db::Sqlite(_) => (
                "SELECT l.name AS index_name, t.name AS table_name, i.name, \
                 l.partial AS is_partial FROM sqlite_schema t, pragma_index_list(t.name) l, \
                 pragma_index_info(l.name) i WHERE t.type = 'table' \
                 UNION ALL SELECT t.name || ' rowid', t.name, p.name, FALSE FROM sqlite_schema t, \
                 pragma_table_info(t.name) p WHERE t.type = 'table' AND p.pk = 1 AND p.type = 'INTEGER' \
                 ORDER BY 2, 1",
                "SELECT t.name AS table_name, k.\"from\" AS column_name FROM sqlite_schema t, \
                 pragma_foreign_key_list(t.name) k WHERE t.type = 'table'",
            ),
            Db::Postgres(_) => (
                "SELECT c.relname::text AS index_name, t.relname::text AS table_name, \
                 a.attname::text AS name, i.indpred IS NOT NULL AS is_partial \
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid \
                 CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum \
                 WHERE t.relnamespace = 'public'::regnamespace AND k.place <= i.indnkeyatts \
                 AND i.indisvalid ORDER BY t.relname, c.relname, k.place",
                "SELECT k.conrelid::regclass::text AS table_name, a.attname::text AS column_name \
                 FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
                 WHERE k.contype = 'f'",
            ),
        };
        let mut indexes: BTreeMap<String, Index> = BTreeMap::new();
        for row in diesel::sql_query(columns).load::<Column>(c).unwrap() {
            let Column { index_name, table_name: table, name, is_partial } = row;
            let index = Index { name: index_name.clone(), table, columns: Vec::new(), is_partial };
            indexes.entry(index_name).or_insert(index).columns.push(name);
        }
        let foreign_keys = diesel::sql_query(foreign_keys).load::<ForeignKey>(c).unwrap();
        Self {
            indexes: indexes.into_values().collect(),
            foreign_keys: foreign_keys.into_iter().map(|k| (k.table_name, k.column_name)).collect(),
        }
    }

    /// Whether an index of the table starts with these columns.
    pub fn has_index(&self, table: &str, columns: &[&str]) -> bool {
        self.indexes.iter().any(|index| {
            index.table == table
                && index.columns.len() >= columns.len()
                && index.columns.iter().zip(columns).all(|(a, b)| a == b)
        })
    }
}
