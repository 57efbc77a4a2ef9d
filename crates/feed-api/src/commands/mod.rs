//! The commands of the binary.

mod demo;
mod files;
mod output;
mod progress;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use feed_core::clock::Clock;
use feed_core::sweep::Swept;
use feed_core::{db, seed, sweep, users};
use tracing_subscriber::EnvFilter;

use crate::config::{
    self, DatabaseConfig, ServeConfig, StartError, TokenConfig, complete_texts, run_migrations,
};
use crate::logging::{self, LogFormat};
use crate::server::{self, Server};
use crate::tokens::Tokens;

/// PockitFlyer's feed service: favorites and following feeds over HTTP, on embedded SQLite or PostgreSQL.
///
/// Try it with `feed-api demo`. Every option is also an environment variable.
#[derive(Debug, Parser)]
#[command(name = "feed-api", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// What is logged to stderr: `info`, `debug`, `feed_core=debug`, …; by default `info`.
    // The default excludes the HTTP parser's messages about malformed requests: anybody could fill the log with them.
    #[arg(
        long,
        env = "FEED_LOG",
        value_name = "FILTER",
        global = true,
        hide_default_value = true,
        default_value = "info,actix_server=warn,actix_http=off",
        value_parser = filter
    )]
    log: String,

    /// Format of log lines: text for people, or JSON for programs.
    #[arg(
        long,
        env = "FEED_LOG_FORMAT",
        value_name = "FORMAT",
        global = true,
        value_enum,
        default_value_t = LogFormat::Human
    )]
    log_format: LogFormat,
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    ///
    /// An SQLite database is created and migrated where needed. A server's database must have the schema of this
    /// version: use `feed-api migrate`, the diesel CLI or --migrate.
    Serve(Box<ServeConfig>),
    /// Print the configuration of `serve`: a line for each variable, with its value and where it comes from.
    ///
    /// Secrets and passwords are left out.
    Config(Box<ServeConfig>),
    /// Migrate the database to the schema of this version.
    Migrate(DatabaseConfig),
    /// Fill a database with demo data.
    ///
    /// The same seed gives the same data. A second run adds nothing. A database with other people's accounts is
    /// refused.
    Seed(SeedArgs),
    /// Mark expired flyers, so that feeds skip them at no cost.
    ///
    /// `serve` does it at an interval; this command is for databases that are not being served.
    Sweep(DatabaseConfig),
    /// Copy an SQLite database into a new file, while it is being served.
    ///
    /// The copy is a complete database with every write that was acknowledged before. No request waits for it.
    Backup(BackupArgs),
    /// Print a token for the account with this e-mail, for scripts.
    Token(TokenArgs),
    /// Help the owner of an account: sign out everywhere, set a new password, or lift the limit of failed sign-ins.
    ///
    /// It works while the service runs, with any number of processes.
    Account(AccountArgs),
    /// Serve a database with demo data, reachable from this machine only.
    ///
    /// The database is under target/demo, whatever `DATABASE_URL` says.
    Demo,
}

#[derive(Debug, Args)]
struct SeedArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    /// Accounts to create.
    #[arg(long, env = "FEED_SEED_USERS", value_name = "N", default_value_t = 2_000)]
    users: u32,

    /// Flyers to create.
    #[arg(long, env = "FEED_SEED_FLYERS", value_name = "N", default_value_t = 10_000)]
    flyers: u32,

    /// Seed of the random numbers. The same seed gives the same data.
    #[arg(long, env = "FEED_SEED", value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Follows of one account at most, except for the demo's own account.
    #[arg(long, env = "FEED_SEED_FOLLOWS_MAX", value_name = "N", default_value_t = 200)]
    follows_max: u32,

    /// Add demo data even if the database has other people's accounts.
    #[arg(long, env = "FEED_SEED_FORCE")]
    force: bool,
}

#[derive(Debug, Args)]
struct BackupArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    /// The file to write. It must not exist yet.
    file: PathBuf,
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

#[derive(Debug, Args)]
struct AccountArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    help: AccountHelp,

    /// The account's e-mail.
    #[arg(value_name = "EMAIL")]
    email: String,
}

/// What to do for an account. Exactly one option is given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct AccountHelp {
    /// Revoke all tokens of the account, for example after a phone was stolen.
    #[arg(long)]
    sign_out: bool,

    /// Set a new random password and print it. It also revokes all tokens and lifts the limit of failed sign-ins.
    // The operator does not choose it, so it is never weak and never in a shell's history.
    #[arg(long)]
    set_password: bool,

    /// Lift the limit of failed sign-ins.
    #[arg(long)]
    lift: bool,
}

