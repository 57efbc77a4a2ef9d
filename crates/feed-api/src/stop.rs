//! Graceful stop: requests in flight are finished, and no accepted connection is dropped.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::time::{sleep, timeout};

use crate::config::StartError;
use crate::state::State;

/// The time between the last accepted connection and the stop of the workers. The server would drop connections that it
/// has accepted but not yet handed to a worker.
const HANDOVER: Duration = Duration::from_millis(200);

/// The signals that stop the server: SIGTERM from service managers, SIGINT from Ctrl-C.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Registers handlers. Without them, the signals would end the process at once.
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

/// Waits for a signal, then stops: `/readyz` says no, requests in flight finish, and both servers stop. A second signal
/// stops everything at once.
///
/// The private server stops last, so that metrics can be read until the end.
pub(crate) async fn on_signal(
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
        sleep(HANDOVER).await;
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
        tracing::warn!("second signal: requests in flight are cut off");
        public.stop(false).await;
    }
    if let Some(private) = private {
        // A scrape that hangs must not delay the stop.
        let _ = timeout(Duration::from_secs(1), private.stop(false)).await;
    }
    tracing::info!("stopped");
}
