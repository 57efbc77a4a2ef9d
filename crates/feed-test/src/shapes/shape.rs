//! The shapes of the users whose feeds are measured: which relations each has, which feed they load, and when.

use chrono::NaiveDateTime;
use feed_core::feed::Feed;

use super::crowd::Crowd;
use super::{SIZES, before_schedule, now};

/// A viewer with relations of a fixed structure, the feed that they load, and the time at which they load it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The main feed.
    All,
    /// The main feed while its newest 10,000 flyers (1,000 at the smallest size) are not yet valid.
    AllScheduled,
    /// Follows nobody.
    Follows0,
    /// Follows one active creator. No active creator has one of the newest flyers, so the bounded scan of the newest
    /// flyers finds nothing.
    Follows1,
    /// Follows 100 active creators.
    Follows100,
    /// Follows 1,000 active creators.
    Follows1000,
    /// Follows 1,000 active creators and 9,000 of the background, some of whom have some of the newest flyers.
    Follows10000,
    /// Follows the 100 creators who have half of the newest flyers.
    Recent100,
    /// Follows the 100 creators of [`Shape::Recent100`] and 900 active creators.
    Recent1000,
    /// Follows 100 creators with 5 flyers each, all valid and older than a year.
    Quiet100,
    /// Follows 1,000 such creators.
    Quiet1000,
    /// Follows 100 users without a flyer.
    Empty100,
    /// Follows 1,000 such users.
    Empty1000,
    /// Follows 10 creators with 1,000 flyers each (5 with 200 at the smallest size).
    Prolific10,
    /// Follows 100 creators with 100 flyers each, of which 0.2 % are valid (10 creators at the smallest size).
    Expired100,
    /// As [`Shape::Expired100`], but all flyers are valid.
    Valid100,
    /// Follows 100 creators whose 10,000 flyers were published in the same second (1,000 at the smallest size).
    Second100,
    /// As [`Shape::Recent100`] while those newest flyers are not yet valid.
    Scheduled100,
    /// As [`Shape::Follows10000`] while the newest flyers are not yet valid.
    Scheduled10000,
    /// Follows 100 creators with 20 flyers each (10 creators at the smallest size). Half of the flyers have expired but
    /// are not marked yet.
    Unswept100,
    /// Has no favorites.
    Favorites0,
    /// Has one favorite.
    Favorites1,
    /// 100 favorites. Here and where nothing else is said, favorites are valid and spread evenly over all times.
    Favorites100,
    /// 1,000 favorites.
    Favorites1000,
    /// 10,000 favorites.
    Favorites10000,
    /// 100,000 favorites, of all creators.
    Favorites100000,
    /// 10,000 favorites of which 0.2 % are valid (1,000 at the smallest size).
    FavoritesExpired,
    /// 10,000 favorites that were published in the same second (1,000 at the smallest size).
    FavoritesSecond,
}

/// A viewer's relations. The numbers are those of the larger data sets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relations {
    None,
    /// Follows the first so many members of each crowd.
    Follows(&'static [(Crowd, u32)]),
    /// Favorited so many flyers of the crowd, spread evenly.
    Favorites(Crowd, u32),
    /// Favorited so many valid flyers of any creators, spread evenly.
    ValidFavorites(u32),
}

impl Shape {
    /// All shapes, by the ids of their viewers.
    pub const ALL: [Self; 28] = [
        Self::All,
        Self::AllScheduled,
        Self::Follows0,
        Self::Follows1,
        Self::Follows100,
        Self::Follows1000,
        Self::Follows10000,
        Self::Recent100,
        Self::Recent1000,
        Self::Quiet100,
        Self::Quiet1000,
        Self::Empty100,
        Self::Empty1000,
        Self::Prolific10,
        Self::Expired100,
        Self::Valid100,
        Self::Second100,
        Self::Scheduled100,
        Self::Scheduled10000,
        Self::Unswept100,
        Self::Favorites0,
        Self::Favorites1,
        Self::Favorites100,
        Self::Favorites1000,
        Self::Favorites10000,
        Self::Favorites100000,
        Self::FavoritesExpired,
        Self::FavoritesSecond,
    ];

