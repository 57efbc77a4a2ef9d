//! The limit of connections per address, so that no address can use all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use crate::caller::network;

/// Counts the open connections of each network. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct AddressLimit {
    /// Connections of a network at most; none for no limit.
    most: Option<NonZeroU32>,
    /// Open connections by network. Networks without a connection have no entry.
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// The network has reached its limit of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// One connection of a network. It is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct AddressSlot {
    network: IpAddr,
    limit: AddressLimit,
}

impl AddressLimit {
    /// Allows each network `most` connections.
    pub(crate) fn new(most: Option<NonZeroU32>) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Counts a connection from `peer`.
    ///
    /// Two kinds of connections are not counted and get no slot: those from this machine itself, because whoever
    /// connects from there could take the service down in other ways, and those whose address the operating system does
    /// not tell.
    ///
    /// # Errors
    /// [`Full`] where the network has reached its limit.
    pub(crate) fn acquire(&self, peer: Option<IpAddr>) -> Result<Option<AddressSlot>, Full> {
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
        Ok(Some(AddressSlot { network, limit: self.clone() }))
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut open = self.limit.open.lock().unwrap_or_else(PoisonError::into_inner);
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

    use super::{AddressLimit, Full};

    #[test]
    fn a_network_has_a_limit_and_closed_connections_do_not_count() {
        let limit = AddressLimit::new(NonZeroU32::new(2));
        let acquire = |peer: &str| limit.acquire(Some(peer.parse().unwrap()));
        let first = acquire("2001:db8::1").unwrap();
        let second = acquire("2001:db8::2").unwrap();
        assert_eq!(acquire("2001:db8::3").unwrap_err(), Full);
        let other = acquire("2001:db8:0:1::1").unwrap();
        assert!(first.is_some() && other.is_some(), "each is counted");
        drop(second);
        let again = acquire("2001:db8::3").unwrap();
        drop((first, other, again));
        assert!(limit.open.lock().unwrap().is_empty(), "closed connections leave no entry");
    }

    #[test]
    fn loopback_and_unknown_addresses_are_not_counted() {
        let limit = AddressLimit::new(NonZeroU32::new(1));
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..3 {
                assert!(limit.acquire(Some(peer.parse().unwrap())).unwrap().is_none(), "{peer}");
            }
        }
        assert!(limit.acquire(None).unwrap().is_none());
        let unlimited = AddressLimit::new(None);
        assert!(unlimited.acquire(Some("192.0.2.1".parse().unwrap())).unwrap().is_none());
    }
}
