//! What reads the log, or takes the output of a command: gone, full, or pausing.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::SECRET;
use feed_test::binary::{Running, signal};
use pretty_assertions::assert_eq;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::after;
use crate::feed_api;
use crate::process::listening;
use crate::report::Report;

/// How long anything here may take: it is told apart from what never ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where it serves is found out without its log: each listener has an address of its own.
fn serve(url: &str) -> Command {
    let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.2:0"]);
    command.args(["--rate-limit", "off", "--sweep-interval", "0", "--log-format", "json"]);
    command.env("DATABASE_URL", url).env("FEED_JWT_SECRET", SECRET);
    command
}

fn start(mut command: Command) -> Running {
    let child = command.spawn().unwrap();
    let mut server = Running { child, address: String::new(), metrics: String::new() };
    let end = Instant::now() + PATIENCE;
    while server.address.is_empty() || server.metrics.is_empty() {
        assert!(Instant::now() < end && server.child.try_wait().unwrap().is_none(), "it does not listen");
        for address in listening(&server.child) {
            match address.ip().octets() {
                [127, 0, 0, 1] => server.address = address.to_string(),
                _ => server.metrics = format!("http://{address}/metrics"),
            }
        }
    }
    server
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().new_agent()
}

/// Asks so often by several callers, and asserts that each of them is answered.
#[track_caller]
fn asks(server: &Running, times: usize) {
    const CALLERS: usize = 4;
    // Each has a line of its own: those of health checks are left out where there are many.
    let url = format!("http://{}/api/feed/", server.address);
    let ask = || {
        let agent = agent();
        // A long line.
        let ask = || agent.get(&url).header("x-request-id", "x".repeat(128)).call();
        (0..times / CALLERS).filter(|_| ask().is_ok()).count()
    };
    let answered: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(ask)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(answered, times);
    assert_eq!(agent().get(format!("http://{}/api/feed/", server.address)).call().unwrap().status(), 200);
}

/// Lines of the log that were lost.
fn dropped(server: &Running) -> usize {
    let text = agent().get(&server.metrics).call().unwrap().into_body().read_to_string().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("feed_log_lines_dropped_total "));
    line.expect("it is counted").parse().unwrap()
}

