//! Identifies the caller that a request counts against.
//!
//! Every limit per caller uses this module, so that all limits agree who the caller is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest};
use feed_core::users::Identity;

/// The caller that a request counts against: the account where the database has confirmed the token, else the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    /// The account of a confirmed token.
    pub account: Option<i64>,
    /// The network of the address. None where the operating system does not tell the address.
    pub network: Option<IpAddr>,
}

/// The key by which limits tell callers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CallerKey {
    /// A caller with a confirmed token: the account's id.
    Account(i64),
    /// Everybody without one on the same network.
    Network(IpAddr),
}

impl Caller {
    /// The caller's key: the account, else the network. None where neither is known.
    pub(crate) fn key(self) -> Option<CallerKey> {
        self.account.map(CallerKey::Account).or(self.network.map(CallerKey::Network))
    }
}

/// Identifies callers by confirmed account or by network.
#[derive(Debug)]
pub struct Callers {
    proxies: usize,
    /// The confirmed key of each account, by its id.
    confirmed: Mutex<HashMap<i64, i64>>,
    /// The log has said that a proxy's `X-Forwarded-For` could not be read.
    has_warned: AtomicBool,
}

/// Accounts whose key is remembered, at some 20 bytes each. One more clears them all: then each account counts against
/// its network until it is confirmed again.
const CONFIRMED: usize = 100_000;

impl Callers {
    /// Trusts so many proxies, each of which adds the address that it sees to `X-Forwarded-For`.
    #[must_use]
    pub fn new(proxies: u8) -> Self {
        Self { proxies: proxies.into(), confirmed: Mutex::default(), has_warned: AtomicBool::default() }
    }

    /// Whether connections come from proxies. Then one connection carries the requests of many callers.
    #[must_use]
    pub fn are_behind_proxies(&self) -> bool {
        self.proxies > 0
    }

    /// Identifies the caller of `request`, whose token has this identity, and stores it with the request for
    /// [`of`](Self::of).
    ///
    /// Only the database knows whether the account has revoked its token. Until the database has confirmed a token, its
    /// requests count against the network. So a revoked token cannot use up its owner's rate limit.
    pub(crate) fn identify(&self, request: &HttpRequest, token: Option<Identity>) -> Caller {
        let account = token.filter(|token| self.is_confirmed(*token)).map(|token| token.id);
        let caller = Caller { account, network: self.network(request) };
        request.extensions_mut().insert(caller);
        caller
    }

    /// The caller of `request`: the stored one, or the network alone where no route has identified the caller.
    pub(crate) fn of(&self, request: &HttpRequest) -> Caller {
        let stored = request.extensions().get().copied();
        stored.unwrap_or_else(|| Caller { account: None, network: self.network(request) })
    }

    /// The network that `request` comes from.
    fn network(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.address(request).map(network)
    }

    fn is_confirmed(&self, caller: Identity) -> bool {
        self.confirmed().get(&caller.id) == Some(&caller.key)
    }

    /// Notes that the database has confirmed this account's key.
    pub(crate) fn confirm(&self, caller: Identity) {
        let mut confirmed = self.confirmed();
        if confirmed.len() >= CONFIRMED && !confirmed.contains_key(&caller.id) {
            confirmed.clear();
        }
        confirmed.insert(caller.id, caller.key);
    }

    /// Notes that the account has revoked this token, or was deleted.
    pub(crate) fn refute(&self, caller: Identity) {
        let mut confirmed = self.confirmed();
        if confirmed.get(&caller.id) == Some(&caller.key) {
            confirmed.remove(&caller.id);
        }
    }

    fn confirmed(&self) -> MutexGuard<'_, HashMap<i64, i64>> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's address: the peer's, or the one that the outermost trusted proxy saw.
    ///
    /// Where the proxy names no address that can be read, the request counts against the proxy. The log says so once,
    /// because all clients may then share one rate limit.
    fn address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr().map(|address| address.ip());
        let Some(behind) = self.proxies.checked_sub(1) else { return peer };
        let entry = entries(request.headers(), "x-forwarded-for").into_iter().nth_back(behind);
        let address = entry.and_then(address_in);
        if address.is_none() && !self.has_warned.swap(true, Ordering::Relaxed) {
            let entry = entry.map(|entry| entry.chars().take(64).collect::<String>());
            tracing::warn!(
                proxies = self.proxies,
                entry,
                "X-Forwarded-For has no readable address from the outermost trusted proxy: such requests all count \
                 against the proxy's address; this warning is logged once"
            );
        }
        address.or(peer)
    }

    /// The value that the outermost trusted proxy has set in this header, `X-Forwarded-Proto` or `X-Forwarded-Host`;
    /// none without proxies.
    ///
    /// A proxy may overwrite the header instead of adding to it. Then there are fewer values than proxies, and the
    /// first value is from the outermost one.
    pub(crate) fn forwarded<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let behind = self.proxies.checked_sub(1)?;
        let entries = entries(headers, name);
        let place = entries.len().saturating_sub(behind + 1);
        entries.get(place).copied()
    }
}

/// The values of a list header, in order. A value that is not UTF-8 becomes an empty one, so that the others keep their
/// places.
fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    values.map(|value| std::str::from_utf8(value).unwrap_or_default().trim()).collect()
}

