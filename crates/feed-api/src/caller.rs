//! Whom a request counts against.
//!
//! Every limit that is kept for one caller at a time asks here who that is, so that all of them agree.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use feed_core::users::Identity;

use crate::auth::Viewer;

/// Whom a request counts against: their account where the database has confirmed the token, else the network it comes from.
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
}

/// Accounts whose key is remembered, at some 20 bytes each. One more, and all are forgotten: each counts once more against
/// its network.
const CONFIRMED: usize = 100_000;

impl Callers {
    /// Believes so many proxies, each of which adds the address that it sees to `X-Forwarded-For`.
    #[must_use]
    pub fn new(proxies: u8) -> Self {
        Self { proxies: proxies.into(), confirmed: Mutex::default() }
    }

    /// Who sends `request`.
    ///
    /// A token whose signature is good is kept with the request: nobody checks it twice. Whether its account has ended it,
    /// only the database knows: until that has confirmed it, a request counts against its network. So a token that was
    /// ended spends nothing of what its owner has.
    pub(crate) fn identify(&self, request: &ServiceRequest) -> Caller {
        let viewer = Viewer::of(request.request()).unwrap_or(Viewer(None));
        let account = viewer.0.filter(|caller| self.is_confirmed(*caller)).map(|caller| caller.id);
        if viewer.0.is_some() {
            request.extensions_mut().insert(viewer);
        }
        Caller { account, network: self.address(request).map(network) }
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
    fn address(&self, request: &ServiceRequest) -> Option<IpAddr> {
        let peer = request.peer_addr().map(|address| address.ip());
        let Some(behind) = self.proxies.checked_sub(1) else { return peer };
        let lines = request.headers().get_all("x-forwarded-for");
        let named: Vec<_> =
            lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).collect();
        // From the right: what stands further left anybody can have sent.
        let address = named.iter().rev().nth(behind).and_then(|text| text.trim().parse().ok());
        address.or(peer)
    }
}

/// The network that one customer has: all of an IPv4 address, half of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
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

    use super::{Callers, network};

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
            .to_srv_request();
        for (proxies, expected) in
            [(0, "192.0.2.1"), (1, "203.0.113.2"), (2, "203.0.113.1"), (3, "198.51.100.9"), (4, "192.0.2.1")]
        {
            assert_eq!(Callers::new(proxies).address(&request).unwrap().to_string(), expected);
        }
    }
}