#[track_caller]
fn comes_to(least: usize, count: impl Fn() -> usize) {
    let end = Instant::now() + PATIENCE;
    while count() < least {
        assert!(Instant::now() < end, "{} of {least}", count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of a process, which must come.
#[track_caller]
fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn stops(server: &mut Running) {
    signal(&server.child, "-TERM");
    assert_eq!(ended(&mut server.child).code(), Some(0));
}

/// How many whole lines of these tell of a request, and how many are no whole line.
fn requests<'a>(lines: impl IntoIterator<Item = &'a str>) -> (usize, usize) {
    let (mut requests, mut torn) = (0, 0);
    for line in lines {
        match serde_json::from_str::<Value>(line) {
            Ok(event) => requests += usize::from(event["message"] == "request"),
            Err(_) => torn += 1,
        }
    }
    (requests, torn)
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads from any more.
fn without_reader() -> PipeWriter {
    pipe().unwrap().1
}

/// A pipe that is full, with its reader, who may go on.
fn without_room() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let mut other = writer.try_clone().unwrap();
    // Waits in its middle until the reader is gone.
    std::thread::spawn(move || other.write_all(&vec![b' '; 16 << 20]));
    (reader, writer)
}

#[test]
fn a_log_that_cannot_be_written_is_lost_and_counted_and_nobody_notices() {
    let cases: [(_, fn() -> Stdio); 2] =
        [("reader of the log gone", || without_reader().into()), ("log on a full disk", || full().into())];
    for (fault, stderr) in cases {
        let mut report = Report::of(fault, Engine::Sqlite);
        let test = TestDatabase::new(Engine::Sqlite);
        let mut command = serve(&test.url);
        command.stderr(stderr());
        let mut server = start(command);
        asks(&server, 400);
        // Each request has a line.
        comes_to(401, || dropped(&server));
        let lost = dropped(&server);
        stops(&mut server);
        report.tell(401, 401, format!("{lost} lines lost and counted; stopped by SIGTERM"));
    }
}

#[test]
fn a_service_without_stderr_serves_and_stops() {
    let mut report = Report::of("stderr closed", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let mut server = start(after("exec 2>&-;exec", &serve(&test.url)));
    asks(&server, 400);
    stops(&mut server);
    report.tell(401, 401, "stopped by SIGTERM");
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_the_lines_of_that_while() {
    let mut report = Report::of("log's disk full for a while", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = after("trap '' XFSZ; exec", &serve(&test.url));
    command.stderr(File::options().append(true).open(file.path()).unwrap());
    let mut server = start(command);
    let process = Pid::from_raw(i32::try_from(server.child.id()).unwrap());
    asks(&server, 100);
    // There is room for a part of a line.
    let room = file.as_file().metadata().unwrap().len() + 100;
    let before = prlimit(process, Resource::Fsize, Rlimit { current: Some(room), maximum: None });
    asks(&server, 100);
    comes_to(90, || dropped(&server));
    prlimit(process, Resource::Fsize, before.unwrap()).unwrap();
    asks(&server, 100);
    let lost = dropped(&server);
    stops(&mut server);
    let text = std::fs::read_to_string(file.path()).unwrap();
    let (whole, torn) = requests(text.lines());
    report.tell(303, 303, format!("{whole} lines there, {lost} lost and counted, {torn} in two"));
    assert_eq!(whole + lost, 303);
    assert!(torn <= 1 && whole >= 101, "{whole} lines, {torn} torn");
}

#[test]
fn while_the_reader_of_the_log_pauses_lines_are_lost_and_counted_and_no_request_waits() {
    let mut report = Report::of("reader of the log pauses", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let mut command = serve(&test.url);
    command.stderr(Stdio::piped());
    let mut server = start(command);
    let stderr = server.child.stderr.take().unwrap();
    // Those that wait, and those that are in the pipe, are fewer.
    asks(&server, 4_000);
    assert!(dropped(&server) > 0);

    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().try_for_each(|line| sender.send(line.unwrap()))
    });
    let mut read = vec![lines.recv_timeout(PATIENCE).unwrap()];
    let mut sent = 4_001;
    // When the reader has caught up, each request is there again.
    while !read.last().unwrap().contains("\"the-last-one\"") {
        let url = format!("http://{}/api/feed/", server.address);
        agent().get(url).header("x-request-id", "the-last-one").call().unwrap();
        sent += 1;
        read.extend(lines.try_iter());
    }
    let lost = dropped(&server);
    stops(&mut server);
    read.extend(lines);
    let (whole, torn) = requests(read.iter().map(String::as_str));
    report.tell(sent, sent, format!("{whole} lines there, {lost} lost and counted"));
    assert_eq!((whole + lost, torn), (sent, 0));
}

#[test]
fn a_reader_that_pauses_does_not_keep_a_service_from_its_start_and_its_end() {
    let mut report = Report::of("log's reader pauses from the start", Engine::Sqlite);
    let test = TestDatabase::new(Engine::Sqlite);
    let (_reader, writer) = without_room();
    let mut command = serve(&test.url);
    command.stderr(writer);
    let mut server = start(command);
    asks(&server, 400);
    stops(&mut server);
    report.tell(401, 401, "stopped by SIGTERM");
}

/// Every command that prints, in an order in which each can do its work.
const PRINTING: [&[&str]; 10] = [
    &["--help"],
    &["serve", "--help"],
    &["--version"],
    &["config"],
    &["migrate"],
    &["seed", "--users", "300", "--flyers", "400", "--follows-max", "20"],
    &["sweep"],
    &["token", "--email", "active@demo.pockitflyer.test"],
    &["backup", "copy.db"],
    &["demo"],
];

/// Runs every one of them with such a stdout, and returns exit codes and last lines of stderr.
fn with_stdout(stdout: fn() -> Stdio) -> Vec<(Option<i32>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &&[&str]| {
        let mut command = feed_api(arguments);
        command.current_dir(&folder).env("FEED_JWT_SECRET", SECRET).env("FEED_LOG", "warn");
        let mut child = command.stdout(stdout()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let status = ended(&mut child);
        // The progress of `seed` is there too.
        let lines = stderr.lines().map(Result::unwrap).filter(|line| !line.contains(" of "));
        (status.code(), lines.collect::<Vec<_>>().join("\n"))
    };
    PRINTING.iter().map(run).collect()
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let mut report = Report::of("commands before head", Engine::Sqlite);
    let found = with_stdout(|| without_reader().into());
    for (arguments, (code, said)) in PRINTING.iter().zip(&found) {
        assert_eq!((*code, said.as_str()), (Some(0), ""), "{arguments:?}");
    }
    report.tell(found.len(), "-", "all end with 0 and say nothing");
}

#[test]
fn a_command_whose_output_has_no_room_says_so() {
    let mut report = Report::of("commands on a full disk", Engine::Sqlite);
    let found = with_stdout(|| full().into());
    for (arguments, (code, said)) in PRINTING.iter().zip(&found) {
        let told = "error: cannot write to stdout: No space left on device (os error 28)";
        assert_eq!((*code, said.as_str()), (Some(1), told), "{arguments:?}");
    }
    report.tell(found.len(), "-", "all end with 1 and say why");
}

#[test]
fn a_command_that_fails_ends_whatever_becomes_of_its_reasons() {
    let mut report = Report::of("commands without stderr", Engine::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let (_reader, paused) = without_room();
    let mut asked = 0;
    let failing: [(&[&str], i32); 4] = [
        (&["serve"], 1),
        (&["serve", "--workers", "many"], 1),
        (&["serve", "--nothing"], 2),
        (&["seed", "--users", "300", "--flyers", "400", "--follows-max", "20"], 0),
    ];
    for (arguments, code) in failing {
        for stderr in [without_reader().into(), full().into(), Stdio::from(paused.try_clone().unwrap())] {
            let mut command = feed_api(arguments);
            command.current_dir(&folder).stdout(Stdio::null()).stderr(stderr);
            assert_eq!(ended(&mut command.spawn().unwrap()).code(), Some(code), "{arguments:?}");
            asked += 1;
        }
    }
    report.tell(asked, "-", "each with the exit code that it has otherwise");
}
