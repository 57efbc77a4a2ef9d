//! How often a caller may ask, and the headers that say so (draft-ietf-httpapi-ratelimit-headers).

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::auth::Viewer;
use crate::config::{Rate, RateConfig};
use crate::problem::ApiError;

pub(crate) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that a limit tells apart, at some 100 bytes each; those who come when so many are known share one allowance
/// until the others are forgotten.
const CALLERS: usize = 100_000;

/// The seconds that a limit speaks of.
const WINDOW: u32 = 60;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    User(i64),
    Address(IpAddr),
    /// Whoever came too late to be told apart.
    Others,
}

/// The limits of all callers.
#[derive(Debug)]
pub struct Limiter {
    callers: Option<Limit>,
    sign_ins: Option<Limit>,
    proxies: usize,
}

impl Limiter {
    /// None where nothing is limited.
    #[must_use]
    pub fn new(config: &RateConfig) -> Option<Self> {
        config.rate_limit.0?;
        Some(Self {
            callers: Limit::new("caller", config.rate_limit),
            sign_ins: Limit::new("sign-in", config.auth_rate_limit),
            proxies: config.proxies.into(),
        })
    }

    /// What is left to whoever sends `request`, which is counted; none where this request is not limited.
    ///
    /// A caller whose token is good is told by it from then on: nobody checks it twice.
    ///
    /// # Errors
    /// Where nothing was left.
    pub(crate) fn count(&self, request: &ServiceRequest) -> Option<Result<Left, Spent>> {
        let address = Caller::Address(network(self.address(request)?));
        if request.path().starts_with("/api/auth/") {
            return self.sign_ins.as_ref().map(|limit| limit.count(address));
        }
        let limit = self.callers.as_ref()?;
        let caller = match Viewer::of(request.request()) {
            Ok(viewer @ Viewer(Some(user))) => {
                request.extensions_mut().insert(viewer);
                Caller::User(user)
            }
            _ => address,
        };
        Some(limit.count(caller))
    }

    /// Forgets callers who have all of their allowance again.
    pub(crate) fn forget(&self) {
        for limit in [&self.callers, &self.sign_ins].into_iter().flatten() {
            limit.limiter.retain_recent();
            limit.limiter.shrink_to_fit();
        }
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

/// One limit.
#[derive(Debug)]
struct Limit {
    name: &'static str,
    most: NonZeroU32,
    limiter: RateLimiter<Caller, DashMapStateStore<Caller>, DefaultClock, StateInformationMiddleware>,
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
        let limiter = RateLimiter::dashmap(Quota::per_minute(most)).with_middleware();
        Some(Self { name, most, limiter })
    }

    fn count(&self, caller: Caller) -> Result<Left, Spent> {
        let caller = if self.limiter.len() < CALLERS { caller } else { Caller::Others };
        let left = |requests| Left { name: self.name, most: self.most.get(), requests };
        match self.limiter.check_key(&caller) {
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
    use actix_web::test::TestRequest;

    use super::{CALLERS, Caller, Limit, Limiter, network};
    use crate::config::{Rate, RateConfig};

    fn limiter(proxies: u8) -> Limiter {
        let rate = Rate(std::num::NonZeroU32::new(3));
        Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies }).unwrap()
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
    fn only_configured_proxies_are_believed() {
        let request = TestRequest::default()
            .peer_addr("192.0.2.1:1000".parse().unwrap())
            .insert_header(("x-forwarded-for", "198.51.100.9, 203.0.113.1"))
            .append_header(("x-forwarded-for", "203.0.113.2"))
            .to_srv_request();
        for (proxies, expected) in
            [(0, "192.0.2.1"), (1, "203.0.113.2"), (2, "203.0.113.1"), (3, "198.51.100.9"), (4, "192.0.2.1")]
        {
            assert_eq!(limiter(proxies).address(&request).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_caller_has_so_many_and_one_more_after_a_while() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        let left: Vec<_> = (0..3).map(|_| limit.count(Caller::User(1)).unwrap().requests).collect();
        assert_eq!(left, [2, 1, 0]);
        let spent = limit.count(Caller::User(1)).unwrap_err();
        assert!((1..=20).contains(&spent.wait), "one of three a minute: {}", spent.wait);
        assert_eq!(limit.count(Caller::User(2)).unwrap().requests, 2);
    }

    #[test]
    fn who_has_all_of_it_again_is_forgotten() {
        let rate = Rate(std::num::NonZeroU32::new(60_000));
        let limiter =
            Limiter::new(&RateConfig { rate_limit: rate, auth_rate_limit: rate, proxies: 0 }).unwrap();
        let limits = [limiter.callers.as_ref().unwrap(), limiter.sign_ins.as_ref().unwrap()];
        for limit in limits {
            limit.count(Caller::User(1)).unwrap();
        }
        while limits.iter().any(|limit| !limit.limiter.is_empty()) {
            limiter.forget();
        }
    }

    #[test]
    fn callers_without_number_take_no_more_memory() {
        let limit = Limit::new("caller", Rate(std::num::NonZeroU32::new(3))).unwrap();
        for user in (0..).take(CALLERS + 1_000) {
            let _ = limit.count(Caller::User(user));
        }
        assert!(limit.limiter.len() <= CALLERS + 1);
        assert!(limit.count(Caller::User(-1)).is_err(), "the late share what they have");
    }
}
