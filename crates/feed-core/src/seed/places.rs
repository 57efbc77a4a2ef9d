//! Real towns, and made-up addresses around their centers.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dice::{bell, pick, pick_skewed, skewed_index};
use crate::geo::Location;

/// The language of a town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    German,
    French,
    Italian,
}

/// The spelling of street names in a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streets {
    /// German as in Switzerland, which has no ß.
    Swiss,
    German,
    French,
    Italian,
}

/// A town where flyers are published.
#[derive(Debug)]
pub(super) struct Town {
    pub(super) name: &'static str,
    pub(super) language: Language,
    streets: Streets,
    postcode: &'static str,
    latitude: f64,
    longitude: f64,
    /// The standard deviation of the locations around the town's center.
    spread_km: f64,
}

/// A random town. Towns early in the list are drawn more often.
pub(super) fn town(rng: &mut ChaCha8Rng) -> &'static Town {
    &TOWNS[skewed_index(rng, TOWNS.len())]
}

/// A random location in or around `town`, with six decimals: about 10 cm.
pub(super) fn near(rng: &mut ChaCha8Rng, town: &Town) -> Location {
    const KM_PER_DEGREE: f64 = 111.195;
    let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
    let north = bell(rng) * town.spread_km / KM_PER_DEGREE;
    let east = bell(rng) * town.spread_km / (KM_PER_DEGREE * town.latitude.to_radians().cos());
    Location { latitude: round(town.latitude + north), longitude: round(town.longitude + east) }
}

/// A random address in the format of the town's country.
pub(super) fn address(rng: &mut ChaCha8Rng, town: &Town) -> String {
    let Town { name, postcode, .. } = town;
    let last = rng.random_range(2..=180);
    let number = rng.random_range(1..=last);
    match town.streets {
        Streets::Swiss => format!("{}strasse {number}, {postcode} {name}", pick_skewed(rng, &GERMAN_STREETS)),
        Streets::German => format!("{}straße {number}, {postcode} {name}", pick_skewed(rng, &GERMAN_STREETS)),
        Streets::French => {
            let kind = pick(rng, &["rue", "avenue", "chemin", "impasse"]);
            format!("{number} {kind} {}, {postcode} {name}", pick_skewed(rng, &FRENCH_STREETS))
        }
        Streets::Italian => {
            let kind = pick(rng, &["Via", "Viale", "Vicolo", "Corso"]);
            format!("{kind} {} {number}, {postcode} {name}", pick_skewed(rng, &ITALIAN_STREETS))
        }
    }
}

#[rustfmt::skip]
static GERMAN_STREETS: [&str; 36] = [
    "Bahnhof", "Haupt", "Dorf", "Kirch", "Schul", "Garten", "Berg", "Wiesen", "Industrie", "Post", "Mühle",
    "Linden", "Seefeld", "Ring", "Rosen", "Lang", "Birken", "Brunnen", "Bäcker", "Färber", "Schützen",
    "Höhen", "Schlösschen", "Neumarkt", "Kräuter", "Zeughaus", "Lagerhaus", "Geroldswil", "Weissenstein",
    "Römer", "Münster", "Holbein", "Paracelsus", "Pestalozzi", "Dürrenmatt", "Hölderlin",
];

#[rustfmt::skip]
static FRENCH_STREETS: [&str; 24] = [
    "de la Gare", "de l'Église", "du Lac", "des Alpes", "du Marché", "de l'Hôpital", "du Château",
    "de la Fontaine", "des Écoles", "de l'Abbé-Grégoire", "du Général-Dufour", "des Tilleuls", "de la Forêt",
    "du Moulin", "de l'Évêché", "Saint-François", "de Bourg", "des Pâquis", "du Rhône", "d'Aubépine",
    "de la Crémaillère", "de l'Île", "du Faubourg-d'en-Haut", "des Œillets",
];

#[rustfmt::skip]
static ITALIAN_STREETS: [&str; 22] = [
    "Roma", "Garibaldi", "Nassa", "Dante", "Cavour", "della Stazione", "San Giovanni", "Mazzini", "dell'Orto",
    "del Lago", "delle Rose", "Sant'Anna", "della Libertà", "Verdi", "dell'Università", "Pascoli", "Leopardi",
    "degli Orefici", "dell'Acquedotto", "Cantù", "Santa Maria", "XX Settembre",
];

use Language::{French, German, Italian};

