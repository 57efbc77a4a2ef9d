//! The way to PostgreSQL, which can be cut, or fall silent.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const OPEN: u8 = 0;
const CUT: u8 = 1;
const SILENT: u8 = 2;

/// The name of a server's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// A socket that leads to that of the server.
pub struct Proxy {
    /// The URL of the database by this way.
    pub url: String,
    state: Arc<AtomicU8>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
    /// Deletes the folder of the socket when it is dropped.
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// A way to the server of `url`, which names the folder of its socket: so do the URLs of `scripts/pg`.
    pub fn before(url: &str) -> Self {
        let host =
            url.split(['?', '&']).find_map(|part| part.strip_prefix("host=")).expect("a socket's folder");
        let server = PathBuf::from(host).join(SOCKET);
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let state = Arc::new(AtomicU8::new(OPEN));
        let streams = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let (state, streams) = (state.clone(), streams.clone());
            move || {
                for client in listener.incoming() {
                    if state.load(Ordering::SeqCst) == CUT {
                        continue;
                    }
                    let (client, server) = (client.unwrap(), UnixStream::connect(&server).unwrap());
                    let copies = [&client, &server].map(|stream| stream.try_clone().unwrap());
                    streams.lock().unwrap().extend(copies);
                    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    for (from, to) in [(client, server), back] {
                        let state = state.clone();
                        std::thread::spawn(move || forward(from, to, &state));
                    }
                }
            }
        });
        let url = url.replace(&format!("host={host}"), &format!("host={}", folder.path().display()));
        Self { url, state, streams, _folder: folder }
    }

    /// Ends all connections, and takes no new ones.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Holds back every byte from now on.
    pub fn stall(&self) {
        self.state.store(SILENT, Ordering::SeqCst);
    }

    /// Is as it was; what was held back arrives.
    pub fn mend(&self) {
        self.state.store(OPEN, Ordering::SeqCst);
    }
}

fn forward(mut from: UnixStream, mut to: UnixStream, state: &AtomicU8) {
    let mut buffer = [0; 8_192];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while state.load(Ordering::SeqCst) == SILENT {
            std::thread::sleep(Duration::from_millis(2));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
