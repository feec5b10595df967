//! A checkout of the repository: what is selected in it, how it is built, built again, weighed, compared, attested and
//! recorded, and where images come from that are looked at.

pub mod add_release;
pub mod attach;
mod checkout;
pub mod diff;
pub mod explain;
pub mod generated;
pub mod identity;
pub mod list;
pub mod load;
pub mod matrix;
pub mod part;
pub mod pictures;
pub mod pins;
pub mod rebuild;
pub mod record;
pub mod relock;
pub mod reproduce;
mod session;
pub mod source;
pub mod support;
pub mod verify;
pub mod weigh;

pub use checkout::{Checkout, IMAGES};
pub use session::{BuildOptions, READ, Selection, Session, check_omitted};
