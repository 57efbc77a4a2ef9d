//! Database URLs: parsing, timeouts for libpq, and printing without passwords.

use std::fmt;
use std::str::FromStr;

use crate::engine::Engine;
use crate::error::Result;

/// The URL of a database: `sqlite://PATH` or a libpq URL.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of a SQLite file.
    Sqlite(String),
    /// A `postgres://` or `postgresql://` URL, as it was given.
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

    /// The URL without its passwords, for operators who want to see the server and the database.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{path}"),
            Self::Postgres(url) => redacted(Parts::of(url)),
        }
    }
}

fn redacted(parts: Parts<'_>) -> String {
    if parts.may_leak_password() {
        return format!("{}://…", parts.scheme);
    }
    let shown = |(name, value): (&str, Option<&str>)| match value {
        Some("") => format!("{name}="),
        Some(_) if is_secret(name) => format!("{name}=…"),
        Some(value) => format!("{name}={value}"),
        None => name.to_owned(),
    };
    let parameters = parts.parameters().map(shown).collect::<Vec<_>>().join("&");
    let password = parts.password.map(|password| if password.is_empty() { "" } else { "…" });
    Parts { password, parameters: parts.parameters.and(Some(&parameters)), ..parts }.to_string()
}

/// The URL in a form that is safe to print: of a PostgreSQL URL only the scheme.
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

/// The text is not a database URL in an accepted form.
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
            // Refuse SQLite's URI parameters: `?mode=ro` would become part of the file's name.
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

/// The parts of a libpq URL, split as libpq splits it: `scheme://[user[:password]@]hosts[/database][?parameters]`.
///
/// They differ from those of a web address. There may be several hosts or none, and `#` has no special meaning.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    hosts: &'a str,
    database: Option<&'a str>,
    parameters: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
        let (credentials, rest) = match rest.find(['@', '/']) {
            Some(at) if rest[at..].starts_with('@') => (Some(&rest[..at]), &rest[at + 1..]),
            _ => (None, rest),
        };
        let (user, password) = match credentials.map(|both| both.split_once(':').ok_or(both)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        let (rest, parameters) = rest.split_once('?').map_or((rest, None), |(rest, p)| (rest, Some(p)));
        let (hosts, database) = rest.split_once('/').map_or((rest, None), |(hosts, d)| (hosts, Some(d)));
        Self { scheme, user, password, hosts, database, parameters }
    }

    /// The same URL with another database.
    #[cfg(feature = "testing")]
    pub(crate) fn with_database(self, name: &'a str) -> Self {
        Self { database: Some(name), ..self }
    }

    /// Each parameter and its value, not decoded. A parameter without `=` has no value; libpq refuses it.
    pub(crate) fn parameters(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let pieces = self.parameters.unwrap_or_default().split('&').filter(|piece| !piece.is_empty());
        pieces.map(|piece| piece.split_once('=').map_or((piece, None), |(name, value)| (name, Some(value))))
    }

    /// Whether another part may contain a piece of the password.
    ///
    /// This happens when a special character of the password is not percent-encoded.
    fn may_leak_password(self) -> bool {
        let has_at = |text: &str| text.contains('@');
        let is_no_port = |host: &str| {
            let port = host.split_once(':').map(|(_, port)| port);
            // An IPv6 address in brackets contains colons.
            !host.starts_with('[') && port.is_some_and(|port| port.contains(|c: char| !c.is_ascii_digit()))
        };
        has_at(self.hosts)
            || self.hosts.split(',').any(is_no_port)
            || self.database.is_some_and(has_at)
            || self.parameters().any(|(name, value)| value.is_none() && has_at(name))
    }

    /// The user's password and those in parameters (`password`, `sslpassword`, `oauth_client_secret`), not decoded.
    fn secrets(self) -> impl Iterator<Item = &'a str> {
        let in_parameters =
            self.parameters().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value);
        self.password.into_iter().chain(in_parameters).filter(|secret| !secret.is_empty())
    }
}

impl fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = self.user {
            let password = self.password.map(|password| format!(":{password}")).unwrap_or_default();
            write!(f, "{user}{password}@")?;
        }
        f.write_str(self.hosts)?;
        self.database.map_or(Ok(()), |database| write!(f, "/{database}"))?;
        self.parameters.map_or(Ok(()), |parameters| write!(f, "?{parameters}"))
    }
}