#[rustfmt::skip]
static TOWNS: [Town; 48] = [
    at("Zürich", German, Streets::Swiss, "8001", 47.3769, 8.5417, 4.0),
    at("Genève", French, Streets::French, "1204", 46.2044, 6.1432, 3.0),
    at("Basel", German, Streets::Swiss, "4001", 47.5596, 7.5886, 2.5),
    at("Bern", German, Streets::Swiss, "3011", 46.9480, 7.4474, 2.5),
    at("Lausanne", French, Streets::French, "1003", 46.5197, 6.6323, 2.5),
    at("Winterthur", German, Streets::Swiss, "8400", 47.4999, 8.7241, 2.0),
    at("München", German, Streets::German, "80331", 48.1374, 11.5755, 6.0),
    at("Luzern", German, Streets::Swiss, "6003", 47.0502, 8.3093, 2.0),
    at("St. Gallen", German, Streets::Swiss, "9000", 47.4245, 9.3767, 2.0),
    at("Lugano", Italian, Streets::Italian, "6900", 46.0037, 8.9511, 2.0),
    at("Wien", German, Streets::German, "1010", 48.2082, 16.3738, 6.0),
    at("Paris", French, Streets::French, "75001", 48.8566, 2.3522, 5.0),
    at("Milano", Italian, Streets::Italian, "20121", 45.4642, 9.1900, 5.0),
    at("Berlin", German, Streets::German, "10115", 52.5200, 13.4050, 8.0),
    at("Biel/Bienne", German, Streets::Swiss, "2502", 47.1368, 7.2468, 1.5),
    at("Freiburg im Breisgau", German, Streets::German, "79098", 47.9990, 7.8421, 2.5),
    at("Konstanz", German, Streets::German, "78462", 47.6603, 9.1758, 1.5),
    at("Strasbourg", French, Streets::French, "67000", 48.5734, 7.7521, 3.0),
    at("Fribourg", French, Streets::French, "1700", 46.8065, 7.1620, 1.5),
    at("Neuchâtel", French, Streets::French, "2000", 46.9900, 6.9293, 1.5),
    at("Thun", German, Streets::Swiss, "3600", 46.7580, 7.6280, 1.5),
    at("Chur", German, Streets::Swiss, "7000", 46.8508, 9.5329, 1.5),
    at("Schaffhausen", German, Streets::Swiss, "8200", 47.6973, 8.6349, 1.5),
    at("Köln", German, Streets::German, "50667", 50.9375, 6.9603, 5.0),
    at("Hamburg", German, Streets::German, "20095", 53.5511, 9.9937, 7.0),
    at("Lyon", French, Streets::French, "69001", 45.7640, 4.8357, 4.0),
    at("Torino", Italian, Streets::Italian, "10121", 45.0703, 7.6869, 4.0),
    at("Salzburg", German, Streets::German, "5020", 47.8095, 13.0550, 2.5),
    at("Innsbruck", German, Streets::German, "6020", 47.2692, 11.4041, 2.0),
    at("Bregenz", German, Streets::German, "6900", 47.5031, 9.7471, 1.5),
    at("Bellinzona", Italian, Streets::Italian, "6500", 46.1954, 9.0298, 1.5),
    at("Sion", French, Streets::French, "1950", 46.2331, 7.3606, 1.5),
    at("Delémont", French, Streets::French, "2800", 47.3646, 7.3445, 1.0),
    at("Stuttgart", German, Streets::German, "70173", 48.7758, 9.1829, 5.0),
    at("Mulhouse", French, Streets::French, "68100", 47.7508, 7.3359, 2.5),
    at("Annecy", French, Streets::French, "74000", 45.8992, 6.1294, 2.0),
    at("Como", Italian, Streets::Italian, "22100", 45.8081, 9.0852, 1.5),
    at("Graz", German, Streets::German, "8010", 47.0707, 15.4395, 3.0),
    at("Nürnberg", German, Streets::German, "90402", 49.4521, 11.0767, 4.0),
    at("Tübingen", German, Streets::German, "72070", 48.5216, 9.0576, 1.5),
    at("Besançon", French, Streets::French, "25000", 47.2378, 6.0241, 2.0),
    at("Grenoble", French, Streets::French, "38000", 45.1885, 5.7245, 2.5),
    at("Bolzano", Italian, Streets::Italian, "39100", 46.4983, 11.3548, 1.5),
    at("Bergamo", Italian, Streets::Italian, "24121", 45.6983, 9.6773, 2.0),
    at("Verona", Italian, Streets::Italian, "37121", 45.4384, 10.9916, 2.5),
    at("Roma", Italian, Streets::Italian, "00184", 41.9028, 12.4964, 6.0),
    at("Appenzell", German, Streets::Swiss, "9050", 47.3310, 9.4096, 1.0),
    at("Zermatt", German, Streets::Swiss, "3920", 46.0207, 7.7491, 0.8),
];

const fn at(
    name: &'static str,
    language: Language,
    streets: Streets,
    postcode: &'static str,
    latitude: f64,
    longitude: f64,
    spread_km: f64,
) -> Town {
    Town { name, language, streets, postcode, latitude, longitude, spread_km }
}
