//! The users of a data set, in groups (crowds) whose members publish alike.

/// A group of users who publish alike. Their ids are consecutive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// They publish all the time. All their flyers are valid.
    Active,
    /// They have half of the newest flyers of all, and some older ones.
    Recent,
    /// They have published nothing for a year. Their older flyers are still valid.
    Quiet,
    /// They have never published.
    Silent,
    /// A few users with very many flyers each.
    Prolific,
    /// 0.2 % of their flyers are still valid.
    Expired,
    /// As [`Crowd::Expired`], with flyers of the same times, but all of them are valid.
    Valid,
    /// They published all their flyers in the same second.
    Second,
    /// Half of their flyers have expired, but the sweeper has not marked them yet.
    Unswept,
    /// All other users. Some are far more active than most.
    Background,
}

impl Crowd {
    pub(super) const ALL: [Self; 10] = [
        Self::Active,
        Self::Recent,
        Self::Quiet,
        Self::Silent,
        Self::Prolific,
        Self::Expired,
        Self::Valid,
        Self::Second,
        Self::Unswept,
        Self::Background,
    ];

    /// The id of the first member, the same at every size. Ids below 1,000 belong to the viewers.
    pub fn first(self) -> i64 {
        match self {
            Self::Active => 1_000,
            Self::Recent => 2_000,
            Self::Quiet => 3_000,
            Self::Silent => 4_000,
            Self::Prolific => 5_000,
            Self::Expired => 6_000,
            Self::Valid => 7_000,
            Self::Second => 8_000,
            Self::Unswept => 9_000,
            Self::Background => 10_000,
        }
    }

    /// The number of members.
    pub(super) fn people(self, size: u32) -> u32 {
        match self {
            Self::Active | Self::Quiet => by_size(size, 100, 1_000),
            Self::Silent => 1_000,
            Self::Recent | Self::Second => 100,
            Self::Prolific => by_size(size, 5, 10),
            Self::Expired | Self::Valid | Self::Unswept => by_size(size, 10, 100),
            Self::Background => by_size(size, 1_000, 20_000),
        }
    }

    /// How many flyers each member has, without the scheduled ones. 0 for the background, whose members differ.
    pub(super) fn each(self, size: u32) -> u32 {
        match self {
            Self::Active => 30,
            Self::Recent => by_size(size, 2, 10),
            Self::Quiet => 5,
            Self::Silent | Self::Background => 0,
            Self::Prolific => by_size(size, 200, 1_000),
            Self::Expired | Self::Valid => 100,
            Self::Second => by_size(size, 10, 100),
            Self::Unswept => 20,
        }
    }

    /// How many flyers the members have together, without the scheduled ones.
    pub(super) fn flyers(self, size: u32) -> u32 {
        match self {
            Self::Background => {
                let others: u32 = Self::ALL.iter().map(|c| c.people(size) * c.each(size)).sum();
                size - others - scheduled(size)
            }
            _ => self.people(size) * self.each(size),
        }
    }

    /// An SQL condition: the user id in `column` is a member's.
    pub(super) fn contains(self, column: &str, size: u32) -> String {
        let last = self.first() + i64::from(self.people(size)) - 1;
        format!("{column} BETWEEN {} AND {last}", self.first())
    }
}

/// The number of scheduled flyers. They are the newest of all and become valid an hour before now. Half belong to
/// [`Crowd::Recent`], half to the background.
pub(super) fn scheduled(size: u32) -> u32 {
    by_size(size, 1_000, 10_000)
}

/// The first so many users of the background have at least one flyer. The others may have none.
pub(super) fn surely_published(size: u32) -> u32 {
    by_size(size, 500, 9_000)
}

/// The smallest data set has no room for the full numbers, so it gets smaller ones.
fn by_size(size: u32, smallest: u32, others: u32) -> u32 {
    if size < 100_000 { smallest } else { others }
}
