//! Accounts: registration, sign-in, profile changes, tokens, password resets and deletion.

mod account;
mod change;
mod deletion;
mod email;
mod identity;
mod operators;
mod password_rule;
mod registration;
mod sign_in;

pub(crate) use account::exists;
pub use account::{Account, OwnProfile, own_profile};
pub use change::{AccountChange, update};
pub use deletion::delete;
pub(crate) use identity::lock;
pub use identity::{Identity, require};
pub use operators::{by_email, lift_limit, reset_password, sign_out_by_email};
pub use registration::{Registration, register};
pub use sign_in::{Credentials, authenticate, sign_out};
