//! The log: lines that one thread writes to stderr, so that nobody waits for whoever reads it.
//!
//! A line goes into a queue of a fixed size, and a thread takes it out and writes it. Where the reader pauses, has
//! gone, or has no room left, lines are lost and counted, and whoever logged them goes on. All that the process says on
//! stderr comes this way: also the last words of a command that fails, and panics.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::EnvFilter;

/// Lines that wait at most: what a busy service logs in a second.
const LINES: usize = 4_096;

/// Bytes that wait at most.
const BYTES: usize = 1 << 20;

/// How long the end of the process waits for lines that are not written yet.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The target of panics, which are logged whatever the filter is.
const PANIC: &str = "panic";

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// An object of JSON.
    Json,
}

/// Lines that were lost since the process began.
static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

static STDERR: LazyLock<Arc<Log>> = LazyLock::new(|| Log::start(Unlocked(io::stderr()), DROPPED.clone()));

/// Sends the events of the process, and its panics, to stderr.
pub fn start(filter: &str, format: LogFormat) {
    let mut filter = EnvFilter::new(filter);
    if let Ok(always) = PANIC.parse() {
        filter = filter.add_directive(always);
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // What goes wrong here would be told on stderr, by whoever logs.
        .log_internal_errors(false)
        .with_writer(|| Line::of(&STDERR));
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
    // The usual one writes to stderr itself, and waits for its reader.
    std::panic::set_hook(Box::new(log_panic));
}

/// Writes `text` and a line break to stderr, or loses it, as lines of the log are.
pub fn say(text: impl Display) {
    STDERR.push(format!("{text}\n").into_bytes());
}

/// The counter of lines that were lost, which everybody shares.
#[must_use]
pub fn dropped() -> Counter {
    DROPPED.clone()
}

/// Waits when it is dropped until everything is written, for up to a second.
///
/// `main` has one, so that the last lines are seen.
#[derive(Debug)]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        STDERR.flush(LAST_WORDS);
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message =
        message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let thread = std::thread::current();
    let location = panic.location().map(tracing::field::display);
    // Only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&backtrace));
    tracing::error!(target: PANIC, thread = thread.name(), location, backtrace, "panicked: {message}");
}

/// Lines on their way to where they are written.
#[derive(Debug)]
struct Log {
    queue: Mutex<Queue>,
    /// A line has come.
    filled: Condvar,
    /// All lines are written or lost.
    emptied: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Those of `lines`.
    bytes: usize,
    /// One was taken out, and is not written yet.
    is_writing: bool,
}

impl Log {
    /// Starts the thread that writes to `sink`, and counts in `dropped` what is lost.
    fn start(sink: impl Write + Send + 'static, dropped: Counter) -> Arc<Self> {
        let log = Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped,
        });
        let writer = Arc::clone(&log);
        // Without a thread the queue fills up, and lines are counted.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink));
        log
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `line` written later, or loses it where too many wait. Never waits for a write.
    fn push(&self, line: Vec<u8>) {
        let mut queue = self.queue();
        if queue.lines.len() == LINES || queue.bytes + line.len() > BYTES {
            self.dropped.inc();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.filled.notify_one();
    }

    /// Writes what comes, for ever.
    fn write_to(&self, mut sink: impl Write) {
        // A write that failed in the middle of a line has left the beginning of it there.
        let mut is_torn = false;
        loop {
            let line = self.next();
            let line = if is_torn { [b"\n", line.as_slice()].concat() } else { line };
            let written = write_all(&mut sink, &line);
            if written < line.len() {
                self.dropped.inc();
            }
            if let Some(last) = written.checked_sub(1) {
                is_torn = line[last] != b'\n';
            }
        }
    }

    /// Waits for a line and takes it out; the one before is done with.
    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue();
        queue.is_writing = false;
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.is_writing = true;
                return line;
            }
            self.emptied.notify_all();
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all lines are written or lost, for `patience` at most.
    fn flush(&self, patience: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        drop(self.emptied.wait_timeout_while(self.queue(), patience, is_busy));
    }
}

/// Writes `bytes` as far as they can be written, and returns how many were.
fn write_all(sink: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The next line is another try.
            Err(_) => break,
        }
    }
    written
}

/// The line of one event, which is complete when it is dropped.
#[derive(Debug)]
struct Line {
    log: Arc<Log>,
    text: Vec<u8>,
}

