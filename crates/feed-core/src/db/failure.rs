//! What an error of PostgreSQL means, whatever language the server speaks.
//!
//! Diesel tells a few kinds of errors apart and keeps the server's code of all others to itself; their texts are in the
//! language of the server, which only a superuser may choose (`lc_messages`), or a role that was granted it. So an error
//! of no kind is judged by what is the same in all languages: how long its statement took, what it points at, and the
//! names of locks and files in its text.

use std::time::Duration;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as Diesel};

use crate::error::Error;

/// Asks for English, for the log's sake and for certainty, and goes on without it where the role may not.
pub(super) const SPEAK_ENGLISH: &str = "DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false); \
                                        EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;";

/// How much of a statement's time a wait for one lock may take: a half, so that a slow statement and one that was held up
/// are told apart.
pub(super) fn lock_limit(statement: Duration) -> Duration {
    statement / 2
}

/// The error as it is meant: `lasted` is how long the statement took that failed, `limit` how long it might.
pub(super) fn judged(error: Error, lasted: Option<Duration>, limit: Option<Duration>) -> Error {
    let Error::Internal(cause) = error else { return error };
    let verdict = match cause.downcast_ref() {
        Some(Diesel::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
            verdict(info.as_ref(), lasted.unwrap_or_default(), limit)
        }
        _ => Verdict::Fault,
    };
    match verdict {
        Verdict::TimedOut => Error::TimedOut(cause),
        Verdict::Unavailable => Error::Unavailable(cause),
        Verdict::Fault => Error::Internal(cause),
    }
}

/// What the server could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Ended, since it took too long or somebody wanted it ended.
    TimedOut,
    /// Not now: a lock did not come free, or the server lacks memory, disk or the like.
    Unavailable,
    /// Not ever: the statement is wrong, or its values are.
    Fault,
}

fn verdict(info: &dyn DatabaseErrorInformation, lasted: Duration, limit: Option<Duration>) -> Verdict {
    // Certain, where it is English.
    match info.message() {
        "canceling statement due to statement timeout" | "canceling statement due to user request" => {
            return Verdict::TimedOut;
        }
        "canceling statement due to lock timeout" => return Verdict::Unavailable,
        _ => {}
    }
    // What a statement would make of the data is wrong at whatever time. A place in the statement says less: waiting for a
    // table's lock, too, fails where the table is named.
    if [info.table_name(), info.column_name(), info.constraint_name()].iter().any(Option::is_some) {
        return Verdict::Fault;
    }
    // The server begins to count after us and tells us when it has ended it: what it ended has taken so long.
    let is_over = |limit: Duration| lasted >= limit;
    match limit {
        Some(limit) if is_over(limit) => Verdict::TimedOut,
        Some(limit) if is_over(lock_limit(limit)) => Verdict::Unavailable,
        _ if is_of_server(info) => Verdict::Unavailable,
        _ => Verdict::Fault,
    }
}

/// Whether an error is told of a deadlock, or of memory, disk or another resource of the server.
fn is_of_server(info: &dyn DatabaseErrorInformation) -> bool {
    // How much memory there was not. What is wrong with data has details too, but names a table or has a kind, and what is
    // wrong with the statement has its place.
    info.details().is_some() && info.statement_position().is_none()
        || info.details().is_some_and(is_deadlock)
        // "You might need to increase …", where locks or memory for them run out; a limit of temporary files.
        || names(info.hint(), |word| word.starts_with("max_"))
        || names(Some(info.message()), |word| word == "temp_file_limit" || is_server_file(word))
}

/// Whether details say who waits for whom: a line each, with the name of a lock, which no language translates.
fn is_deadlock(details: &str) -> bool {
    details.lines().count() > 1 && details.lines().all(|line| line.contains("Lock"))
}

/// Whether a word of a text passes; quotation marks, which differ too, are no part of words.
fn names(text: Option<&str>, is_it: impl Fn(&str) -> bool) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    text.is_some_and(|text| text.split(|c| !is_part(c)).any(is_it))
}

