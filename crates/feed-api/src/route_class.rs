//! The classes of routes. Limits and caching headers depend on a route only through its class.

/// The class of a route: which limits and caching headers it has.
///
/// It belongs to the matched route and not to the path as it was sent, because a path has many spellings
/// (`/api/%61uth/login/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteClass {
    /// Health checks. They have no limits.
    Health,
    /// Sign-in and registration. They are limited by address, and their responses must not be stored.
    SignIn,
    /// Requests about the caller's tokens. They have the standard limits, and their responses must not be stored.
    Session,
    /// Everything else.
    Standard,
}

impl RouteClass {
    /// Whether caches must not store the response.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::SignIn | Self::Session)
    }
}
