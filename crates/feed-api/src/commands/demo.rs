//! The command `demo`: a running service with demo data.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use feed_core::clock::Clock;
use feed_core::{seed, users};

use super::{output, progress};
use crate::config::{
    AdminConfig, DatabaseConfig, LimitConfig, RateConfig, Secret, ServeConfig, StartError, TokenConfig,
    complete_texts,
};
use crate::server::{self, Server};
use crate::tokens::Tokens;

const FOLDER: &str = "target/demo";
const FIRST_PORT: u16 = 8000;
const PORTS: u16 = 100;
const PLAN: seed::Plan = seed::Plan { users: 1_500, flyers: 2_000, seed: 1, follows_max: 200 };

pub(super) fn run() -> Result<(), StartError> {
    std::fs::create_dir_all(FOLDER).map_err(StartError::io(format!("cannot make the folder {FOLDER}")))?;
    let file = Path::new(FOLDER).join("pockitflyer.db");
    let database_config =
        DatabaseConfig { database_url: format!("sqlite://{}", file.display()), database_connections: 8 };
    let database = database_config.open_current(true)?;
    complete_texts(&database)?;
    let clock = Clock::default();
    let outcome = progress::shown(|progress| seed::seed(&database, &PLAN, clock.now(), false, progress))?;
    output::print(format_args!("{outcome} ({})", file.display()))?;

    // A new secret each time: tokens of an earlier demo are not valid in this one.
    let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let token_ttl = 24 * 60 * 60;
    let power = database.read(|connection| users::by_email(connection, seed::POWER))?;
    let token = Tokens::new(secret.as_bytes(), token_ttl).issue(power, clock.now())?;
    let config = ServeConfig {
        bind: Ipv4Addr::LOCALHOST.to_string(),
        database: database_config,
        migrate: false,
        tokens: TokenConfig::new(Secret::new(secret), token_ttl),
        public_url: None,
        cors_origins: None,
        cors_headers: None,
        workers: None,
        limits: LimitConfig::default(),
        rates: RateConfig::off(),
        admin: AdminConfig::default(),
        sweep_interval: 60,
    };
    let server = Server::build(&config, listen()?, database, clock)?;
    let address = server.address()?;
    output::print(format_args!(
        "\nThe demo serves at http://{address} until Ctrl-C. Try, in another terminal:\n\n\
         curl -s 'http://{address}/api/feed/?lat=47.3769&lng=8.5417&radius_km=10&page_size=2'\n\n\
         curl -s -H 'Authorization: Bearer {token}' 'http://{address}/api/favorites/feed/?page_size=2'\n\n\
         curl -s -H 'Authorization: Bearer {token}' 'http://{address}/api/following/feed/?page_size=2'\n\n\
         The second and third are signed in as {}. All demo accounts have the password {}.\n\
         Interactive docs: http://{address}/api/docs/",
        seed::POWER,
        seed::PASSWORD,
    ))?;
    actix_web::rt::System::new().block_on(server.run())
}

/// Listens on the first free port from 8000 on, or on any free port.
fn listen() -> Result<TcpListener, StartError> {
    let bind = |port: u16| server::bind(&format!("{}:{port}", Ipv4Addr::LOCALHOST));
    (FIRST_PORT..FIRST_PORT + PORTS).find_map(|port| bind(port).ok()).map_or_else(|| bind(0), Ok)
}
