//! The shapes: who looks at which feed, and when.

use chrono::NaiveDateTime;
use feed_core::feed::Feed;

use super::crowd::Crowd;
use super::{SIZES, before_schedule, now};

/// A viewer with relations of fixed structure, the feed that they look at, and the moment at which they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The main feed.
    All,
    /// The main feed while its newest 10,000 flyers (1,000 at the smallest size) are not yet valid.
    AllScheduled,
    /// Follows nobody.
    Follows0,
    /// Follows one active creator. Like all of them, none who has one of the newest flyers: a look there fails.
    Follows1,
    /// Follows 100 active creators.
    Follows100,
    /// Follows 1,000 active creators.
    Follows1000,
    /// Follows 1,000 active creators and 9,000 of the background, some of whom have newest flyers.
    Follows10000,
    /// Follows the 100 creators of half of the newest flyers.
    Recent100,
    /// Follows those 100 and 900 active creators.
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
    /// As [`Shape::Expired100`], and all are valid.
    Valid100,
    /// Follows 100 creators whose 10,000 flyers are of the same second (1,000 at the smallest size).
    Second100,
    /// As [`Shape::Recent100`] while those newest flyers are not yet valid.
    Scheduled100,
    /// As [`Shape::Follows10000`] while the newest flyers are not yet valid.
    Scheduled10000,
    /// Follows 100 creators with 20 flyers each; half have ended without being marked (10 creators at the
    /// smallest size).
    Unswept100,
    /// Has no favorite.
    Favorites0,
    /// One favorite.
    Favorites1,
    /// 100 favorites, like the others valid and spread evenly over all time.
    Favorites100,
    /// 1,000 favorites.
    Favorites1000,
    /// 10,000 favorites.
    Favorites10000,
    /// 100,000 favorites, of all creators.
    Favorites100000,
    /// 10,000 favorites of which 0.2 % are valid (1,000 at the smallest size).
    FavoritesExpired,
    /// 10,000 favorites of the same second (1,000 at the smallest size).
    FavoritesSecond,
}

/// What a viewer is related to; counts are those at full size.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relations {
    None,
    /// The first so many of each crowd.
    Follows(&'static [(Crowd, u32)]),
    /// So many flyers of the crowd, evenly.
    Favorites(Crowd, u32),
    /// So many valid flyers of whomever, evenly.
    ValidFavorites(u32),
}

impl Shape {
    /// Every shape, in the order of their viewers' ids.
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

    /// The user who looks: one for each shape.
    pub fn viewer(self) -> i64 {
        self as i64 + 1
    }

    /// What they look at.
    pub fn feed(self) -> Feed {
        let viewer = self.viewer();
        match self {
            Self::All | Self::AllScheduled => Feed::All(Some(viewer)),
            _ if self.name().starts_with("favorites") => Feed::Favorites(viewer),
            _ => Feed::Following(viewer),
        }
    }

    /// When they look.
    pub fn now(self) -> NaiveDateTime {
        match self {
            Self::AllScheduled | Self::Scheduled100 | Self::Scheduled10000 => before_schedule(),
            _ => now(),
        }
    }

    /// How many follows or favorites the viewer has.
    pub fn relations(self, size: u32) -> u32 {
        match self.related() {
            Relations::None => 0,
            Relations::Follows(crowds) => crowds.iter().map(|(crowd, n)| crowd.people(size).min(*n)).sum(),
            Relations::Favorites(crowd, n) => crowd.flyers(size).min(n),
            Relations::ValidFavorites(n) => n,
        }
    }

    /// Whether a data set of this size has room for it.
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

    /// Whether all that a first page of it reads is of the same structure at both sizes, so that more work at
    /// one is the table's doing.
    pub fn is_same_at(self, a: u32, b: u32) -> bool {
        let is_scaled = match self {
            // The background that they follow grows with the size.
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