/// Whether a parameter with this name holds a secret, whatever the case and encoding of the name.
fn is_secret(name: &str) -> bool {
    let name = decoded(name).to_ascii_lowercase();
    ["password", "secret"].iter().any(|word| name.contains(word))
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The URL with timeouts. By default libpq has none, and a server that is down would block threads for minutes.
///
/// Connecting may take three seconds, and the server must acknowledge sent data within ten. Values in the URL take
/// precedence: ours come first, and libpq uses the last of duplicate parameters.
pub(super) fn with_timeouts(url: &str) -> String {
    let parts = Parts::of(url);
    let mut parameters = vec![];
    // libpq reads the environment only for parameters that the URL does not set.
    if std::env::var_os("PGCONNECT_TIMEOUT").is_none() {
        parameters.push("connect_timeout=3");
    }
    parameters.push("tcp_user_timeout=10000");
    parameters.extend(parts.parameters.filter(|given| !given.is_empty()));
    Parts { parameters: Some(&parameters.join("&")), ..parts }.to_string()
}

/// An error text of libpq without the passwords of the URL. libpq quotes the parts of a URL that it cannot read.
pub(super) fn without_secrets(reason: &str, url: &DatabaseUrl) -> String {
    let DatabaseUrl::Postgres(url) = url else { return reason.to_owned() };
    let parts = Parts::of(url);
    if parts.may_leak_password() {
        return "the URL cannot be read: in a password, write '@', '/', '?' and '%' as %40, %2F, %3F and %25; a port \
                must be a number"
            .to_owned();
    }
    let both = |secret: &str| [secret.to_owned(), decoded(secret)];
    let secrets = std::iter::once(url.clone()).chain(parts.secrets().flat_map(both));
    secrets.fold(reason.to_owned(), |text, secret| text.replace(&secret, "…"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DatabaseUrl, Parts, decoded, is_secret, with_timeouts, without_secrets};

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
    fn timeouts_are_added_to_a_url() {
        const OURS: &str = "connect_timeout=3&tcp_user_timeout=10000";
        for (url, expected) in [
            ("postgres://u@h/d", format!("postgres://u@h/d?{OURS}")),
            ("postgres://u@h/d?", format!("postgres://u@h/d?{OURS}")),
            ("postgres://", format!("postgres://?{OURS}")),
            ("postgres://h1:1,[::1]:2", format!("postgres://h1:1,[::1]:2?{OURS}")),
            ("postgres://u:a?b#c@h/d#e", format!("postgres://u:a?b#c@h/d#e?{OURS}")),
            ("postgres:///d?host=/run&", format!("postgres:///d?{OURS}&host=/run&")),
            ("postgres://h/d?connect_timeout=9", format!("postgres://h/d?{OURS}&connect_timeout=9")),
            ("postgres://h/d?connect%5Ftimeout=9", format!("postgres://h/d?{OURS}&connect%5Ftimeout=9")),
        ] {
            assert_eq!(with_timeouts(url), expected);
        }
    }

    #[test]
    fn a_printed_url_hides_the_password() {
        let url: DatabaseUrl = "postgres://u:hunter2@h/d".parse().unwrap();
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        for (url, shown) in [
            ("postgres://u:hunter2@h:1/d?x=1", "postgres://u:…@h:1/d?x=1"),
            ("postgres://u:hunter2@h1,h2/d", "postgres://u:…@h1,h2/d"),
            ("postgres://u:hunter2?@[::1]:1/d", "postgres://u:…@[::1]:1/d"),
            ("postgres://u:%68unter2@h/d?", "postgres://u:…@h/d?"),
            (
                "postgres://h/d?password=hunter2&x=1&sslpassword=hunter3",
                "postgres://h/d?password=…&x=1&sslpassword=…",
            ),
            ("postgres://h/d?PASSWORD=hunter2&password=", "postgres://h/d?PASSWORD=…&password="),
            ("postgres://h/d?pass%77ord=hunter2", "postgres://h/d?pass%77ord=…"),
            ("postgres://h/d?oauth_client_secret=hunter2", "postgres://h/d?oauth_client_secret=…"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://u:@h/d#x", "postgres://u:@h/d#x"),
            ("postgres://u:postgres@h/d", "postgres://u:…@h/d"),
            ("sqlite:///srv/a.db", "sqlite:///srv/a.db"),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap().redacted(), shown);
        }
        for ambiguous in
            ["u:hunter@2@h/d", "u:hunter/2@h/d", "u:hunter/2?x@h/d", "u:hunter/2?x=1@h/d", "u:1/2?hunter@h/d"]
        {
            let url: DatabaseUrl = format!("postgres://{ambiguous}").parse().unwrap();
            assert_eq!(url.redacted(), "postgres://…");
            assert!(without_secrets("the reason", &url).starts_with("the URL cannot be read"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        /// libpq's own parser decides.
        #[test]
        fn libpq_reads_an_edited_url_as_the_one_that_was_given(url in any_url()) {
            let (given, edited) = (libpq::read(&url), libpq::read(&with_timeouts(&url)));
            match (given, edited) {
                (None, edited) => prop_assert_eq!(edited, None),
                (Some(given), edited) => {
                    let mut expected = given;
                    for (name, value) in [("connect_timeout", "3"), ("tcp_user_timeout", "10000")] {
                        expected.entry(name.into()).or_insert_with(|| value.into());
                    }
                    prop_assert_eq!(edited, Some(expected));
                }
            }
            prop_assert_eq!(Parts::of(&url).to_string(), url);
        }

        #[test]
        fn no_password_that_libpq_reads_is_printed(url in any_url()) {
            let Some(read) = libpq::read(&url) else { return Ok(()) };
            let parsed: DatabaseUrl = url.parse().unwrap();
            let printed = decoded(&parsed.redacted());
            let told = without_secrets(&format!("cannot read {url}"), &parsed);
            for (_, secret) in read.iter().filter(|(name, _)| is_secret(name)) {
                // Only where it occurs once, and so as the secret.
                if secret.contains("hunter") && decoded(&url).matches(secret).count() == 1 {
                    prop_assert!(!printed.contains(secret) && !told.contains(secret), "{} {}", printed, told);
                }
            }
        }
    }

    /// Pieces of URLs and separators, in any order.
    fn any_url() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/",
            "/",
            "?",
            "?",
            "&",
            "&",
            "=",
            "@",
            ":",
            ",",
            "#",
            "%",
            "[::1]",
            "[",
            "h",
            "d",
            "u",
            "5432",
            "hunter2",
            "hunter%32",
            "%68unter",
            "%2F",
            "%40",
            "password=",
            "pass%77ord=",
            "sslpassword=",
            "connect_timeout=9",
            "connect%5Ftimeout=8",
            "tcp_user_timeout=7",
            "host=",
            "user=",
            "dbname=",
            "ä",
            "+",
        ]);
        let likely = prop::sample::select(vec![
            "",
            "u@h/d?",
            "u:hunter2@h/d?",
            "u:hunter2@h/d",
            "h/d?",
            "/d?host=/run",
        ]);
        (likely, prop::collection::vec(piece, 0..8))
            .prop_map(|(start, pieces)| format!("postgres://{start}{}", pieces.concat()))
    }

    mod libpq {
        #![expect(unsafe_code, reason = "libpq is a C library")]

        use std::collections::BTreeMap;
        use std::ffi::{CStr, CString};

        /// The parameters that libpq reads from a URL, by name; none if it refuses the URL.
        pub(super) fn read(url: &str) -> Option<BTreeMap<String, String>> {
            let url = CString::new(url).unwrap();
            let mut message = std::ptr::null_mut();
            // SAFETY: the URL is a NUL-terminated string, and `message` is a valid place for a pointer.
            let options = unsafe { pq_sys::PQconninfoParse(url.as_ptr(), &raw mut message) };
            if options.is_null() {
                // SAFETY: the message was allocated by libpq or is null.
                unsafe { pq_sys::PQfreemem(message.cast()) };
                return None;
            }
            let mut read = BTreeMap::new();
            let mut option = options;
            // SAFETY: `options` is an array whose last element has no keyword. Its strings are NUL-terminated.
            unsafe {
                while !(*option).keyword.is_null() {
                    if !(*option).val.is_null() {
                        let text = |start| CStr::from_ptr(start).to_string_lossy().into_owned();
                        read.insert(text((*option).keyword), text((*option).val));
                    }
                    option = option.add(1);
                }
                pq_sys::PQconninfoFree(options);
            }
            Some(read)
        }
    }
}
