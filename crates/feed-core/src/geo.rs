//! Places on the globe and the distance between them.

/// Mean radius of the Earth in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0;

/// A place, in WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

impl Location {
    /// Great-circle distance to `other` in whole millimetres, by the haversine formula.
    ///
    /// Whole millimetres, so that both engines order alike: the SQL computes the same.
    #[must_use]
    pub fn distance_mm(self, other: Self) -> i64 {
        let half_lat = (other.latitude - self.latitude).to_radians() / 2.0;
        let half_lng = (other.longitude - self.longitude).to_radians() / 2.0;
        let a = half_lat.sin() * half_lat.sin()
            + self.latitude.to_radians().cos()
                * other.latitude.to_radians().cos()
                * half_lng.sin()
                * half_lng.sin();
        // Rounding can carry `a` past 1, where asin has no value.
        let km = 2.0 * EARTH_RADIUS_KM * a.min(1.0).sqrt().asin();
        #[expect(clippy::cast_possible_truncation, reason = "at most half the Earth's girth, 2e10 mm")]
        let mm = (km * 1_000_000.0 + 0.5).floor() as i64;
        mm
    }
}

diesel::define_sql_function! {
    /// [`Location::distance_mm`], registered on every SQLite connection, which has no trigonometry of its own.
    fn distance_mm(
        from_latitude: diesel::sql_types::Double,
        from_longitude: diesel::sql_types::Double,
        latitude: diesel::sql_types::Double,
        longitude: diesel::sql_types::Double,
    ) -> diesel::sql_types::BigInt;
}

/// Makes `distance_mm` known to a SQLite connection.
///
/// # Errors
/// When SQLite refuses the registration.
pub(crate) fn register(connection: &mut diesel::SqliteConnection) -> diesel::QueryResult<()> {
    distance_mm_utils::register_impl(connection, |from_latitude, from_longitude, latitude, longitude| {
        let from = Location { latitude: from_latitude, longitude: from_longitude };
        from.distance_mm(Location { latitude, longitude })
    })
}

/// SQL for the distance from `:lat`, `:lng` to the flyer `f` in whole millimetres.
pub(crate) fn distance_expression(engine: crate::db::Engine) -> &'static str {
    match engine {
        crate::db::Engine::Sqlite => "distance_mm(:lat, :lng, f.latitude, f.longitude)",
        crate::db::Engine::Postgres => {
            "CAST(floor(2.0 * 6371.0 * asin(sqrt(least(1.0, \
             sin(radians(f.latitude - :lat) / 2.0) * sin(radians(f.latitude - :lat) / 2.0) \
             + cos(radians(:lat)) * cos(radians(f.latitude)) \
             * sin(radians(f.longitude - :lng) / 2.0) * sin(radians(f.longitude - :lng) / 2.0)))) \
             * 1000000.0 + 0.5) AS bigint)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

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
