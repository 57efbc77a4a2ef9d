//! The commands of the binary.

mod demo;
mod progress;

use std::io::IsTerminal;

use clap::{Args, Parser, Subcommand};
use feed_core::clock::Clock;
use feed_core::sweep::Swept;
use feed_core::{seed, sweep, users};

use crate::auth::Tokens;
use crate::config::{DatabaseConfig, ServeConfig, StartError, TokenConfig, complete_texts, run_migrations};
use crate::server::{self, Server};

/// PockitFlyer's feed service: favorites and following feeds over HTTP, on embedded SQLite or PostgreSQL.
///
/// Try it with `feed-api demo`. Every option is also an environment variable.
#[derive(Debug, Parser)]
#[command(name = "feed-api", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    ///
    /// An embedded database is created and migrated where needed. A server's must have the schema of this
    /// version: `feed-api migrate`, the diesel CLI or --migrate see to it.
    Serve(ServeConfig),
    /// Bring the database to the schema of this version.
    Migrate(DatabaseConfig),
    /// Fill a database with demo data.
    ///
    /// The same seed gives the same data; repeating it adds nothing. A database with other people's
    /// accounts is refused.
    Seed(SeedArgs),
    /// Mark the flyers that are over, so that feeds pass over them without looking.
    ///
    /// `serve` does so by itself; this is for databases that nothing serves at the moment.
    Sweep(DatabaseConfig),
    /// Print a token of the account with this e-mail, for scripts.
    Token(TokenArgs),
    /// Serve a database of its own with demo data, on this machine only.
    ///
    /// It lies under target/demo, whatever `DATABASE_URL` says.
    Demo,
}

#[derive(Debug, Args)]
struct SeedArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    /// Accounts to make.
    #[arg(long, env = "FEED_SEED_USERS", value_name = "N", default_value_t = 2_000)]
    users: u32,

    /// Flyers to make.
    #[arg(long, env = "FEED_SEED_FLYERS", value_name = "N", default_value_t = 10_000)]
    flyers: u32,

    /// The number that the data is made from.
    #[arg(long, env = "FEED_SEED", value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Follows of one account at most, but for the demo's own.
    #[arg(long, env = "FEED_SEED_FOLLOWS_MAX", value_name = "N", default_value_t = 200)]
    follows_max: u32,

    /// Add demo data beside the accounts of others.
    #[arg(long, env = "FEED_SEED_FORCE")]
    force: bool,
}

#[derive(Debug, Args)]
struct TokenArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    tokens: TokenConfig,

    /// The account's e-mail.
    #[arg(long, env = "FEED_TOKEN_EMAIL", value_name = "EMAIL")]
    email: String,
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be done, with one line that says why.
pub fn run(cli: Cli) -> Result<(), StartError> {
    log();
    match cli.command {
        Command::Serve(config) => serve(&config),
        Command::Migrate(config) => migrate(&config),
        Command::Seed(args) => seed(&args),
        Command::Sweep(config) => sweep(&config),
        Command::Token(args) => token(&args),
        Command::Demo => demo::run(),
    }
}

/// Logs to stderr; `FEED_LOG` chooses what (`debug`, `feed_core=debug`, …).
///
/// Without it, not what the HTTP parser says of malformed requests: anybody could fill the log.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FEED_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,actix_server=warn,actix_http=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn serve(config: &ServeConfig) -> Result<(), StartError> {
    // What can be wrong with the configuration is told before the database is touched.
    config.tokens.secret()?;
    config.public_url()?;
    config.cors_origins()?;
    let listener = server::bind(&config.bind)?;
    let database = config.database.open_current(config.migrate)?;
    complete_texts(&database)?;
    let server = Server::build(config, listener, database, Clock::default())?;
    tracing::info!("listening on http://{}", server.address()?);
    actix_web::rt::System::new().block_on(server.run())
}

fn migrate(config: &DatabaseConfig) -> Result<(), StartError> {
    let database = config.open()?;
    let done = run_migrations(&database)?;
    complete_texts(&database)?;
    match done {
        0 => println!("the schema is current"),
        n => println!("ran {n} migration(s): the schema is current"),
    }
    Ok(())
}

fn seed(args: &SeedArgs) -> Result<(), StartError> {
    let database = args.database.open_current(false)?;
    let plan =
        seed::Plan { users: args.users, flyers: args.flyers, seed: args.seed, follows_max: args.follows_max };
    let outcome = progress::shown(|progress| {
        seed::seed(&database, &plan, Clock::default().now(), args.force, progress)
    })?;
    println!("{outcome}");
    Ok(())
}

fn sweep(config: &DatabaseConfig) -> Result<(), StartError> {
    let Swept { marked, cleared } = sweep::sweep(&config.open_current(false)?)?;
    println!("marked {marked} flyers as over, took the mark off {cleared}");
    Ok(())
}

fn token(args: &TokenArgs) -> Result<(), StartError> {
    let tokens = Tokens::new(args.tokens.secret()?, args.tokens.token_ttl);
    let database = args.database.open_current(false)?;
    let user = database.read(|connection| users::id_by_email(connection, &args.email))?;
    println!("{}", tokens.issue(user, Clock::default().now())?);
    Ok(())
}
