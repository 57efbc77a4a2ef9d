#![doc = include_str!("../README.md")]

mod binds;
mod error;
pub mod log;
pub mod plan;
mod sql;
mod sqlite_trace;
pub mod work;

pub use error::Error;
pub use log::{QueryLog, Statement};
