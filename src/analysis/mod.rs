//! Runs and ensembles. The only layer that uses threads: one run per task, results folded in seed order, so that no
//! figure depends on how many threads there were.

pub mod statistics;
pub mod across;
pub mod window;
pub mod run;
pub mod judge;
pub mod sequential;
pub mod replay;
pub mod ensemble;
pub mod hit;
pub mod recovery;
pub mod summary;
pub mod compare;
pub mod explain;
pub mod batch;
pub mod search;
pub mod shares;
pub mod plan;
pub mod compact;
pub mod remove;
pub mod sweep;
pub mod sensitivity;
pub mod quality;
