//! The output of commands on stdout.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::config::StartError;

/// Prints `text` and a line break in one write.
///
/// # Errors
/// [`StartError::NoReader`] where the reader has gone, as with `| head`. Another error where the text cannot be
/// written, for example on a full disk.
pub(super) fn print(text: impl Display) -> Result<(), StartError> {
    let text = format!("{text}\n");
    flushed(io::stdout().lock().write_all(text.as_bytes()))
}

/// Flushes stdout after a write with this result.
///
/// # Errors
/// As [`print()`].
pub(super) fn flushed(result: io::Result<()>) -> Result<(), StartError> {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(StartError::NoReader),
        result => result.map_err(StartError::io("cannot write to stdout")),
    }
}
