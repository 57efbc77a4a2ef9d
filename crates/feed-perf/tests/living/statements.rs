//! The statements of requests, from feed-core's files of finished SQL.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A statement for PREPARE.
pub struct Statement {
    /// The name of its file.
    pub name: String,
    /// The types of its binds.
    pub types: Vec<&'static str>,
    /// With `$1` or `?1` for the first bind, and so on.
    pub text: String,
}

/// Every SELECT of an engine that has binds by name, and the sweeper's statements.
pub fn of(engine: &str, mark: char) -> Vec<Statement> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../feed-core/tests/sql").join(engine);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let all = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "sql"));
    all.filter_map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let is_ours = text.contains(':') && (text.contains("*/\nSELECT") || name.starts_with("sweep"));
        is_ours.then(|| parsed(name, &text, mark))
    })
    .collect()
}

fn parsed(name: &str, source: &str, mark: char) -> Statement {
    let mut names: Vec<String> = Vec::new();
    let mut parts = source.split(':');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(part.len());
        let (bind, rest) = part.split_at(end);
        let known = names.iter().position(|name| name == bind);
        let number = known.unwrap_or_else(|| {
            names.push(bind.to_owned());
            names.len() - 1
        });
        let _ = write!(text, "{mark}{}{rest}", number + 1);
    }
    let types = names.iter().map(|bind| match bind.as_str() {
        "at" | "end" | "now" | "sliceend" => "timestamp",
        "lat" | "lng" | "south" | "north" => "double precision",
        "cells" | "search" | "pattern" => "text",
        "ids" if name == "sweep_visit" => "text",
        _ => "bigint",
    });
    Statement { name: name.to_owned(), types: types.collect(), text }
}
