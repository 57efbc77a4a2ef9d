//! How many connections an address may have, so that none has them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use crate::caller::network;

/// Counts the connections of each network; clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Connections of a network at most; none for any number.
    most: Option<NonZeroU32>,
    /// No more entries than connections are open.
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// The network has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// One of a network's connections, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    network: IpAddr,
    addresses: Addresses,
}

impl Addresses {
    /// Lets each network have `most` connections.
    pub(crate) fn new(most: Option<NonZeroU32>) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Takes a place for a connection from `peer`.
    ///
    /// There is none to take, and any number is let in, where nothing is counted: for this machine itself, where whoever
    /// connects could take the service down in other ways, and for addresses that the operating system does not tell.
    ///
    /// # Errors
    /// Where the network has all of its places taken.
    pub(crate) fn enter(&self, peer: Option<IpAddr>) -> Result<Option<Place>, Full> {
        let Some((most, peer)) = self.most.zip(peer.filter(|peer| !peer.to_canonical().is_loopback())) else {
            return Ok(None);
        };
        let network = network(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = open.entry(network).or_default();
        if *taken >= most.get() {
            return Err(Full);
        }
        *taken += 1;
        Ok(Some(Place { network, addresses: self.clone() }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = open.get_mut(&self.network) {
            *taken -= 1;
            if *taken == 0 {
                open.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{Addresses, Full};

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let addresses = Addresses::new(NonZeroU32::new(2));
        let enter = |peer: &str| addresses.enter(Some(peer.parse().unwrap()));
        let first = enter("2001:db8::1").unwrap();
        let second = enter("2001:db8::2").unwrap();
        assert_eq!(enter("2001:db8::3").unwrap_err(), Full);
        let other = enter("2001:db8:0:1::1").unwrap();
        assert!(first.is_some() && other.is_some(), "each is counted");
        drop(second);
        let again = enter("2001:db8::3").unwrap();
        drop((first, other, again));
        assert!(addresses.open.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn this_machine_and_nobody_known_are_not_counted() {
        let addresses = Addresses::new(NonZeroU32::new(1));
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..3 {
                assert!(addresses.enter(Some(peer.parse().unwrap())).unwrap().is_none(), "{peer}");
            }
        }
        assert!(addresses.enter(None).unwrap().is_none());
        let unlimited = Addresses::new(None);
        assert!(unlimited.enter(Some("192.0.2.1".parse().unwrap())).unwrap().is_none());
    }
}
