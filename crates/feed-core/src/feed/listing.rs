//! What is listed: a feed with its order, place and filters, and a request for one page of it.

use chrono::NaiveDateTime;

use crate::geo::{Circle, Location};
use crate::models::Categories;
use crate::page::{PageEnd, PageRequest};

/// Which flyers are listed, and who looks at them.
///
/// Only flyers that are valid now are listed. A creator also sees their own that are not yet valid or expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Every flyer. Signed-in viewers get their flags.
    All(Option<i64>),
    /// The flyers that this user favorited.
    Favorites(i64),
    /// The flyers of the creators whom this user follows.
    Following(i64),
    /// The flyers of one creator.
    Creator {
        /// Who published them.
        creator: i64,
        /// Who looks at them.
        viewer: Option<i64>,
    },
}

impl Feed {
    /// The user whose flags the cards carry.
    #[must_use]
    pub fn viewer(self) -> Option<i64> {
        match self {
            Self::All(viewer) | Self::Creator { viewer, .. } => viewer,
            Self::Favorites(viewer) | Self::Following(viewer) => Some(viewer),
        }
    }

    /// Whether a creator looks at their own flyers, valid or not.
    pub(super) fn is_own(self) -> bool {
        matches!(self, Self::Creator { creator, viewer } if viewer == Some(creator))
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By the flyer's `created_at`, newest first. With a location, the nearest first within a second.
    #[default]
    Newest,
    /// By the time of the favorite, newest first. Only the favorites feed has it; for other feeds it is `Newest`.
    Favorited,
}

/// A list of flyers. A page is a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The feed and its viewer.
    pub feed: Feed,
    /// The order.
    pub order: Order,
    /// Where the viewer is. Cards then have a distance, and distance breaks ties within a second.
    pub location: Option<Location>,
    /// Only flyers with any of these categories.
    pub categories: Option<Categories>,
    /// Only flyers within this distance of the location, in millimetres. Without a location it has no effect.
    pub radius_mm: Option<i64>,
    /// Only flyers with this text in title, description, address or their creator's name. The text is
    /// [folded](crate::text::fold).
    pub search: Option<String>,
}

impl From<Feed> for Listing {
    fn from(feed: Feed) -> Self {
        Self { feed, order: Order::Newest, location: None, categories: None, radius_mm: None, search: None }
    }
}

impl Listing {
    /// What cursors of this list are bound to: a cursor of one scope is refused in any other.
    #[must_use]
    pub fn cursor_scope(&self) -> String {
        self.scope(self.location)
    }

    /// What the pages of a walk by page number have in common: as [`cursor_scope`](Self::cursor_scope), but without the
    /// location where it only sorts. A phone moves while its owner scrolls.
    #[must_use]
    pub fn walk_scope(&self) -> String {
        self.scope(self.location.filter(|_| self.radius_mm.is_some()))
    }

    fn scope(&self, location: Option<Location>) -> String {
        let viewer = self.feed.viewer().unwrap_or_default();
        let name = match self.feed {
            Feed::All(_) => "all/newest".to_owned(),
            Feed::Favorites(_) if self.is_by_favorite() => "favorites/favorited".to_owned(),
            Feed::Favorites(_) => "favorites/newest".to_owned(),
            Feed::Following(_) => "following/newest".to_owned(),
            Feed::Creator { creator, .. } => format!("creator {creator}/newest"),
        };
        // Places are compared by the bits of their floats: two different places may print alike.
        let bits = |l: Location| (l.latitude.to_bits(), l.longitude.to_bits());
        let categories = self.categories.map(i16::from);
        let Self { radius_mm, search, .. } = self;
        let place = location.map(bits);
        format!("{name}/{viewer}/{place:x?}/{categories:?}/{radius_mm:?}/{search:?}")
    }

    /// Whether the list is ordered by the time of the favorite.
    pub(super) fn is_by_favorite(&self) -> bool {
        matches!((self.feed, self.order), (Feed::Favorites(_), Order::Favorited))
    }

    /// The circle that flyers must lie in, if the list asks for one.
    pub(super) fn circle(&self) -> Option<Circle> {
        let (center, radius_mm) = self.location.zip(self.radius_mm)?;
        Some(Circle { center, radius_mm })
    }

    /// Whether flyers of one second have another order here than on the page that ended there.
    pub(super) fn is_sorted_anew_after(&self, end: &PageEnd) -> bool {
        self.location != end.location && !self.is_by_favorite()
    }

    /// Whether distance breaks ties within a second.
    ///
    /// Favorites have times in microseconds, so that order has no ties to break.
    pub(super) fn is_sorted_by_distance(&self) -> bool {
        self.location.is_some() && !self.is_by_favorite()
    }
}

/// A request for one page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedRequest {
    /// The list.
    pub listing: Listing,
    /// The page.
    pub page: PageRequest,
    /// The moment at which validity is judged.
    pub now: NaiveDateTime,
}
