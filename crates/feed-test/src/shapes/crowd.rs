//! The users, in crowds that each do the same.

/// Users of one kind, in a block of ids of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// Publish all the time, what is still valid.
    Active,
    /// Own half of the newest flyers of all, and some older ones.
    Recent,
    /// Have published nothing for a year; what they did is still valid.
    Quiet,
    /// Never published.
    Silent,
    /// A few with very many flyers.
    Prolific,
    /// Two of a thousand of their flyers are still valid.
    Expired,
    /// The twins of [`Crowd::Expired`]: the same flyers at the same times, all valid.
    Valid,
    /// Published all their flyers in one and the same second.
    Second,
    /// Half of their flyers have ended, and the sweeper has not been there.
    Unswept,
    /// All others, some of them far more active than most.
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

    /// The id of the first, the same at every size. Ids below 1,000 are the viewers'.
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

    /// How many they are.
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

    /// How many flyers each of them has, apart from the scheduled ones; of the background, nobody can say.
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

    /// How many flyers they have, apart from the scheduled ones.
    pub(super) fn flyers(self, size: u32) -> u32 {
        match self {
            Self::Background => {
                let others: u32 = Self::ALL.iter().map(|c| c.people(size) * c.each(size)).sum();
                size - others - scheduled(size)
            }
            _ => self.people(size) * self.each(size),
        }
    }

    /// A condition on `column`: it names one of them.
    pub(super) fn contains(self, column: &str, size: u32) -> String {
        let last = self.first() + i64::from(self.people(size)) - 1;
        format!("{column} BETWEEN {} AND {last}", self.first())
    }
}

/// How many flyers, the newest of all, are valid from an hour before now. Half are of [`Crowd::Recent`], half
/// of the background.
pub(super) fn scheduled(size: u32) -> u32 {
    by_size(size, 1_000, 10_000)
}

/// How many users of the background have a flyer for certain, from the first on.
pub(super) fn surely_published(size: u32) -> u32 {
    by_size(size, 500, 9_000)
}

/// The smallest data set has no room for the shapes at full size.
fn by_size(size: u32, smallest: u32, others: u32) -> u32 {
    if size < 100_000 { smallest } else { others }
}
