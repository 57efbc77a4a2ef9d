//! Whom a request counts against.
//!
//! Every limit that is kept for one caller at a time asks here who that is, so that all of them agree.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest};
use feed_core::users::Identity;

use crate::auth::Viewer;

/// Whom a request counts against: their account where the database has confirmed the token, else the network it comes
/// from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    /// The account of a confirmed token.
    pub account: Option<i64>,
    /// The network of the address; none where the operating system does not tell it.
    pub network: Option<IpAddr>,
}

/// Tells callers apart.
#[derive(Debug)]
pub struct Callers {
    proxies: usize,
    confirmed: Mutex<HashMap<i64, i64>>,
    /// An address that a proxy named could not be read, and the log says so.
    has_warned: AtomicBool,
}

/// Accounts whose key is remembered, at some 20 bytes each. One more, and all are forgotten: each counts once more
/// against its network.
const CONFIRMED: usize = 100_000;

impl Callers {
    /// Believes so many proxies, each of which adds the address that it sees to `X-Forwarded-For`.
    #[must_use]
    pub fn new(proxies: u8) -> Self {
        Self { proxies: proxies.into(), confirmed: Mutex::default(), has_warned: AtomicBool::default() }
    }

    /// Whether connections come from proxies, each of which has the requests of many callers.
    #[must_use]
    pub fn are_behind_proxies(&self) -> bool {
        self.proxies > 0
    }

    /// Who sends `request`.
    ///
    /// A token whose signature is good is kept with the request: nobody checks it twice. Whether its account has ended
    /// it, only the database knows: until that has confirmed it, a request counts against its network. So a token that
    /// was ended spends nothing of what its owner has.
    pub(crate) fn identify(&self, request: &ServiceRequest) -> Caller {
        let viewer = Viewer::of(request.request()).unwrap_or(Viewer(None));
        let account = viewer.0.filter(|caller| self.is_confirmed(*caller)).map(|caller| caller.id);
        if viewer.0.is_some() {
            request.extensions_mut().insert(viewer);
        }
        Caller { account, network: self.network(request.request()) }
    }

    /// The network that `request` comes from.
    pub(crate) fn network(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.address(request).map(network)
    }

    fn is_confirmed(&self, caller: Identity) -> bool {
        self.confirmed().get(&caller.id) == Some(&caller.key)
    }

    /// The database has confirmed who this is.
    pub(crate) fn confirm(&self, caller: Identity) {
        let mut confirmed = self.confirmed();
        if confirmed.len() >= CONFIRMED && !confirmed.contains_key(&caller.id) {
            confirmed.clear();
        }
        confirmed.insert(caller.id, caller.key);
    }

    /// The account has ended this token, or is gone.
    pub(crate) fn refute(&self, caller: Identity) {
        let mut confirmed = self.confirmed();
        if confirmed.get(&caller.id) == Some(&caller.key) {
            confirmed.remove(&caller.id);
        }
    }

    fn confirmed(&self) -> MutexGuard<'_, HashMap<i64, i64>> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of whoever asks: the peer, or what the outermost of our proxies saw.
    ///
    /// Where a proxy names none that can be read, the request counts against the proxy; the log says so once, since all
    /// customers may share one allowance then.
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
                "X-Forwarded-For names no address at the place of the outermost proxy: such requests count against the \
                 proxy, all together; this is said once"
            );
        }
        address.or(peer)
    }

    /// What the outermost of our proxies says in this header, `X-Forwarded-Proto` or `X-Forwarded-Host`; none without
    /// proxies.
    ///
    /// A proxy that writes over what is there, instead of adding to it, leaves fewer values than there are proxies: the
    /// first is from furthest outside then.
    pub(crate) fn forwarded<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let behind = self.proxies.checked_sub(1)?;
        let entries = entries(headers, name);
        let place = entries.len().saturating_sub(behind + 1);
        entries.get(place).copied()
    }
}

/// The values of a header that is a list, in their order. A value of bytes that are no text is an empty one, so that it
/// keeps its place.
fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    values.map(|value| std::str::from_utf8(value).unwrap_or_default().trim()).collect()
}

/// The address in a value of `X-Forwarded-For`: some gateways write it with the port, and some in quotes, as RFC 7239
/// does.
fn address_in(value: &str) -> Option<IpAddr> {
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bare = in_brackets.map_or(text, |text| text);
    bare.parse().ok().filter(|address: &IpAddr| in_brackets.is_none() || address.is_ipv6()).or_else(with_port)
}

/// The network that one customer has: all of an IPv4 address, half of an IPv6 address.
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

    use super::{Callers, address_in, network};

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
    fn only_configured_proxies_are_believed() {
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
    fn what_cannot_be_read_counts_against_the_proxy_and_is_told_once() {
        let callers = Callers::new(1);
        let from = |value: &[u8]| {
            let value = actix_web::http::header::HeaderValue::from_bytes(value).unwrap();
            let request = TestRequest::default().peer_addr("192.0.2.1:1000".parse().unwrap());
            let request = request.insert_header(("x-forwarded-for", value)).to_http_request();
            callers.address(&request).unwrap().to_string()
        };
        // What stands further left is not ours to read, and hides nothing.
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
    fn the_outermost_proxy_says_how_it_was_asked() {
        let request = TestRequest::default()
            .insert_header(("x-forwarded-proto", "forged, https"))
            .append_header(("x-forwarded-proto", "http"))
            .to_http_request();
        for (proxies, expected) in [
            (0, None),
            (1, Some("http")),
            (2, Some("https")),
            (3, Some("forged")),
            // Fewer values than proxies: one of them wrote over the others.
            (4, Some("forged")),
        ] {
            assert_eq!(Callers::new(proxies).forwarded(request.headers(), "x-forwarded-proto"), expected);
        }
        assert_eq!(Callers::new(1).forwarded(request.headers(), "x-forwarded-host"), None);
    }
}
