//! Where the database is, and how that may be printed.

use std::fmt;
use std::str::FromStr;

use crate::engine::Engine;
use crate::error::Result;

/// Where the database is: `sqlite://PATH` or a libpq URL.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of the embedded file.
    Sqlite(String),
    /// A `postgres://` or `postgresql://` URL, handed to libpq as it is.
    Postgres(String),
}

impl DatabaseUrl {
    /// The engine that the URL's scheme names.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// The URL with its passwords left out: for the operator, who wants to see the server and the database.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{path}"),
            Self::Postgres(url) => secrets(url).into_iter().fold(url.clone(), |url, secret| {
                url.replace(&format!(":{secret}@"), ":…@")
                    .replace(&format!("password={secret}"), "password=…")
            }),
        }
    }
}

/// The URL without what may hold a password: safe to print.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{path}"),
            Self::Postgres(_) => write!(f, "postgres://…"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// A database URL in none of the accepted forms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a database URL is sqlite://PATH (relative, or absolute with a third slash), \
     postgres://… or postgresql://…"
)]
pub struct BadDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, BadDatabaseUrl> {
        if url.contains('\0') {
            return Err(BadDatabaseUrl);
        }
        match url.split_once("://") {
            // SQLite's own URI parameters are refused: `?mode=ro` would be part of a file's name.
            Some(("sqlite", path))
                if !path.is_empty() && !path.contains('?') && !path.starts_with(":memory:") =>
            {
                Ok(Self::Sqlite(path.to_owned()))
            }
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.to_owned())),
            _ => Err(BadDatabaseUrl),
        }
    }
}

/// The URL with an end to libpq's patience, which has none: a server that is away must not hold threads for minutes.
///
/// Three seconds to connect and ten for what was sent to arrive, where the URL says nothing else.
pub(super) fn with_patience(url: &str) -> String {
    let mut url = url.to_owned();
    for (parameter, value, variable) in
        [("connect_timeout", "3", Some("PGCONNECT_TIMEOUT")), ("tcp_user_timeout", "10000", None)]
    {
        if !url.contains(&format!("{parameter}=")) && variable.is_none_or(|v| std::env::var_os(v).is_none()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.extend([parameter, "=", value]);
        }
    }
    url
}

/// libpq quotes what it cannot read of a URL, the password included.
pub(super) fn without_secrets(reason: &str, url: &DatabaseUrl) -> String {
    let DatabaseUrl::Postgres(url) = url else { return reason.to_owned() };
    let secrets = std::iter::once(url.as_str()).chain(secrets(url));
    secrets.fold(reason.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// The passwords in a URL: behind the user, and in parameters (`password`, `sslpassword`).
fn secrets(url: &str) -> Vec<&str> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let in_authority = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, p)| p);
    let in_parameters = url.split("password=").skip(1).filter_map(|rest| rest.split('&').next());
    in_authority.into_iter().chain(in_parameters).filter(|secret| !secret.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{DatabaseUrl, with_patience};

    #[test]
    fn accepted_urls() {
        for (url, expected) in [
            ("sqlite://a.db", DatabaseUrl::Sqlite("a.db".into())),
            ("sqlite:///srv/a.db", DatabaseUrl::Sqlite("/srv/a.db".into())),
            ("postgres://u@h/d", DatabaseUrl::Postgres("postgres://u@h/d".into())),
            ("postgresql://h1,h2/d", DatabaseUrl::Postgres("postgresql://h1,h2/d".into())),
        ] {
            assert_eq!(url.parse(), Ok(expected));
        }
    }

    #[test]
    fn refused_urls() {
        for url in [
            "",
            "a.db",
            "/srv/a.db",
            ":memory:",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://a.db?mode=ro",
            "sqlite:a.db",
            "mysql://h/d",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_err(), "{url} was accepted");
        }
    }

    #[test]
    fn a_url_has_an_end_to_its_patience() {
        for (url, expected) in [
            ("postgres://u@h/d", "postgres://u@h/d?connect_timeout=3&tcp_user_timeout=10000"),
            ("postgres:///d?host=/run", "postgres:///d?host=/run&connect_timeout=3&tcp_user_timeout=10000"),
            ("postgres://h/d?connect_timeout=9", "postgres://h/d?connect_timeout=9&tcp_user_timeout=10000"),
        ] {
            assert_eq!(with_patience(url), expected);
        }
    }

    #[test]
    fn a_printed_url_hides_the_password() {
        let url: DatabaseUrl = "postgres://u:hunter2@h/d".parse().unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        for (url, shown) in [
            ("postgres://u:hunter2@h:1/d?x=1", "postgres://u:…@h:1/d?x=1"),
            ("postgres://u:hunter2@h1,h2/d", "postgres://u:…@h1,h2/d"),
            (
                "postgres://h/d?password=hunter2&x=1&sslpassword=hunter3",
                "postgres://h/d?password=…&x=1&sslpassword=…",
            ),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://u:postgres@h/d", "postgres://u:…@h/d"),
            ("sqlite:///srv/a.db", "sqlite:///srv/a.db"),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap().redacted(), shown);
        }
    }
}
