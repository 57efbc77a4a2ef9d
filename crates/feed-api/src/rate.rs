//! How often a caller may ask, and the headers that say so (draft-ietf-httpapi-ratelimit-headers).

use std::net::IpAddr;
use std::num::NonZeroU32;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};

use crate::caller::Caller;
use crate::config::{Rate, RateConfig};
use crate::problem::ApiError;
use crate::routes::RouteClass;

pub(crate) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that a limit tells apart, at some 100 bytes each. Those who come when so many are known share one allowance
/// until others are forgotten; who is known keeps their own.
const CALLERS: usize = 100_000;

/// The seconds that a limit speaks of.
const WINDOW: u32 = 60;

/// The limits of all callers.
#[derive(Debug)]
pub struct Limiter {
    /// Apart from the addresses, of which anybody can have many: they take no account's place.
    accounts: Option<Limit>,
    addresses: Option<Limit>,
    sign_ins: Option<Limit>,
}

impl Limiter {
    /// None where nothing is limited.
    #[must_use]
    pub fn new(config: &RateConfig) -> Option<Self> {
        config.rate_limit.0?;
        Some(Self {
            accounts: Limit::new("caller", config.rate_limit),
            addresses: Limit::new("caller", config.rate_limit),
            sign_ins: Limit::new("sign-in", config.auth_rate_limit),
        })
    }

    /// Counts a request of `caller` to a route of this class, and tells what is left to them; none where such requests
    /// are not limited.
    ///
    /// Sign-ins are counted by network, since everybody is a stranger before they have signed in.
    ///
    /// # Errors
    /// Where nothing was left.
    pub(crate) fn count(&self, class: RouteClass, caller: &Caller) -> Option<Result<Left, Spent>> {
        match class {
            RouteClass::Health => None,
            RouteClass::SignIn => {
                let limit = self.sign_ins.as_ref()?;
                Some(limit.count(Key::Network(caller.network?)))
            }
            RouteClass::Standard | RouteClass::Session => {
                if let Some(account) = caller.account {
                    return Some(self.accounts.as_ref()?.count(Key::Account(account)));
                }
                Some(self.addresses.as_ref()?.count(Key::Network(caller.network?)))
            }
        }
    }

    /// Forgets callers who have all of their allowance again.
    pub(crate) fn forget(&self) {
        for limit in [&self.accounts, &self.addresses, &self.sign_ins].into_iter().flatten() {
            limit.limiter.retain_recent();
            limit.limiter.shrink_to_fit();
        }
    }
}

/// What an allowance is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Account(i64),
    Network(IpAddr),
    /// Whoever came too late to be told apart.
    Others,
}

/// One limit.
#[derive(Debug)]
struct Limit {
    name: &'static str,
    most: NonZeroU32,
    limiter: RateLimiter<Key, Known, DefaultClock, StateInformationMiddleware>,
}

/// What is left to each caller who is known.
#[derive(Debug, Default)]
struct Known(DashMapStateStore<Key>);

impl StateStore for Known {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let is_told_apart = self.0.contains_key(key) || self.0.len() < CALLERS;
        self.0.measure_and_replace(if is_told_apart { key } else { &Key::Others }, measure)
    }
}

impl ShrinkableKeyedStateStore<Key> for Known {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.0.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is left of an allowance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    name: &'static str,
    most: u32,
    requests: u32,
}

/// An allowance of which nothing is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    left: Left,
    /// Seconds until one more request is allowed.
    wait: u64,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Option<Self> {
        let most = rate.0?;
        let limiter = RateLimiter::new(Quota::per_minute(most), Known::default(), DefaultClock::default());
        Some(Self { name, most, limiter })
    }

    fn count(&self, key: Key) -> Result<Left, Spent> {
        let left = |requests| Left { name: self.name, most: self.most.get(), requests };
        match self.limiter.check_key(&key) {
            Ok(state) => Ok(left(state.remaining_burst_capacity())),
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                Err(Spent { left: left(0), wait: wait.as_secs() + 1 })
            }
        }
    }
}

impl Left {
    /// Writes it down for the caller.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { name, most, requests } = self;
        // Each request comes back after its part of the window.
        let seconds = (u64::from(most - requests) * u64::from(WINDOW)).div_ceil(most.into());
        let policy = format!("\"{name}\";q={most};w={WINDOW}");
        let state = format!("\"{name}\";r={requests};t={seconds}");
        for (header, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(header, value);
            }
        }
    }
}

impl Spent {
    /// What the caller is told.
    pub(crate) fn problem(self) -> ApiError {
        ApiError::TooMany(self.wait)
    }

    /// The allowance.
    pub(crate) fn left(self) -> Left {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLERS, Key, Limit, Limiter};
    use crate::caller::Caller;
    use crate::config::{Rate, RateConfig};
    use crate::routes::RouteClass;

    #[test]
    fn a_caller_has_so_many_and_one_more_after_a_while() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        let left: Vec<_> = (0..3).map(|_| limit.count(Key::Account(1)).unwrap().requests).collect();
        assert_eq!(left, [2, 1, 0]);
        let spent = limit.count(Key::Account(1)).unwrap_err();
        assert!((1..=20).contains(&spent.wait), "one of three a minute: {}", spent.wait);
        assert_eq!(limit.count(Key::Account(2)).unwrap().requests, 2);
    }

    #[test]
    fn who_has_all_of_it_again_is_forgotten() {
        let rate = Rate(std::num::NonZeroU32::new(60_000));
        let limiter =
            Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies: 0 }).unwrap();
        let limits =
            [&limiter.accounts, &limiter.addresses, &limiter.sign_ins].map(|limit| limit.as_ref().unwrap());
        for limit in limits {
            limit.count(Key::Account(1)).unwrap();
        }
        while limits.iter().any(|limit| !limit.limiter.is_empty()) {
            limiter.forget();
        }
    }

    #[test]
    fn callers_without_number_take_no_more_memory() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        for user in (0..).take(CALLERS + 1_000) {
            let _ = limit.count(Key::Account(user));
        }
        assert!(limit.limiter.len() <= CALLERS + 1);
        assert!(limit.count(Key::Account(-1)).is_err(), "the late share what they have");
        assert_eq!(limit.count(Key::Account(7)).unwrap().requests, 1, "the known keep what is theirs");
        assert_eq!(limit.count(Key::Account(7)).unwrap().requests, 0);
        assert!(limit.count(Key::Account(7)).is_err());
    }

    #[test]
    fn addresses_without_number_leave_accounts_alone() {
        let rate = Rate(std::num::NonZeroU32::new(3));
        let limiter =
            Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies: 0 }).unwrap();
        let count = |account, address: Option<u32>| {
            let network = address.map(|address| std::net::Ipv4Addr::from(address).into());
            limiter.count(RouteClass::Standard, &Caller { account, network }).unwrap()
        };
        for address in (1 << 24..).take(CALLERS + 10) {
            let _ = count(None, Some(address));
        }
        assert!(count(None, Some(7)).is_err());
        assert_eq!(count(Some(7), Some(7)).unwrap().requests, 2);
    }
}
