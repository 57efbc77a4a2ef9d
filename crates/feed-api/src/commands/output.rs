//! What a command prints on stdout.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::config::StartError;

/// Prints `text` and a line break, all of it at once.
///
/// # Errors
/// [`StartError::NoReader`] where nobody reads any more, which ends a command as it ends `cat` before `head`; another
/// one where it cannot be written, as on a full disk.
pub(super) fn print(text: impl Display) -> Result<(), StartError> {
    let text = format!("{text}\n");
    written(io::stdout().lock().write_all(text.as_bytes()))
}

/// Makes sure that what went to stdout, with this result, is written.
///
/// # Errors
/// As [`print`].
pub(super) fn written(result: io::Result<()>) -> Result<(), StartError> {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(StartError::NoReader),
        result => result.map_err(StartError::io("cannot write to stdout")),
    }
}
