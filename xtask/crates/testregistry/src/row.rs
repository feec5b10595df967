//! What real registries do.

use std::collections::BTreeSet;

/// One thing that a registry does differently from the others, or from the distribution API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Refuses a PATCH of more than 4 MiB with 416 (GHCR).
    PatchesUpTo4MiB,
    /// Answers `Range` of the first chunk for ever (ECR).
    RangeOfTheFirstChunk,
    /// Answers `Range` of the last chunk alone (zot).
    RangeOfTheLastChunk,
    /// Says `OCI-Chunk-Min-Length`, and takes nothing after a smaller chunk.
    ChunksOf5MiBAtLeast,
    /// Takes one PATCH, or one PUT with the whole blob, and no second one (Artifact Registry).
    OneWrite,
    /// Refuses a PUT with a body.
    NoWholePut,
    /// Has a proxy before it that refuses bodies over 1 MiB with 413, without reading them.
    BodiesUpTo1MiB,
    /// Shows an uploaded blob only when it was asked for it several times.
    BlobsLate,
    /// Answers HEAD with length 0.
    HeadWithoutLength,
    /// Has another host serve blobs, by 302.
    StorageBy302,
    /// Has another host serve blobs, by 307, that refuses HEAD with 403.
    StorageForGetAlone,
    /// Sends for blobs that it never had to a storage that has lost them.
    StorageLost,
    /// Has manifests elsewhere on the same host, behind the same login.
    ManifestsMoved,
    /// Has no referrers API: 404.
    NoReferrers,
    /// Has a login page with status 200 in its place.
    ReferrersLoginPage,
    /// Has an empty answer with status 200 in its place.
    ReferrersEmpty,
    /// Resolves a tag `sha256-HEX` that nobody set to the manifest itself (GitLab).
    TagOfADigest,
    /// Requires authentication with challenges that nobody knows before the one for tokens.
    ManyChallenges,
    /// Requires a password with each request.
    Basic,
    /// Has no `/v2/`: 404.
    NoPing,
    /// Answers 401 at `/v2/`, whoever asks.
    PingUnauthorized,
    /// Its token server is busy once: 503.
    TokenBusy,
    /// Its token server gives no token for a scope of another repository.
    MountDenied,
    /// Its token server takes identity tokens alone (ACR).
    IdentityToken,
    /// Says media types in capitals, with a charset.
    ContentTypes,
    /// Names itself in URLs without the port.
    NoPort,
    /// Is busy at first: 429, with `Retry-After` in seconds.
    RetryAfterSeconds,
    /// Is busy at first: 429, with `Retry-After` as a date.
    RetryAfterDate,
    /// Is busy at first: 503, with `Retry-After` as a date that is past.
    RetryAfterPast,
    /// Names where something goes on by a query alone: uploads, and pages of a list.
    QueriesAlone,
    /// Refuses HEAD with 405.
    NoHead,
    /// Has a proxy before it that sends bodies in chunks, and says no length.
    NoLengths,
    /// Has a proxy before it that compresses documents, whoever asks.
    Gzip,
    /// Speaks HTTP/1.0, and ends each connection.
    Http10,
    /// Says of what it took a status, and neither digest nor place.
    BareAnswers,
}

impl Row {
    /// All of them.
    pub const ALL: [Self; 35] = [
        Self::PatchesUpTo4MiB,
        Self::RangeOfTheFirstChunk,
        Self::RangeOfTheLastChunk,
        Self::ChunksOf5MiBAtLeast,
        Self::OneWrite,
        Self::NoWholePut,
        Self::BodiesUpTo1MiB,
        Self::BlobsLate,
        Self::HeadWithoutLength,
        Self::StorageBy302,
        Self::StorageForGetAlone,
        Self::StorageLost,
        Self::ManifestsMoved,
        Self::NoReferrers,
        Self::ReferrersLoginPage,
        Self::ReferrersEmpty,
        Self::TagOfADigest,
        Self::ManyChallenges,
        Self::Basic,
        Self::NoPing,
        Self::PingUnauthorized,
        Self::TokenBusy,
        Self::MountDenied,
        Self::IdentityToken,
        Self::ContentTypes,
        Self::NoPort,
        Self::RetryAfterSeconds,
        Self::RetryAfterDate,
        Self::RetryAfterPast,
        Self::QueriesAlone,
        Self::NoHead,
        Self::NoLengths,
        Self::Gzip,
        Self::Http10,
        Self::BareAnswers,
    ];

    /// Does it matter only to who logs in by token?
    fn is_of_tokens(self) -> bool {
        matches!(self, Self::ManyChallenges | Self::TokenBusy | Self::MountDenied | Self::IdentityToken)
    }
}

/// A registry's behaviour: none, one or several rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows(BTreeSet<Row>);

impl Rows {
    /// These together; none if no registry could do all of it.
    #[must_use]
    pub fn of(rows: &[Row]) -> Option<Self> {
        let all = Self(rows.iter().copied().collect());
        let both = |a: Row, b: Row| all.has(a) && all.has(b);
        let impossible = both(Row::BodiesUpTo1MiB, Row::OneWrite)
            || both(Row::BodiesUpTo1MiB, Row::ChunksOf5MiBAtLeast)
            || both(Row::Basic, Row::IdentityToken)
            || both(Row::QueriesAlone, Row::NoPort);
        (!impossible).then_some(all)
    }

    /// Is this one of them?
    #[must_use]
    pub fn has(&self, row: Row) -> bool {
        self.0.contains(&row)
    }

    /// Must one log in, and that by a token?
    pub(crate) fn tokens(&self) -> bool {
        self.0.iter().any(|row| row.is_of_tokens())
            || !self.has(Row::Basic) && (self.has(Row::PingUnauthorized) || self.has(Row::ManifestsMoved))
    }

    /// Must one log in?
    pub(crate) fn login(&self) -> bool {
        self.has(Row::Basic) || self.tokens()
    }
}
