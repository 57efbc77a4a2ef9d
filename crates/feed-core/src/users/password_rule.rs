//! The rule for passwords that needs the account: a password must not be the e-mail or the name.

use super::email::local_part;
use crate::error::{Error, Result};
use crate::password;

/// Refuses a password that is the account's e-mail, the part of the e-mail before the @, or the name.
pub(super) fn refuse_own(password: &str, own: [Option<&str>; 2]) -> Result<()> {
    let password = password::compared(password);
    let is_own = |text: &str| {
        let is_same = |text| password::compared(text) == password;
        is_same(text) || is_same(local_part(text))
    };
    if own.into_iter().flatten().any(is_own) {
        return Err(Error::invalid("password", "must not be the e-mail or the name of the account"));
    }
    Ok(())
}