impl Line {
    fn of(log: &Arc<Log>) -> Self {
        Self { log: Arc::clone(log), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut line = std::mem::take(&mut self.text);
        line.truncate(line.trim_ascii_end().len());
        // Whatever an error or a panic says, an event is one line.
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.push(b'\n');
        self.log.push(line);
    }
}

/// Stderr without the standard library's lock: a write that hangs would keep it from everybody else.
struct Unlocked(io::Stderr);

impl Write for Unlocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use pretty_assertions::assert_eq;

    use super::*;

    /// What the next write does: how many bytes it takes, or how it fails.
    type Step = io::Result<usize>;

    /// Writes as it is told to, and waits until it is.
    struct Told {
        steps: Receiver<Step>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody tells it anything more: it writes everything.
            let taken = self.steps.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.text.lock().unwrap().extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told() -> (Arc<Log>, SyncSender<Step>, Arc<Mutex<Vec<u8>>>) {
        let (tell, steps) = sync_channel(100);
        let text = Arc::default();
        let log = Log::start(Told { steps, text: Arc::clone(&text) }, Counter::default());
        (log, tell, text)
    }

    fn whole(text: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(text.lock().unwrap().clone()).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_write_that_hangs_holds_nobody_up_and_what_does_not_fit_is_counted() {
        let (log, tell, text) = told();
        log.push(b"first\n".to_vec());
        while !log.queue().is_writing {
            std::thread::yield_now();
        }
        for _ in 0..LINES + 7 {
            log.push(b"next\n".to_vec());
        }
        assert_eq!((log.dropped.get(), log.queue().lines.len()), (7, LINES));
        log.flush(Duration::from_millis(1));
        assert_eq!(whole(&text), "", "the end does not wait for ever either");
        drop(tell);
        log.flush(LONG);
        assert_eq!(whole(&text).lines().count(), 1 + LINES);
        assert_eq!(log.dropped.get(), 7);
    }

    #[test]
    fn lines_that_wait_are_bounded_by_their_bytes_too() {
        let (log, tell, text) = told();
        let long = |bytes| [vec![b'x'; bytes - 1], vec![b'\n']].concat();
        log.push(long(BYTES + 1));
        log.push(b"first\n".to_vec());
        while !log.queue().is_writing {
            std::thread::yield_now();
        }
        for _ in 0..4 {
            log.push(long(BYTES / 2));
        }
        assert_eq!((log.dropped.get(), log.queue().bytes), (3, BYTES));
        drop(tell);
        log.flush(LONG);
        assert_eq!((log.queue().bytes, whole(&text).len()), (0, "first\n".len() + BYTES));
    }

    #[test]
    fn a_line_that_fails_is_counted_once_and_the_next_one_is_a_line_of_its_own() {
        let (log, tell, text) = told();
        let full = || Err(ErrorKind::StorageFull.into());
        for step in [
            Ok(3),
            Err(ErrorKind::Interrupted.into()),
            Ok(100),
            // The second.
            full(),
            // The third, in its middle.
            Ok(2),
            full(),
            // The fourth.
            Ok(0),
            // The fifth, as far as the end of the third.
            Ok(1),
            Err(ErrorKind::BrokenPipe.into()),
        ] {
            tell.send(step).unwrap();
        }
        drop(tell);
        for line in ["first\n", "second\n", "third\n", "fourth\n", "fifth\n", "sixth\n"] {
            log.push(line.into());
        }
        log.flush(LONG);
        assert_eq!(whole(&text), "first\nth\nsixth\n");
        assert_eq!(log.dropped.get(), 4);
    }

    #[test]
    fn an_event_is_one_line_whatever_it_says_and_a_panic_is_one() {
        let (log, tell, text) = told();
        drop(tell);
        let writer = Arc::clone(&log);
        let subscriber =
            tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || Line::of(&writer));
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::info!("one\r\ntwo\n");
            std::panic::set_hook(Box::new(log_panic));
            std::panic::catch_unwind(|| panic!("of {}\nlines", 2)).unwrap_err();
            drop(std::panic::take_hook());
        });
        log.flush(LONG);
        let text = whole(&text);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("one  two"), "{text}");
        assert!(lines[1].contains("ERROR panic: panicked: of 2 lines thread="), "{text}");
        assert!(lines[1].contains("logging.rs:"), "{text}");
        assert_eq!(lines.len(), 2, "{text}");
    }
}
