//! Landing statements on a branch: one after another (`chain`), all that wait in the inbox at once (`drain`), and what became of
//! them (`verdicts`). Deploys, publishes and the inbox commands land alike.

pub mod chain;
pub mod drain;
pub mod verdicts;
pub mod waiting;
