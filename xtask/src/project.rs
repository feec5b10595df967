//! What verbs share: a checkout, what is selected in it, how it is built, and where images come from that are looked at.

pub(crate) mod attach;
pub(crate) mod connection;
pub(crate) mod identity;
pub(crate) mod pins;
pub(crate) mod rebuild;
pub(crate) mod record;
pub(crate) mod session;
pub(crate) mod source;
pub(crate) mod weigh;
