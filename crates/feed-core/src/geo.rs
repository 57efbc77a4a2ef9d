//! Locations, distances, and the grid cells that cover a circle.
//!
//! There are three grids, with cells of 1/64 degree a side (1.7 km from south to north), 1/16 (7 km) and 1/4 (28 km).
//! Every flyer lies in one cell of each. An index for each grid has the flyers of a cell, the newest first. A circle is
//! covered by cells of the finest grid of which it needs few. Its flyers are then in the lists of these cells. Flyers
//! elsewhere cost nothing, except those outside the circle in cells that its edge crosses.

use crate::engine::Engine;

/// Mean radius of the Earth in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0;

/// A location in WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// The latitude, from -90 to 90.
    pub latitude: f64,
    /// The longitude, from -180 to 180.
    pub longitude: f64,
}

impl Location {
    /// The great-circle distance to `other` in whole millimetres, by the haversine formula.
    ///
    /// The SQL for PostgreSQL computes the same. Rounding to whole millimetres makes both engines sort alike.
    #[must_use]
    pub fn distance_mm(self, other: Self) -> i64 {
        // Adding 360 degrees rounds tiny numbers: an angle, or a difference of two, is then zero or at least some
        // nanometres. PostgreSQL reports an underflow for the radians or the square of smaller numbers.
        let half = |from: f64, to: f64| ((to + 360.0) - (from + 360.0)).to_radians() / 2.0;
        let cosine = |latitude: f64| ((latitude + 360.0) - 360.0).to_radians().cos();
        let half_lat = half(self.latitude, other.latitude);
        let half_lng = half(self.longitude, other.longitude);
        let a = half_lat.sin() * half_lat.sin()
            + cosine(self.latitude) * cosine(other.latitude) * half_lng.sin() * half_lng.sin();
        // Rounding can make `a` exceed 1, where asin is undefined.
        let km = 2.0 * EARTH_RADIUS_KM * a.min(1.0).sqrt().asin();
        #[expect(clippy::cast_possible_truncation, reason = "at most half the Earth's girth, 2e10 mm")]
        let mm = (km * 1_000_000.0 + 0.5).floor() as i64;
        mm
    }
}

/// A grid of cells over the globe, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grid {
    /// Cells of 1/64 degree a side.
    Small,
    /// Cells of 1/16 degree a side.
    Medium,
    /// Cells of 1/4 degree a side.
    Large,
}

/// A cell's number is its row times this, plus its column. It exceeds the number of columns.
const ROW: i64 = 32_768;

/// If a circle needs more cells than this, a coarser grid is used, if there is one.
const MOST_CELLS: usize = 1_000;

impl Grid {
    /// The number of cells per degree. It is a power of two, so that multiplying by it does not round.
    fn per_degree(self) -> f64 {
        match self {
            Self::Small => 64.0,
            Self::Medium => 16.0,
            Self::Large => 4.0,
        }
    }

    /// The row at a number of degrees from the south pole, or the column at a number of degrees from the antimeridian.
    fn step(self, degrees: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 360 times 64")]
        let step = (degrees * self.per_degree()).floor() as i64;
        step
    }

    /// The name of the grid's index.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Small => "flyers_small_cell_feed",
            Self::Medium => "flyers_medium_cell_feed",
            Self::Large => "flyers_large_cell_feed",
        }
    }

    /// SQL for the cell of a flyer by its alias: the same expression as in the index.
    pub(crate) fn cell(self, engine: Engine, flyer: &str) -> String {
        match (engine, self) {
            (Engine::Sqlite, Self::Small) => format!("{flyer}.small_cell"),
            (Engine::Sqlite, Self::Medium) => format!("{flyer}.medium_cell"),
            (Engine::Sqlite, Self::Large) => format!("{flyer}.large_cell"),
            (Engine::Postgres, _) => {
                let n = self.per_degree();
                format!(
                    "(CAST(floor(({flyer}.latitude + 90) * {n}) AS bigint) * {ROW} \
                     + CAST(floor(({flyer}.longitude + 180) * {n}) AS bigint))"
                )
            }
        }
    }
}

