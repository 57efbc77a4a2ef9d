//! The progress of a long command: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use feed_core::seed::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::logging;

/// Runs `work` and shows what it reports on stderr.
pub(super) fn shown<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    if std::io::stderr().is_terminal() { bar(work) } else { lines(work) }
}

fn bar<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg:12} [{bar:40}] {human_pos}/{human_len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    let result = work(&mut |progress| {
        bar.update(|state| {
            state.set_len(progress.total);
            state.set_pos(progress.done);
        });
        bar.set_message(progress.stage);
    });
    bar.finish_and_clear();
    result
}

/// Prints a line when a stage starts and one at each tenth of it.
fn lines<T>(work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    let mut last = ("", 0);
    work(&mut |progress| {
        let tenth = (progress.done * 10).checked_div(progress.total).unwrap_or(10);
        if (progress.stage, tenth) != last {
            last = (progress.stage, tenth);
            logging::say(format_args!("{}: {} of {}", progress.stage, progress.done, progress.total));
        }
    })
}
