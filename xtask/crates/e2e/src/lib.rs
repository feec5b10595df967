//! What a cluster has to do: a table of workloads and faults ([`CASES`]), each a manifest and the steps that assert something of
//! it over the API; a [`Runner`] that goes through them; Kubernetes' own tests ([`Suite`]); and what is reported of it: [`Report`] as JSON, [`junit()`], [`page()`], the
//! [`logs`] of all machines.

mod case;
mod cases;
mod junit;
pub mod logs;
mod machines;
mod outcome;
mod page;
mod run;
mod suite;
mod telling;
mod whole;

pub use crate::case::{Able, Case, Group, Need, Place, Step};
pub use crate::cases::{CASES, chosen};
pub use crate::junit::junit;
pub use crate::machines::{Machines, Said};
pub use crate::outcome::{CaseReport, Outcome, Phase, Pod, Report, VERSION};
pub use crate::page::page;
pub use crate::run::Runner;
pub use crate::suite::Suite;
pub use crate::telling::telling;
pub use crate::whole::run;
