//! Stopping without failing anybody who was let in.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::time::{sleep, timeout};

use crate::config::StartError;
use crate::state::State;

/// Between the last connection that is taken and the end of those that wait for a thread: the server drops connections
/// that it has taken and not looked at yet.
const LAST_CALL: Duration = Duration::from_millis(200);

/// The signals that stop a server: SIGTERM by service managers, SIGINT by Ctrl-C.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from the operating system, which would end the process.
    pub(crate) fn new() -> Result<Self, StartError> {
        let take = |kind| signal(kind).map_err(StartError::io("cannot wait for signals"));
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        let mut terminate = std::pin::pin!(self.terminate.recv());
        let mut interrupt = std::pin::pin!(self.interrupt.recv());
        std::future::poll_fn(|context| {
            if terminate.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready("SIGTERM");
            }
            interrupt.as_mut().poll(context).map(|_| "SIGINT")
        })
        .await
    }
}

/// Waits for a signal, then has readiness go down, the requests that are under way end, and both servers stop. A second
/// signal ends it all at once.
///
/// The private server is last: whoever looks at the metrics sees the end of it.
pub(crate) async fn when_told(
    mut signals: Signals,
    state: State,
    drain_delay: Duration,
    public: ServerHandle,
    private: Option<ServerHandle>,
) {
    let signal = signals.next().await;
    tracing::info!(signal, "stopping: not ready any more");
    state.stop();
    let drained = async {
        sleep(drain_delay).await;
        public.pause().await;
        sleep(LAST_CALL).await;
        public.stop(true).await;
    };
    let mut drained = std::pin::pin!(drained);
    let mut again = std::pin::pin!(signals.next());
    let is_drained = std::future::poll_fn(|context| {
        if drained.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(true);
        }
        again.as_mut().poll(context).map(|_| false)
    })
    .await;
    if !is_drained {
        tracing::warn!("told to stop again: requests under way are cut off");
        public.stop(false).await;
    }
    if let Some(private) = private {
        // A scrape that hangs must not hold up the end.
        let _ = timeout(Duration::from_secs(1), private.stop(false)).await;
    }
    tracing::info!("stopped");
}