/// The cells of one grid that a circle touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) grid: Grid,
    pub(crate) cells: Vec<i64>,
}

/// A circle on the globe: all locations within a distance of its center.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Circle {
    pub(crate) center: Location,
    pub(crate) radius_mm: i64,
}

impl Circle {
    /// The radius as an angle in radians, plus a metre to allow for the rounding of distances and of computations here.
    fn angle(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let km = self.radius_mm as f64 / 1_000_000.0;
        (km + 0.001) / EARTH_RADIUS_KM
    }

    /// The southern and northern latitude that bound the circle.
    pub(crate) fn latitudes(self) -> (f64, f64) {
        let (middle, reach) = (self.center.latitude, self.angle().to_degrees());
        ((middle - reach).max(-90.0), (middle + reach).min(90.0))
    }

    /// How many degrees of longitude the circle extends to either side of its center, between two latitudes within it.
    ///
    /// The result is 180 or more where it goes all around the globe.
    fn half_width(self, south: f64, north: f64) -> f64 {
        let (angle, middle) = (self.angle(), self.center.latitude.to_radians());
        let has_pole = angle + middle.abs() >= std::f64::consts::FRAC_PI_2;
        let latitude = match (has_pole, middle > 0.0) {
            // A circle that contains a pole widens towards it, and contains whole rows beyond it.
            (true, true) => north.to_radians(),
            (true, false) => south.to_radians(),
            // Any other circle is widest where it touches two meridians, and narrows from there to both sides.
            (false, _) => (middle.sin() / angle.cos()).asin().max(south.to_radians()).min(north.to_radians()),
        };
        let cosine = (angle.cos() - middle.sin() * latitude.sin()) / (middle.cos() * latitude.cos());
        // Rounding can exceed the range of cosines at the northern and southern end. On a pole it may be NaN.
        let half = if cosine.is_nan() { 180.0 } else { cosine.clamp(-1.0, 1.0).acos().to_degrees() };
        half + 1e-6
    }

    /// The cells that the circle touches, of the finest grid of which these are few.
    pub(crate) fn cover(self) -> Cover {
        let few = |grid| Some(Cover { grid, cells: self.cells(grid, MOST_CELLS)? });
        few(Grid::Small).or_else(|| few(Grid::Medium)).unwrap_or_else(|| Cover {
            grid: Grid::Large,
            cells: self.cells(Grid::Large, usize::MAX).unwrap_or_default(),
        })
    }

    /// The cells of a grid that the circle touches; none if there are more than `most`.
    fn cells(self, grid: Grid, most: usize) -> Option<Vec<i64>> {
        let (south, north) = self.latitudes();
        let mut cells = Vec::new();
        for row in grid.step(south + 90.0)..=grid.step(north + 90.0) {
            #[expect(clippy::cast_precision_loss, reason = "at most 180 times 64")]
            let edge = |row: i64| row as f64 / grid.per_degree() - 90.0;
            // Rounding of the sum that gives the row may put an end of the circle just outside the row: clamp it.
            let half = self.half_width(edge(row).max(south).min(north), edge(row + 1).min(north).max(south));
            let (west, east) = (self.center.longitude - half, self.center.longitude + half);
            // A range that crosses the antimeridian continues at the other end of the row. Longitude 180 is a column
            // of its own.
            let ranges = if half >= 180.0 {
                [Some((-180.0, 180.0)), None]
            } else if west <= -180.0 {
                [Some((-180.0, east)), Some((west + 360.0, 180.0))]
            } else if east >= 180.0 {
                [Some((west, 180.0)), Some((-180.0, east - 360.0))]
            } else {
                [Some((west, east)), None]
            };
            for (west, east) in ranges.into_iter().flatten() {
                let columns = grid.step(west + 180.0)..=grid.step(east + 180.0);
                cells.extend(columns.map(|column| row * ROW + column));
                if cells.len() > most {
                    return None;
                }
            }
        }
        Some(cells)
    }
}