/// Reads the command line and the environment, and runs the command to its end.
///
/// Where an option is unknown or invalid, or the command fails, a line on stderr says why. A command whose output has
/// no reader any more ends with success.
#[must_use]
pub fn run() -> ExitCode {
    let _flush = logging::Flush;
    let mut definition = Cli::command();
    definition.build();
    let parsed = definition.clone().try_get_matches();
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    let result = match parsed {
        Ok((cli, matches)) => execute(cli, &definition, &matches),
        Err(error) => match config::explained(&definition, &error) {
            Some(line) => Err(StartError::Value(line)),
            None if error.use_stderr() => return misused(&error),
            // Help and the like.
            None => output::flushed(error.print()),
        },
    };
    match result {
        Ok(()) | Err(StartError::NoReader) => ExitCode::SUCCESS,
        Err(error) => {
            logging::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows clap's own text for an error of the command line, and returns clap's exit code.
fn misused(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let is_terminal = std::io::stderr().is_terminal();
    let text = if is_terminal { text.ansi().to_string() } else { text.to_string() };
    logging::say(text.trim_end());
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn execute(cli: Cli, definition: &clap::Command, matches: &ArgMatches) -> Result<(), StartError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    config::refuse_unknown(definition, names)?;
    let Cli { command, log, log_format } = cli;
    logging::start(&log, log_format);
    for variable in config::shown_to_all(definition, matches) {
        tracing::warn!(
            "the secret in {variable} was given on the command line, where everybody who can list processes can read \
             it: set the environment variable instead"
        );
    }
    match command {
        Command::Serve(config) => serve(&config),
        Command::Config(config) => show_config(&config, definition, matches),
        Command::Migrate(config) => migrate(&config),
        Command::Seed(args) => seed(&args),
        Command::Sweep(config) => sweep(&config),
        Command::Backup(args) => backup(&args),
        Command::Token(args) => token(&args),
        Command::Account(args) => account(&args),
        Command::Demo => demo::run(),
    }
}

fn serve(config: &ServeConfig) -> Result<(), StartError> {
    // Errors in the configuration are reported before the database is touched.
    check(config)?;
    let config = &files::raise_limit(config);
    let listener = server::bind(&config.bind)?;
    let private = config.admin.listen()?;
    let database = config.database.open_current(config.migrate)?;
    complete_texts(&database)?;
    if let Some(file) = db::open_to_all(&config.database.url()?) {
        let file = file.display();
        tracing::warn!(
            "all users of this machine can read the database file: chmod 600 {file} {file}-wal {file}-shm"
        );
    }
    let server = Server::build(config, listener, database, Clock::default())?.with_private(private);
    if let Some(address) = server.private_address()? {
        tracing::info!("metrics on http://{address}/metrics");
    }
    tracing::info!("listening on http://{}", server.address()?);
    actix_web::rt::System::new().block_on(server.run())
}

/// Checks what clap has not checked when it parsed the options.
fn check(config: &ServeConfig) -> Result<(), StartError> {
    config.database.url()?;
    config.tokens.secrets()?;
    config.public_url()?;
    config.cors()?;
    Ok(())
}

fn show_config(
    config: &ServeConfig,
    definition: &clap::Command,
    matches: &ArgMatches,
) -> Result<(), StartError> {
    let parts = definition.find_subcommand("config").zip(matches.subcommand_matches("config"));
    if let Some((definition, matches)) = parts {
        output::print(config::print(definition, matches).trim_end())?;
    }
    check(config)
}

fn migrate(config: &DatabaseConfig) -> Result<(), StartError> {
    let database = config.open()?;
    let done = run_migrations(&database)?;
    complete_texts(&database)?;
    match done {
        0 => output::print("the schema is current"),
        n => output::print(format_args!("ran {n} migration(s): the schema is current")),
    }
}

fn seed(args: &SeedArgs) -> Result<(), StartError> {
    let database = args.database.open_current(false)?;
    let plan =
        seed::Plan { users: args.users, flyers: args.flyers, seed: args.seed, follows_max: args.follows_max };
    let outcome = progress::shown(|progress| {
        seed::seed(&database, &plan, Clock::default().now(), args.force, progress)
    })?;
    output::print(outcome)
}

fn sweep(config: &DatabaseConfig) -> Result<(), StartError> {
    let Swept { marked, cleared } = sweep::sweep(&config.open_current(false)?)?;
    output::print(format_args!("marked {marked} flyers as expired, cleared the mark of {cleared}"))
}

fn backup(args: &BackupArgs) -> Result<(), StartError> {
    let bytes = db::back_up(&args.database.url()?, &args.file)?;
    output::print(format_args!("copied the database to {}: {bytes} bytes", args.file.display()))
}

fn token(args: &TokenArgs) -> Result<(), StartError> {
    let tokens = Tokens::new(args.tokens.secrets()?.current.as_bytes(), args.tokens.token_ttl);
    let database = args.database.open_current(false)?;
    let account = database.read(|connection| users::by_email(connection, &args.email))?;
    output::print(tokens.issue(account, Clock::default().now())?)
}

fn account(args: &AccountArgs) -> Result<(), StartError> {
    let database = args.database.open_current(false)?;
    let email = &args.email;
    if args.help.sign_out {
        database.write(|connection| users::sign_out_by_email(connection, email))?;
        output::print(format_args!("all tokens of {email} are revoked"))
    } else if args.help.lift {
        database.write(|connection| users::lift_limit(connection, email))?;
        output::print(format_args!("the limit of failed sign-ins of {email} is lifted"))
    } else {
        output::print(users::reset_password(&database, email)?)
    }
}
