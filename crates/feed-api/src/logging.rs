//! The log: a queue of lines that one thread writes to stderr, so that logging never blocks.
//!
//! The queue has a fixed size. Where stderr's reader pauses, has gone, or has no space left, lines are dropped and
//! counted, and the code that logs goes on. Everything that the process writes to stderr takes this way, including the
//! error of a command that fails and panics.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::EnvFilter;

/// Lines in the queue at most: what a busy service logs in a second.
const LINES: usize = 4_096;

/// Bytes in the queue at most.
const BYTES: usize = 1 << 20;

/// How long the process waits at its end for the queue to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The tracing target of panics. The filter never excludes it.
const PANIC: &str = "panic";

/// The format of log lines.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Human,
    /// A JSON object a line.
    Json,
}

/// Lines dropped since the process began.
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
        // Such errors would be written to stderr directly, by the thread that logs.
        .log_internal_errors(false)
        .with_writer(|| Line::of(&STDERR));
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }
    // The default hook writes to stderr directly, and blocks where its reader pauses.
    std::panic::set_hook(Box::new(log_panic));
}

/// Writes `text` and a line break to stderr through the queue. Like log lines, it may be dropped.
pub fn say(text: impl Display) {
    STDERR.push(format!("{text}\n").into_bytes());
}

/// The process's counter of dropped lines.
#[must_use]
pub fn dropped() -> Counter {
    DROPPED.clone()
}

/// When dropped, waits up to a second until all lines are written.
///
/// `main` holds one, so that the last lines are not lost.
#[derive(Debug)]
pub struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        STDERR.flush(FLUSH_TIMEOUT);
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message =
        message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let thread = std::thread::current();
    let location = panic.location().map(tracing::field::display);
    // Captured only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&backtrace));
    tracing::error!(target: PANIC, thread = thread.name(), location, backtrace, "panicked: {message}");
}

/// The queue of lines, shared by the threads that log and the thread that writes.
#[derive(Debug)]
struct Log {
    queue: Mutex<Queue>,
    /// Signals that a line was added.
    filled: Condvar,
    /// Signals that all lines are written or dropped.
    emptied: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The length of all `lines` together.
    bytes: usize,
    /// A line was taken out and is not yet written.
    is_writing: bool,
}

impl Log {
    /// Starts the thread that writes to `sink`. `dropped` counts the lines that are lost.
    fn start(sink: impl Write + Send + 'static, dropped: Counter) -> Arc<Self> {
        let log = Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped,
        });
        let writer = Arc::clone(&log);
        // Where no thread can be started, the queue fills up and further lines are counted as dropped.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(sink));
        log
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A poisoned queue is still consistent: each change is complete before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `line` to the queue, or drops it where the queue is full. It never waits for a write.
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

    /// Writes the lines of the queue, forever.
    fn write_to(&self, mut sink: impl Write) {
        // Whether the last write failed in the middle of a line. Then the next line begins with a line break.
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

    /// Waits for a line and takes it out. The previous one is then written or dropped.
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

    /// Waits until all lines are written or dropped, for `max_wait` at most.
    fn flush(&self, max_wait: Duration) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        drop(self.emptied.wait_timeout_while(self.queue(), max_wait, is_busy));
    }
}

/// Writes `bytes` until an error, and returns how many were written.
fn write_all(sink: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The rest of the line is dropped. The next line is tried again.
            Err(_) => break,
        }
    }
    written
}

/// Collects the text of one event. It is queued as one line when this is dropped.
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
        // Errors and panics may have line breaks in their text. An event must stay one line.
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.push(b'\n');
        self.log.push(line);
    }
}

/// Stderr without the standard library's lock. A write that hangs would hold that lock.
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

    /// What the next write does: how many bytes it accepts, or how it fails.
    type Step = io::Result<usize>;

    /// A sink whose writes follow a script. Each write waits for its step.
    struct Scripted {
        steps: Receiver<Step>,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The script has ended: write everything.
            let taken = self.steps.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.text.lock().unwrap().extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted() -> (Arc<Log>, SyncSender<Step>, Arc<Mutex<Vec<u8>>>) {
        let (tell, steps) = sync_channel(100);
        let text = Arc::default();
        let log = Log::start(Scripted { steps, text: Arc::clone(&text) }, Counter::default());
        (log, tell, text)
    }

    fn whole(text: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(text.lock().unwrap().clone()).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_write_that_hangs_blocks_nobody_and_lines_that_do_not_fit_are_counted() {
        let (log, tell, text) = scripted();
        log.push(b"first\n".to_vec());
        while !log.queue().is_writing {
            std::thread::yield_now();
        }
        for _ in 0..LINES + 7 {
            log.push(b"next\n".to_vec());
        }
        assert_eq!((log.dropped.get(), log.queue().lines.len()), (7, LINES));
        log.flush(Duration::from_millis(1));
        assert_eq!(whole(&text), "", "flush gives up after its time");
        drop(tell);
        log.flush(LONG);
        assert_eq!(whole(&text).lines().count(), 1 + LINES);
        assert_eq!(log.dropped.get(), 7);
    }

    #[test]
    fn the_queue_is_bounded_by_bytes_too() {
        let (log, tell, text) = scripted();
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
        let (log, tell, text) = scripted();
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
        let (log, tell, text) = scripted();
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