diesel::define_sql_function! {
    /// [`Location::distance_mm`] as a SQL function. SQLite has no trigonometry, so each connection registers it.
    fn distance_mm(
        from_latitude: diesel::sql_types::Double,
        from_longitude: diesel::sql_types::Double,
        latitude: diesel::sql_types::Double,
        longitude: diesel::sql_types::Double,
    ) -> diesel::sql_types::BigInt;
}

/// Registers the function `distance_mm` on a SQLite connection.
///
/// # Errors
/// When SQLite reports an error.
pub(crate) fn register(connection: &mut diesel::SqliteConnection) -> diesel::QueryResult<()> {
    distance_mm_utils::register_impl(connection, |from_latitude, from_longitude, latitude, longitude| {
        let from = Location { latitude: from_latitude, longitude: from_longitude };
        from.distance_mm(Location { latitude, longitude })
    })
}

/// SQL for the distance from `:lat`, `:lng` to the flyer `f` in whole millimetres.
pub(crate) fn distance_expression(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "distance_mm(:lat, :lng, f.latitude, f.longitude)",
        Engine::Postgres => {
            "CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, \
             sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) \
             * sin(radians((f.latitude + 360.0) - (:lat + 360.0)) / 2.0) \
             + cos(radians((:lat + 360.0) - 360.0)) * cos(radians((f.latitude + 360.0) - 360.0)) \
             * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0) \
             * sin(radians((f.longitude + 360.0) - (:lng + 360.0)) / 2.0)))) \
             * 1000000.0 + 0.5) AS bigint)"
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Circle, EARTH_RADIUS_KM, Grid, Location, ROW};

    /// The cell of a location, as the migrations compute it.
    fn cell(grid: Grid, place: Location) -> i64 {
        grid.step(place.latitude + 90.0) * ROW + grid.step(place.longitude + 180.0)
    }

    /// The location at a distance from another, in a direction.
    fn at(from: Location, km: f64, bearing: f64) -> Location {
        let (angle, bearing) = (km / EARTH_RADIUS_KM, bearing.to_radians());
        let (lat, lng) = (from.latitude.to_radians(), from.longitude.to_radians());
        let sine = lat.sin() * angle.cos() + lat.cos() * angle.sin() * bearing.cos();
        let east = (bearing.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * sine);
        let longitude = (lng + east).to_degrees();
        let longitude = if longitude > 180.0 {
            longitude - 360.0
        } else if longitude < -180.0 {
            longitude + 360.0
        } else {
            longitude
        };
        Location { latitude: sine.clamp(-1.0, 1.0).asin().to_degrees(), longitude }
    }

    /// The number moved by `steps` to neighbouring floating-point numbers.
    fn nudged(number: f64, steps: i8) -> f64 {
        let step = |number: f64| if steps > 0 { number.next_up() } else { number.next_down() };
        (0..steps.unsigned_abs()).fold(number, |number, _| step(number))
    }

    fn center() -> impl Strategy<Value = Location> {
        let edge = |most: f64| prop_oneof![-most..most, Just(most), Just(-most), Just(0.0), -1.0..1.0];
        let near_a_pole = prop_oneof![89.0..90.0, -90.0..-89.0_f64];
        let near_the_antimeridian = prop_oneof![179.0..180.0, -180.0..-179.0_f64];
        let latitude = prop_oneof![3 => edge(90.0), 1 => near_a_pole];
        let longitude = prop_oneof![3 => edge(180.0), 1 => near_the_antimeridian];
        (latitude, longitude).prop_map(|(latitude, longitude)| Location { latitude, longitude })
    }

    proptest! {
        #[test]
        fn a_circle_lies_in_its_cells(
            center in center(),
            radius_mm in prop_oneof![Just(100_000), Just(500_000_000), 100_000..500_000_000i64],
            share in prop_oneof![Just(1.0), 0.0..1.0],
            bearing in 0.0..360.0,
            // Puts an end of the circle on the edge of a row, as exactly as floating-point numbers allow.
            edge in proptest::option::of((-5_000..5_000_i32, prop_oneof![Just(1.0), Just(-1.0)], -4..=4_i8)),
        ) {
            let mut center = center;
            if let Some((row, side, steps)) = edge {
                let reach = Circle { center, radius_mm }.angle().to_degrees();
                center.latitude = nudged(f64::from(row) / 64.0 + side * reach, steps);
            }
            let circle = Circle { center, radius_mm };
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let place = at(center, radius_mm as f64 / 1e6 * share, bearing);
            prop_assume!(center.distance_mm(place) <= radius_mm);
            let cover = circle.cover();
            prop_assert!(cover.cells.contains(&cell(cover.grid, place)), "{place:?} is in none of {cover:?}");
            let (south, north) = circle.latitudes();
            prop_assert!((south..=north).contains(&place.latitude));
            let mut cells = cover.cells.clone();
            cells.sort_unstable();
            cells.dedup();
            prop_assert_eq!(cells.len(), cover.cells.len(), "a cell is there twice");
        }
    }

    #[test]
    fn ends_on_the_edge_of_a_row() {
        for row in -640..640 {
            for (side, steps) in [(1.0, -2), (1.0, -1), (1.0, 0), (1.0, 1), (-1.0, -1), (-1.0, 0), (-1.0, 1)]
            {
                let circle =
                    |latitude| Circle { center: Location { latitude, longitude: 0.0 }, radius_mm: 1_000_000 };
                let latitude = nudged(f64::from(row) / 64.0 + side * circle(0.0).angle().to_degrees(), steps);
                assert!(!circle(latitude).cover().cells.is_empty());
            }
        }
        // Its end lies below the equator by less than the precision of the sum that gives its row.
        let just_below = Location { latitude: -0.009_002_209_275_246_493, longitude: 0.0 };
        assert!(!Circle { center: just_below, radius_mm: 1_000_000 }.cover().cells.is_empty());
    }

    #[test]
    fn a_cover_is_small() {
        let zurich = Location { latitude: 47.3769, longitude: 8.5417 };
        let cells = |radius_mm| {
            let cover = Circle { center: zurich, radius_mm }.cover();
            (cover.grid, cover.cells.len())
        };
        assert!(matches!(cells(100_000), (Grid::Small, 1..=4)), "{:?}", cells(100_000));
        assert!(matches!(cells(20_000_000), (Grid::Small, 500..=900)), "{:?}", cells(20_000_000));
        assert!(matches!(cells(50_000_000), (Grid::Medium, 200..=350)), "{:?}", cells(50_000_000));
        assert!(matches!(cells(500_000_000), (Grid::Large, 1_000..=2_000)), "{:?}", cells(500_000_000));
        let by_the_pole = Location { latitude: 85.6, longitude: 8.5417 };
        let cover = Circle { center: by_the_pole, radius_mm: 500_000_000 }.cover();
        assert!(cover.cells.len() < 20_000, "{}", cover.cells.len());
    }

    fn km(from: (f64, f64), to: (f64, f64)) -> f64 {
        let at = |(latitude, longitude)| Location { latitude, longitude };
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let mm = at(from).distance_mm(at(to)) as f64;
        mm / 1_000_000.0
    }

    #[test]
    fn known_distances() {
        // A degree of longitude at the equator is R * pi / 180.
        assert!((km((0.0, 0.0), (0.0, 1.0)) - 111.194_927).abs() < 1e-5);
        // Zürich to Bern.
        assert!((km((47.3769, 8.5417), (46.9480, 7.4474)) - 95.5).abs() < 1.0);
    }

    #[test]
    fn poles_antimeridian_and_antipodes() {
        assert!(km((90.0, 0.0), (90.0, 123.0)) < 0.001);
        assert!((km((0.0, 179.5), (0.0, -179.5)) - 111.194_927).abs() < 1e-5);
        assert!((km((0.0, 0.0), (0.0, 180.0)) - 20_015.086_796).abs() < 1e-3);
        assert!(km((47.0, 8.0), (47.0, 8.0)).abs() < f64::EPSILON);
    }
}
