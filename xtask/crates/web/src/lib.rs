//! Requests by HTTP, for all that is fetched here.
//!
//! [`Web`] follows redirects itself: each hop has the proxy that is its own ([`Proxies`]), and a secret is shown to the
//! [`Origin`] that it is for, whoever names others on the way. Every wait ends by the one [`Patience`], or when the user
//! interrupts.

mod body;
mod origin;
mod patience;
mod proxy;
mod request;
mod wire;

pub use body::Body;
pub use origin::{Origin, join, shown};
pub use patience::Patience;
pub use proxy::{Proxies, connect};
pub use request::{Answer, Ask, Web};