/// Files of the server's own, as its messages name them, and its shared memory.
fn is_server_file(word: &str) -> bool {
    let folder = word.split_once('/').map(|(folder, _)| folder);
    folder.is_some_and(|folder| ["base", "global"].contains(&folder) || folder.starts_with("pg_"))
        || word.starts_with("/PostgreSQL.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Clone, Copy)]
    struct Info {
        message: &'static str,
        details: Option<&'static str>,
        hint: Option<&'static str>,
        position: Option<i32>,
        table: Option<&'static str>,
    }

    impl DatabaseErrorInformation for Info {
        fn message(&self) -> &str {
            self.message
        }
        fn details(&self) -> Option<&str> {
            self.details
        }
        fn hint(&self) -> Option<&str> {
            self.hint
        }
        fn table_name(&self) -> Option<&str> {
            self.table
        }
        fn column_name(&self) -> Option<&str> {
            None
        }
        fn constraint_name(&self) -> Option<&str> {
            None
        }
        fn statement_position(&self) -> Option<i32> {
            self.position
        }
    }

    fn say(message: &'static str) -> Info {
        Info { message, ..Info::default() }
    }

    // The server's own texts, in other languages where that could matter. Where a server can be made to say them,
    // `tests/language.rs` has it say them.

    const LIMIT: Option<Duration> = Some(Duration::from_secs(1));

    #[test]
    fn what_took_its_time_was_ended_for_it() {
        let (statement, lock) = (
            say("breche Anfrage ab wegen Zeitüberschreitung der Anfrage"),
            say("breche Anfrage ab wegen Zeitüberschreitung beim Warten auf eine Sperre"),
        );
        for (info, ms, limit, expected) in [
            (statement, 1_000, LIMIT, Verdict::TimedOut),
            (lock, 500, LIMIT, Verdict::Unavailable),
            (Info { position: Some(15), ..lock }, 500, LIMIT, Verdict::Unavailable),
            (say("canceling statement due to user request"), 0, LIMIT, Verdict::TimedOut),
            (say("canceling statement due to lock timeout"), 2_000, LIMIT, Verdict::Unavailable),
            (say("Division durch Null"), 499, LIMIT, Verdict::Fault),
            (say("Division durch Null"), 5_000, None, Verdict::Fault),
            (Info { table: Some("users"), details: Some("…"), ..say("…") }, 5_000, LIMIT, Verdict::Fault),
        ] {
            assert_eq!(verdict(&info, Duration::from_millis(ms), limit), expected, "{info:?} after {ms} ms");
        }
    }

    #[test]
    fn what_the_server_lacks_is_no_fault_of_a_statement() {
        let german = "Prozess 1 wartet auf ShareLock-Sperre auf Transaktion 5; blockiert von Prozess 2.\n\
                      Prozess 2 wartet auf ShareLock-Sperre auf Transaktion 4; blockiert von Prozess 1.";
        let french = "Le processus 1 attend AccessShareLock sur relation 5 ; bloqué par le processus 2.\n\
                      Le processus 2 attend ShareLock sur transaction 7 ; bloqué par le processus 1.";
        let memory = "Fehler bei Anfrage mit Größe 1024 im Speicherkontext »ExecutorState«.";
        let locks = "Sie müssen möglicherweise max_locks_per_transaction erhöhen.";
        for info in [
            Info { details: Some(german), ..say("Verklemmung (Deadlock) entdeckt") },
            Info { details: Some(french), position: Some(15), ..say("interblocage (deadlock) détecté") },
            Info { details: Some(memory), ..say("Speicher aufgebraucht") },
            Info { hint: Some(locks), ..say("Shared Memory aufgebraucht") },
            say(
                "konnte Datei »base/16384/16397« nicht erweitern: Auf dem Gerät ist kein Speicherplatz verfügbar",
            ),
            say("konnte Block 7 in Datei »base/1/2« nicht lesen: Eingabe-/Ausgabefehler"),
            say("impossible d'écrire dans le fichier « pg_wal/xlogtemp.7 » : Aucun espace"),
            say("konnte Größe des Shared-Memory-Segments »/PostgreSQL.17« nicht auf 8 Bytes ändern"),
            say("Größe der temporären Datei überschreitet temp_file_limit (1kB)"),
        ] {
            assert_eq!(verdict(&info, Duration::ZERO, None), Verdict::Unavailable, "{info:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_statement_stays_a_fault() {
        let details = "Es gibt eine Spalte »x« in Tabelle »y«, aber hier nicht.\nLock";
        for info in [
            Info { position: Some(8), details: Some(details), ..say("Spalte »x« existiert nicht") },
            Info { hint: Some("Vielleicht ist »max« gemeint."), position: Some(8), ..say("…") },
            say("ungültige Eingabesyntax für Typ bigint: »users/base«"),
        ] {
            assert_eq!(verdict(&info, Duration::ZERO, LIMIT), Verdict::Fault, "{info:?}");
        }
    }
}
