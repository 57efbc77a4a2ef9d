//! Made-up titles and descriptions, with frequent and rare words.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dice::{pick, pick_skewed, skewed_index};
use super::phrases::{ENDINGS, ENGLISH, FRENCH, GERMAN, ITALIAN, MIDDLES, Phrases, RARE, STARTS};
use super::places::{Language, Town};

/// The bounds of a description's length in characters. Its last sentence may exceed the upper one.
const SHORTEST: usize = 100;
const LONGEST: usize = 1_800;

/// The texts of a flyer, and its categories.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) description: String,
    /// The categories as bits.
    pub(super) categories: i16,
}

/// Composes the texts of a flyer for `town`, mostly in the town's language.
pub(super) fn compose(rng: &mut ChaCha8Rng, town: &Town) -> Text {
    let phrases = match town.language {
        _ if rng.random_ratio(1, 8) => &ENGLISH,
        Language::German => &GERMAN,
        Language::French => &FRENCH,
        Language::Italian => &ITALIAN,
    };
    let category = rng.random_range(0..phrases.subjects.len());
    let subject = pick_skewed(rng, phrases.subjects[category]);
    let name = name(rng);
    let title = title(rng, phrases, subject, &name, town);
    let description = description(rng, phrases, subject, &name, town);
    Text { title, description, categories: categories(rng, category) }
}

fn title(rng: &mut ChaCha8Rng, phrases: &Phrases, subject: &str, name: &str, town: &Town) -> String {
    let Phrases { at, offers, adjectives, .. } = phrases;
    let place = town.name;
    match rng.random_range(0..10) {
        0..3 => format!("{subject} {name}"),
        3..5 => format!("{subject} {at} {place}"),
        5 => format!("{subject}: {}", pick_skewed(rng, offers)),
        6 => format!("{name} – {subject}, {}", pick_skewed(rng, adjectives)),
        7 => format!("{name}'s {subject}"),
        8 => format!("«{name}» {at} {place}: {}", pick_skewed(rng, offers)),
        _ => format!("{subject} {name} & {}", self::name(rng)),
    }
}

/// A description of 100 to 1,900 characters, as people write them: many short ones and few long ones. Some have none.
fn description(rng: &mut ChaCha8Rng, phrases: &Phrases, subject: &str, name: &str, town: &Town) -> String {
    let Phrases { at, openings, details, offers, closings, .. } = phrases;
    if rng.random_ratio(3, 100) {
        return String::new();
    }
    let length = SHORTEST + skewed_index(rng, LONGEST - SHORTEST);
    let mut text = format!("{} {subject} {at} {}.", pick(rng, openings), town.name);
    if rng.random_ratio(1, 200) {
        text.push(' ');
        text.push_str(pick_skewed(rng, &RARE));
        text.push('!');
    }
    let closing = format!(" {} {name}.", pick(rng, closings));
    let mut characters = text.chars().count() + closing.chars().count();
    while characters < length {
        let sentence = match rng.random_range(0..4) {
            0 => format!(" {}: {}.", self::name(rng), pick_skewed(rng, offers)),
            _ => format!(" {}", pick_skewed(rng, details)),
        };
        characters += sentence.chars().count();
        text.push_str(&sentence);
    }
    text + &closing
}

/// A random name out of some 40,000, so that few flyers share one.
fn name(rng: &mut ChaCha8Rng) -> String {
    [pick_skewed(rng, &STARTS), pick_skewed(rng, &MIDDLES), pick_skewed(rng, &ENDINGS)].concat()
}

/// The flyer's own category, and sometimes one more or all.
fn categories(rng: &mut ChaCha8Rng, own: usize) -> i16 {
    let own = 1_i16 << own;
    match rng.random_range(0..100) {
        0..70 => own,
        70..95 => own | 1 << rng.random_range(0..3),
        _ => 0b111,
    }
}

#[cfg(test)]
mod tests {
    use super::super::dice::{Subject, stream};
    use super::super::places;
    use super::compose;

    #[test]
    fn texts_keep_within_their_lengths() {
        let mut rng = stream(7, Subject::Flyers);
        for _ in 0..20_000 {
            let town = places::town(&mut rng);
            let text = compose(&mut rng, town);
            assert!((1..=200).contains(&text.title.chars().count()), "{}", text.title);
            assert_eq!(text.title.trim(), text.title);
            let length = text.description.chars().count();
            assert!(length == 0 || (100..=1_900).contains(&length), "{}", text.description);
            assert!((1..=7).contains(&text.categories));
        }
    }
}
