//! How long others are waited for.

use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// The longest that a host may take to be found and reached.
const CONNECT: Duration = Duration::from_secs(20);
/// What has to move while something is transferred, in bytes a second, averaged over [`Patience::silence`].
pub(crate) const SLOWEST: u64 = 1 << 10;

/// One policy of deadlines, for every connection. Whatever waits also ends within a second of Ctrl-C or SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a name to be resolved, and again for a connection, TLS and proxy included.
    pub connect: Duration,
    /// For an answer to begin, and for the next bytes of a body. What moves slower than 1 KiB a second on average over
    /// so long counts as silent.
    pub silence: Duration,
    /// For a whole exchange, where it is not a blob's.
    pub whole: Duration,
}

impl Patience {
    /// What follows from the time that is given to an answer: twice that for an exchange as a whole.
    pub fn of(silence: Duration) -> Self {
        Self { connect: CONNECT.min(silence), silence, whole: silence.saturating_mul(2) }
    }

    /// The same in ureq's terms, for exchanges of any length.
    pub(crate) fn configure(self, config: ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> {
        config
            .timeout_resolve(Some(self.connect))
            .timeout_connect(Some(self.connect))
            .timeout_send_request(Some(self.silence))
            .timeout_recv_response(Some(self.silence))
            .timeout_per_read(Some(self.silence))
            .timeout_per_write(Some(self.silence))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::of(Duration::from_mins(1))
    }
}
