//! Classifies errors of PostgreSQL, whatever the language of the server's messages.
//!
//! Diesel distinguishes a few kinds of errors and hides the server's code (SQLSTATE) of all others. Their texts are in
//! the server's language. Only a superuser, or a role with the privilege, may set it (`lc_messages`). So an error of
//! unknown kind is classified by what is the same in all languages: the duration of its statement, the objects that it
//! refers to, and the names of locks and files in its text.

use std::time::Duration;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as Diesel};

use crate::error::Error;

/// SQL that sets the messages to English, for the log and for a certain classification. It does nothing if the role may
/// not set the language.
pub(super) const USE_ENGLISH_MESSAGES: &str = "DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false); \
                                        EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;";

/// How long a statement may wait for one lock: half of its time limit.
///
/// The difference tells a slow statement from one that waited for a lock.
pub(super) fn lock_limit(statement: Duration) -> Duration {
    statement / 2
}

/// The error as the variant that fits it.
///
/// `lasted` is the duration of the failed statement, and `limit` its time limit.
pub(super) fn classified(error: Error, lasted: Option<Duration>, limit: Option<Duration>) -> Error {
    let Error::Internal(cause) = error else { return error };
    let class = match cause.downcast_ref() {
        Some(Diesel::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
            classify(info.as_ref(), lasted.unwrap_or_default(), limit)
        }
        _ => Class::Fault,
    };
    match class {
        Class::TimedOut => Error::TimedOut(cause),
        Class::Unavailable => Error::Unavailable(cause),
        Class::Fault => Error::Internal(cause),
    }
}

/// The class of an error that Diesel does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The statement was ended, because it took too long or was cancelled.
    TimedOut,
    /// A temporary failure: a lock was not free in time, or the server lacks memory, disk space or the like.
    Unavailable,
    /// A permanent failure: the statement or its values are wrong.
    Fault,
}

fn classify(info: &dyn DatabaseErrorInformation, lasted: Duration, limit: Option<Duration>) -> Class {
    // English texts are certain.
    match info.message() {
        "canceling statement due to statement timeout" | "canceling statement due to user request" => {
            return Class::TimedOut;
        }
        "canceling statement due to lock timeout" => return Class::Unavailable,
        _ => {}
    }
    // An error that names a table, column or constraint is about the data, whatever its duration. A position in the
    // statement proves less: a lock timeout has one too, where the statement names the locked table.
    if [info.table_name(), info.column_name(), info.constraint_name()].iter().any(Option::is_some) {
        return Class::Fault;
    }
    // The server starts its timer after us and reports the end before we stop ours. So a statement that it ended by
    // timeout has lasted at least the limit.
    let is_over = |limit: Duration| lasted >= limit;
    match limit {
        Some(limit) if is_over(limit) => Class::TimedOut,
        Some(limit) if is_over(lock_limit(limit)) => Class::Unavailable,
        _ if is_server_failure(info) => Class::Unavailable,
        _ => Class::Fault,
    }
}

/// Whether the error is about a deadlock, or about memory, disk space or another resource of the server.
fn is_server_failure(info: &dyn DatabaseErrorInformation) -> bool {
    // An error for lack of memory has details: the size that was requested. Errors in the data have details too, but
    // they name a table or are of a kind that Diesel knows. Errors in the statement have a position.
    info.details().is_some() && info.statement_position().is_none()
        || info.details().is_some_and(is_deadlock)
        // The hint "You might need to increase max_…" comes when locks or memory for them run out.
        || has_word(info.hint(), |word| word.starts_with("max_"))
        // A limit of temporary files, or a file that cannot be read or written.
        || has_word(Some(info.message()), |word| word == "temp_file_limit" || is_server_file(word))
}

/// Whether the details are those of a deadlock: several lines, each with the name of a lock, which is never translated.
fn is_deadlock(details: &str) -> bool {
    details.lines().count() > 1 && details.lines().all(|line| line.contains("Lock"))
}

/// Whether any word of the text passes. Quotation marks are not part of words, because they differ by language.
fn has_word(text: Option<&str>, passes: impl Fn(&str) -> bool) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    text.is_some_and(|text| text.split(|c| !is_part(c)).any(passes))
}

/// Whether the word is the path of one of the server's own files, or the name of its shared memory.
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

    // The texts are the server's own, in other languages where that could matter. `tests/language.rs` provokes those
    // that a test can provoke.

    const LIMIT: Option<Duration> = Some(Duration::from_secs(1));

    #[test]
    fn an_error_after_the_time_limit_is_a_timeout() {
        let (statement, lock) = (
            say("breche Anfrage ab wegen Zeitüberschreitung der Anfrage"),
            say("breche Anfrage ab wegen Zeitüberschreitung beim Warten auf eine Sperre"),
        );
        for (info, ms, limit, expected) in [
            (statement, 1_000, LIMIT, Class::TimedOut),
            (lock, 500, LIMIT, Class::Unavailable),
            (Info { position: Some(15), ..lock }, 500, LIMIT, Class::Unavailable),
            (say("canceling statement due to user request"), 0, LIMIT, Class::TimedOut),
            (say("canceling statement due to lock timeout"), 2_000, LIMIT, Class::Unavailable),
            (say("Division durch Null"), 499, LIMIT, Class::Fault),
            (say("Division durch Null"), 5_000, None, Class::Fault),
            (Info { table: Some("users"), details: Some("…"), ..say("…") }, 5_000, LIMIT, Class::Fault),
        ] {
            assert_eq!(classify(&info, Duration::from_millis(ms), limit), expected, "{info:?} after {ms} ms");
        }
    }

    #[test]
    fn a_lack_of_resources_is_no_fault_of_the_statement() {
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
            assert_eq!(classify(&info, Duration::ZERO, None), Class::Unavailable, "{info:?}");
        }
    }

    #[test]
    fn a_wrong_statement_stays_a_fault() {
        let details = "Es gibt eine Spalte »x« in Tabelle »y«, aber hier nicht.\nLock";
        for info in [
            Info { position: Some(8), details: Some(details), ..say("Spalte »x« existiert nicht") },
            Info { hint: Some("Vielleicht ist »max« gemeint."), position: Some(8), ..say("…") },
            say("ungültige Eingabesyntax für Typ bigint: »users/base«"),
        ] {
            assert_eq!(classify(&info, Duration::ZERO, LIMIT), Class::Fault, "{info:?}");
        }
    }
}
