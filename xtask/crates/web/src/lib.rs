//! Requests by HTTP, for all that is fetched here.
//!
//! [`Web`] follows redirects itself: each hop has the proxy that is its own ([`Proxies`]), and a secret is shown to the
//! [`Origin`] that it is for, whoever names others on the way.

mod origin;
mod proxy;
mod request;

pub use origin::Origin;
pub use proxy::{Proxies, for_child};
pub use request::{Answer, Ask, Web};
