//! What the benches share: the pages that they measure with their limits, and the settings of a run.

pub mod asked;
pub mod reader;
pub mod run;
