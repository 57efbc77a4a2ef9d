//! Environment variables of the configuration: unknown names and invalid values are reported, not ignored.

use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command};
use feed_core::db::DatabaseUrl;

use super::StartError;

/// The prefix of the service's variables.
const PREFIX: &str = "FEED_";

/// Prefixes of variables that are not options: Kubernetes sets `FEED_API_…` for a service named `feed-api`, and the
/// tests use `FEED_TEST_…`.
const FOREIGN: [&str; 2] = ["FEED_API_", "FEED_TEST_"];

/// The options of a command and of all its subcommands.
fn options(command: &Command) -> Vec<&Arg> {
    let inner = command.get_subcommands().flat_map(options);
    command.get_arguments().chain(inner).collect()
}

fn variable(option: &Arg) -> Option<&str> {
    option.get_env().and_then(|name| name.to_str())
}

/// Refuses a variable of the environment that has our prefix but belongs to no option of `command`.
///
/// # Errors
/// With the first unknown variable, and the option with the most similar name.
pub fn refuse_unknown(command: &Command, names: impl IntoIterator<Item = String>) -> Result<(), StartError> {
    let options = options(command);
    let known: Vec<_> = options.iter().filter_map(|option| variable(option)).collect();
    let is_ours =
        |name: &String| name.starts_with(PREFIX) && !FOREIGN.iter().any(|foreign| name.starts_with(foreign));
    let unknown = names.into_iter().filter(is_ours).find(|name| !known.contains(&name.as_str()));
    let Some(unknown) = unknown else { return Ok(()) };
    let meant = known.iter().min_by_key(|name| distance(name, &unknown));
    Err(StartError::UnknownVariable { name: unknown, meant: meant.map(|name| (*name).to_owned()) })
}

/// The edit distance of two names (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Explains an invalid value in one line, with the variable's name and the accepted form. None for other errors of the
/// command line, for which clap's own text is clear.
#[must_use]
pub fn explained(command: &Command, error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (named, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let options = options(command);
    let option = options.iter().find(|option| option.to_string() == named)?;
    let choices = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(choices)) if !choices.is_empty() => {
            format!(", only {}", choices.join(", "))
        }
        _ => String::new(),
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let name = variable(option).unwrap_or(named);
    Some(format!("{name} ({named}) does not accept {value:?}{choices}{cause}. Help: {help}"))
}

/// Prints a line for each option of `serve`: its variable, its value without secrets, and where the value comes from.
#[must_use]
pub fn print(command: &Command, matches: &ArgMatches) -> String {
    let mut text = String::new();
    for option in command.get_arguments() {
        let Some(name) = variable(option) else { continue };
        let id = option.get_id().as_str();
        let values = matches.get_raw(id).into_iter().flatten();
        let values: Vec<_> = values.map(|value| shown(option, &value.to_string_lossy())).collect();
        let source = match matches.value_source(id) {
            Some(clap::parser::ValueSource::EnvVariable) => "environment",
            Some(clap::parser::ValueSource::CommandLine) => "command line",
            _ if values.is_empty() => "not set",
            _ => "default",
        };
        let _ = writeln!(text, "{name}={}  # {source}", values.join(","));
    }
    text
}

/// A value without its secrets.
fn shown(option: &Arg, value: &str) -> String {
    if variable(option) == Some("DATABASE_URL") {
        value.parse::<DatabaseUrl>().map_or_else(|_| "…".to_owned(), |url| url.redacted())
    } else if option.is_hide_env_values_set() {
        "…".to_owned()
    } else {
        value.to_owned()
    }
}

/// The variables of options that are given on the command line with a secret. Everybody on the machine who can list
/// processes sees them.
#[must_use]
pub fn shown_to_all(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let options = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
    let is_typed = |option: &&Arg| {
        let id = option.get_id().as_str();
        matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine)
    };
    let is_secret = |option: &&Arg| {
        let values = matches.get_raw(option.get_id().as_str()).into_iter().flatten();
        values.map(|value| value.to_string_lossy()).any(|value| shown(option, &value) != value)
    };
    let typed = options.filter(is_typed).filter(is_secret);
    typed.filter_map(variable).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("bind", "bnid", 2), ("a", "a", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
