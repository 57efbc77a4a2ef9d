//! What the benches share: the pages that they measure with their limits, and the settings of a run.

pub mod pages;
pub mod reader;
pub mod run;
pub mod wire;