    /// What reports and budgets call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::AllScheduled => "all_scheduled",
            Self::Follows0 => "follows_0",
            Self::Follows1 => "follows_1",
            Self::Follows100 => "follows_100",
            Self::Follows1000 => "follows_1000",
            Self::Follows10000 => "follows_10000",
            Self::Recent100 => "recent_100",
            Self::Recent1000 => "recent_1000",
            Self::Quiet100 => "quiet_100",
            Self::Quiet1000 => "quiet_1000",
            Self::Empty100 => "empty_100",
            Self::Empty1000 => "empty_1000",
            Self::Prolific10 => "prolific_10",
            Self::Expired100 => "expired_100",
            Self::Valid100 => "valid_100",
            Self::Second100 => "second_100",
            Self::Scheduled100 => "scheduled_100",
            Self::Scheduled10000 => "scheduled_10000",
            Self::Unswept100 => "unswept_100",
            Self::Favorites0 => "favorites_0",
            Self::Favorites1 => "favorites_1",
            Self::Favorites100 => "favorites_100",
            Self::Favorites1000 => "favorites_1000",
            Self::Favorites10000 => "favorites_10000",
            Self::Favorites100000 => "favorites_100000",
            Self::FavoritesExpired => "favorites_expired",
            Self::FavoritesSecond => "favorites_second",
        }
    }

    pub(super) fn related(self) -> Relations {
        use Crowd::{Active, Background, Expired, Prolific, Quiet, Recent, Second, Silent, Unswept, Valid};
        match self {
            Self::All | Self::AllScheduled | Self::Follows0 | Self::Favorites0 => Relations::None,
            Self::Follows1 => Relations::Follows(&[(Active, 1)]),
            Self::Follows100 => Relations::Follows(&[(Active, 100)]),
            Self::Follows1000 => Relations::Follows(&[(Active, 1_000)]),
            Self::Follows10000 | Self::Scheduled10000 => {
                Relations::Follows(&[(Active, 1_000), (Background, 9_000)])
            }
            Self::Recent100 | Self::Scheduled100 => Relations::Follows(&[(Recent, 100)]),
            Self::Recent1000 => Relations::Follows(&[(Recent, 100), (Active, 900)]),
            Self::Quiet100 => Relations::Follows(&[(Quiet, 100)]),
            Self::Quiet1000 => Relations::Follows(&[(Quiet, 1_000)]),
            Self::Empty100 => Relations::Follows(&[(Silent, 100)]),
            Self::Empty1000 => Relations::Follows(&[(Silent, 1_000)]),
            Self::Prolific10 => Relations::Follows(&[(Prolific, 10)]),
            Self::Expired100 => Relations::Follows(&[(Expired, 100)]),
            Self::Valid100 => Relations::Follows(&[(Valid, 100)]),
            Self::Second100 => Relations::Follows(&[(Second, 100)]),
            Self::Unswept100 => Relations::Follows(&[(Unswept, 100)]),
            Self::Favorites1 => Relations::Favorites(Active, 1),
            Self::Favorites100 => Relations::Favorites(Active, 100),
            Self::Favorites1000 => Relations::Favorites(Active, 1_000),
            Self::Favorites10000 => Relations::Favorites(Active, 10_000),
            Self::Favorites100000 => Relations::ValidFavorites(100_000),
            Self::FavoritesExpired => Relations::Favorites(Expired, 10_000),
            Self::FavoritesSecond => Relations::Favorites(Second, 10_000),
        }
    }

    /// The id of the user. Each shape has a user of its own.
    pub fn viewer(self) -> i64 {
        self as i64 + 1
    }

    /// The feed that the user loads.
    pub fn feed(self) -> Feed {
        let viewer = self.viewer();
        match self {
            Self::All | Self::AllScheduled => Feed::All(Some(viewer)),
            _ if self.name().starts_with("favorites") => Feed::Favorites(viewer),
            _ => Feed::Following(viewer),
        }
    }

    /// The time of the request.
    pub fn now(self) -> NaiveDateTime {
        match self {
            Self::AllScheduled | Self::Scheduled100 | Self::Scheduled10000 => before_schedule(),
            _ => now(),
        }
    }

    /// How many follows or favorites the user has in a data set of this size.
    pub fn relations(self, size: u32) -> u32 {
        match self.related() {
            Relations::None => 0,
            Relations::Follows(crowds) => crowds.iter().map(|(crowd, n)| crowd.people(size).min(*n)).sum(),
            Relations::Favorites(crowd, n) => crowd.flyers(size).min(n),
            Relations::ValidFavorites(n) => n,
        }
    }

    /// Whether a data set of this size is large enough for the shape.
    pub fn exists_at(self, size: u32) -> bool {
        size >= match self {
            Self::Follows1000
            | Self::Recent1000
            | Self::Quiet1000
            | Self::Favorites10000
            | Self::Follows10000
            | Self::Scheduled10000 => SIZES[1],
            Self::Favorites100000 => SIZES[2],
            _ => SIZES[0],
        }
    }

    /// Whether everything that a first page reads has the same structure at both sizes. If so, only the size of the
    /// tables can cause more work at one of them.
    pub fn is_same_at(self, a: u32, b: u32) -> bool {
        let is_scaled = match self {
            // These follow members of the background, which has more flyers in larger data sets.
            Self::Follows10000 | Self::Scheduled10000 => true,
            Self::Follows0
            | Self::Follows1
            | Self::Follows100
            | Self::Quiet100
            | Self::Empty100
            | Self::Empty1000
            | Self::Favorites0
            | Self::Favorites1
            | Self::Favorites100
            | Self::Favorites1000 => false,
            _ => a.min(b) < SIZES[1],
        };
        a == b || (!is_scaled && self.exists_at(a) && self.exists_at(b))
    }
}
