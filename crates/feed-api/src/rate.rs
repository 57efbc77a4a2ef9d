//! Rate limits of each caller, and the headers that tell them (draft-ietf-httpapi-ratelimit-headers).

use std::num::NonZeroU32;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};

use crate::caller::{Caller, CallerKey};
use crate::config::{Rate, RateConfig};
use crate::problem::ApiError;
use crate::route_class::RouteClass;

pub(crate) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that a limit tells apart, at some 100 bytes each. Once there are so many, new callers share one quota until
/// others are removed. Known callers keep their own.
const CALLERS: usize = 100_000;

/// The window of a limit, in seconds.
const WINDOW: u32 = 60;

/// The rate limits of all callers.
#[derive(Debug)]
pub struct Limiter {
    /// Accounts are kept apart from addresses. Anybody can have many addresses; they must not fill the table of
    /// accounts.
    accounts: Option<Limit>,
    addresses: Option<Limit>,
    sign_ins: Option<Limit>,
}

impl Limiter {
    /// Creates the limits of a configuration; none where they are off.
    #[must_use]
    pub fn new(config: &RateConfig) -> Option<Self> {
        config.rate_limit.0?;
        Some(Self {
            accounts: Limit::new("caller", config.rate_limit),
            addresses: Limit::new("caller", config.rate_limit),
            sign_ins: Limit::new("sign-in", config.auth_rate_limit),
        })
    }

    /// Counts a request of `caller` to a route of this class, and returns what is left of the quota; none where such
    /// requests are not limited.
    ///
    /// Sign-ins are counted by network, because callers have no account before they have signed in.
    ///
    /// # Errors
    /// [`Exhausted`] where the quota is used up.
    pub(crate) fn count(&self, class: RouteClass, caller: Caller) -> Option<Result<Remaining, Exhausted>> {
        match class {
            RouteClass::Health => None,
            RouteClass::SignIn => {
                let network = CallerKey::Network(caller.network?);
                Some(self.sign_ins.as_ref()?.count(network))
            }
            RouteClass::Standard | RouteClass::Session => {
                let key = caller.key()?;
                let limit = match key {
                    CallerKey::Account(_) => &self.accounts,
                    CallerKey::Network(_) => &self.addresses,
                };
                Some(limit.as_ref()?.count(key))
            }
        }
    }

    /// Removes callers whose quota is full again.
    pub(crate) fn forget(&self) {
        for limit in [&self.accounts, &self.addresses, &self.sign_ins].into_iter().flatten() {
            limit.limiter.retain_recent();
            limit.limiter.shrink_to_fit();
        }
    }
}

/// A rate limit, with a quota for each caller.
#[derive(Debug)]
struct Limit {
    name: &'static str,
    most: NonZeroU32,
    limiter: RateLimiter<CallerKey, Known, DefaultClock, StateInformationMiddleware>,
}

/// The state of each known caller's quota. It keeps at most [`CALLERS`] of them, and one for all others under the key
/// `None`.
#[derive(Debug, Default)]
struct Known(DashMapStateStore<Option<CallerKey>>);

impl StateStore for Known {
    type Key = CallerKey;

    fn measure_and_replace<T, F, E>(&self, key: &CallerKey, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let key = Some(*key);
        let is_told_apart = self.0.contains_key(&key) || self.0.len() < CALLERS;
        self.0.measure_and_replace(&key.filter(|_| is_told_apart), measure)
    }
}

impl ShrinkableKeyedStateStore<CallerKey> for Known {
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

/// What is left of a quota.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remaining {
    name: &'static str,
    most: u32,
    requests: u32,
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exhausted {
    left: Remaining,
    /// Seconds until one more request is allowed.
    wait: u64,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Option<Self> {
        let most = rate.0?;
        let limiter = RateLimiter::new(Quota::per_minute(most), Known::default(), DefaultClock::default());
        Some(Self { name, most, limiter })
    }

    fn count(&self, key: CallerKey) -> Result<Remaining, Exhausted> {
        let left = |requests| Remaining { name: self.name, most: self.most.get(), requests };
        match self.limiter.check_key(&key) {
            Ok(state) => Ok(left(state.remaining_burst_capacity())),
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                Err(Exhausted { left: left(0), wait: wait.as_secs() + 1 })
            }
        }
    }
}

impl Remaining {
    /// Writes the `RateLimit` headers of a response.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { name, most, requests } = self;
        // The quota refills evenly: one request each WINDOW / most seconds.
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

impl Exhausted {
    /// The error for the caller.
    pub(crate) fn problem(self) -> ApiError {
        ApiError::TooMany(self.wait)
    }

    /// The quota, for the headers.
    pub(crate) fn left(self) -> Remaining {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLERS, Limit, Limiter};
    use crate::caller::{Caller, CallerKey};
    use crate::config::{Rate, RateConfig};
    use crate::route_class::RouteClass;

    #[test]
    fn a_quota_is_used_up_and_refills() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        let left: Vec<_> = (0..3).map(|_| limit.count(CallerKey::Account(1)).unwrap().requests).collect();
        assert_eq!(left, [2, 1, 0]);
        let exhausted = limit.count(CallerKey::Account(1)).unwrap_err();
        assert!((1..=20).contains(&exhausted.wait), "one of three a minute: {}", exhausted.wait);
        assert_eq!(limit.count(CallerKey::Account(2)).unwrap().requests, 2);
    }

    #[test]
    fn callers_with_a_full_quota_are_removed() {
        let rate = Rate(std::num::NonZeroU32::new(60_000));
        let limiter =
            Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies: 0 }).unwrap();
        let limits =
            [&limiter.accounts, &limiter.addresses, &limiter.sign_ins].map(|limit| limit.as_ref().unwrap());
        for limit in limits {
            limit.count(CallerKey::Account(1)).unwrap();
        }
        while limits.iter().any(|limit| !limit.limiter.is_empty()) {
            limiter.forget();
        }
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_callers() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        for user in (0..).take(CALLERS + 1_000) {
            let _ = limit.count(CallerKey::Account(user));
        }
        assert!(limit.limiter.len() <= CALLERS + 1);
        assert!(limit.count(CallerKey::Account(-1)).is_err(), "callers beyond the bound share a quota");
        assert_eq!(limit.count(CallerKey::Account(7)).unwrap().requests, 1, "known callers keep their own");
        assert_eq!(limit.count(CallerKey::Account(7)).unwrap().requests, 0);
        assert!(limit.count(CallerKey::Account(7)).is_err());
    }

    #[test]
    fn any_number_of_addresses_leaves_accounts_their_quota() {
        let rate = Rate(std::num::NonZeroU32::new(3));
        let limiter =
            Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies: 0 }).unwrap();
        let count = |account, address: Option<u32>| {
            let network = address.map(|address| std::net::Ipv4Addr::from(address).into());
            limiter.count(RouteClass::Standard, Caller { account, network }).unwrap()
        };
        for address in (1 << 24..).take(CALLERS + 10) {
            let _ = count(None, Some(address));
        }
        assert!(count(None, Some(7)).is_err());
        assert_eq!(count(Some(7), Some(7)).unwrap().requests, 2);
    }
}