/// Parses the address in a value of `X-Forwarded-For`. Some gateways add the port, and some add quotes, as in RFC 7239.
fn address_in(value: &str) -> Option<IpAddr> {
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bare = in_brackets.map_or(text, |text| text);
    bare.parse().ok().filter(|address: &IpAddr| in_brackets.is_none() || address.is_ipv6()).or_else(with_port)
}

/// The network that one customer usually has: the whole IPv4 address, or the first 64 bits of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let half = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(half))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use feed_core::users::Identity;

    use super::{Caller, CallerKey, Callers, address_in, network};

    #[test]
    fn a_callers_key_is_the_confirmed_account_else_the_network() {
        let callers = Callers::new(0);
        let request =
            || TestRequest::default().peer_addr("192.0.2.1:1000".parse().unwrap()).to_http_request();
        let token = Identity { id: 7, key: 70 };
        let on_network = Some(CallerKey::Network([192, 0, 2, 1].into()));
        let key = |token| callers.identify(&request(), token).key();
        assert_eq!(key(None), on_network);
        assert_eq!(key(Some(token)), on_network, "not confirmed yet");
        callers.confirm(token);
        assert_eq!(key(Some(token)), Some(CallerKey::Account(7)));
        assert_eq!(key(Some(Identity { key: 71, ..token })), on_network, "another key of the account");
        callers.refute(token);
        assert_eq!(key(Some(token)), on_network);
        assert_eq!(Caller { account: None, network: None }.key(), None);
    }

    #[test]
    fn a_request_keeps_the_caller_that_its_route_has_identified() {
        let callers = Callers::new(0);
        let request = TestRequest::default().peer_addr("192.0.2.1:1000".parse().unwrap()).to_http_request();
        let unidentified = callers.of(&request);
        assert_eq!(unidentified, Caller { account: None, network: Some([192, 0, 2, 1].into()) });
        let token = Identity { id: 7, key: 70 };
        callers.confirm(token);
        let identified = callers.identify(&request, Some(token));
        callers.refute(token);
        assert_eq!(callers.of(&request), identified);
    }

    #[test]
    fn a_network_is_one_caller() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn only_configured_proxies_are_trusted() {
        let request = TestRequest::default()
            .peer_addr("192.0.2.1:1000".parse().unwrap())
            .insert_header(("x-forwarded-for", "198.51.100.9, 203.0.113.1"))
            .append_header(("x-forwarded-for", "203.0.113.2"))
            .to_http_request();
        for (proxies, expected) in
            [(0, "192.0.2.1"), (1, "203.0.113.2"), (2, "203.0.113.1"), (3, "198.51.100.9"), (4, "192.0.2.1")]
        {
            assert_eq!(Callers::new(proxies).address(&request).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn an_address_is_read_as_gateways_write_it() {
        for (value, expected) in [
            ("203.0.113.6", Some("203.0.113.6")),
            ("203.0.113.6:40006", Some("203.0.113.6")),
            ("\"203.0.113.6:40006\"", Some("203.0.113.6")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("", None),
            ("\"", None),
            ("unknown", None),
            ("_hidden", None),
            ("\"_hidden:_port\"", None),
            ("[203.0.113.6]", None),
            ("203.0.113.6:", None),
            ("203.0.113.6:99999", None),
            ("[2001:db8::1", None),
            ("203.0.113.6 198.51.100.1", None),
        ] {
            assert_eq!(address_in(value), expected.map(|address| address.parse().unwrap()), "{value}");
        }
    }

    #[test]
    fn an_unreadable_address_counts_against_the_proxy_and_is_logged_once() {
        let callers = Callers::new(1);
        let from = |value: &[u8]| {
            let value = actix_web::http::header::HeaderValue::from_bytes(value).unwrap();
            let request = TestRequest::default().peer_addr("192.0.2.1:1000".parse().unwrap());
            let request = request.insert_header(("x-forwarded-for", value)).to_http_request();
            callers.address(&request).unwrap().to_string()
        };
        // Values further left come from untrusted clients and are not read.
        for value in [&b"203.0.113.6:1"[..], b"unknown, 203.0.113.6", b"\xff, 203.0.113.6", b",203.0.113.6"] {
            assert_eq!(from(value), "203.0.113.6");
        }
        assert!(!callers.has_warned.load(std::sync::atomic::Ordering::Relaxed));
        for value in [&b"unknown"[..], b"203.0.113.6, _hidden", b"203.0.113.6,", b"203.0.113.6, \xff", b""] {
            assert_eq!(from(value), "192.0.2.1");
            assert!(callers.has_warned.load(std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn the_outermost_proxy_tells_scheme_and_host() {
        let request = TestRequest::default()
            .insert_header(("x-forwarded-proto", "forged, https"))
            .append_header(("x-forwarded-proto", "http"))
            .to_http_request();
        for (proxies, expected) in [
            (0, None),
            (1, Some("http")),
            (2, Some("https")),
            (3, Some("forged")),
            // Fewer values than proxies: one of them has overwritten the header.
            (4, Some("forged")),
        ] {
            assert_eq!(Callers::new(proxies).forwarded(request.headers(), "x-forwarded-proto"), expected);
        }
        assert_eq!(Callers::new(1).forwarded(request.headers(), "x-forwarded-host"), None);
    }
}
