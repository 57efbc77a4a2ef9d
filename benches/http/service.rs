//! The binary as it is shipped, serving a database of the bench.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SECRET: &str = "the secret of a service that only a bench calls";

/// A running service. It is stopped when this is dropped.
pub struct Service {
    child: Child,
    pub address: SocketAddr,
}

impl Service {
    /// Starts it with its defaults, but without limits of a caller, and waits until it accepts connections.
    ///
    /// `FEED_BENCH_BINARY` names another build with the same schema.
    pub fn start(database: &str) -> Self {
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = feed_api("serve", database);
        command.args(["--bind", &address.to_string(), "--rate-limit", "off", "--sweep-interval", "0"]);
        // Connections wait while others are measured.
        command.args(["--keep-alive", "3600"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let service = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the service does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        service
    }

    /// The CPU time that it has taken, in seconds, to 10 ms.
    pub fn cpu(&self) -> f64 {
        cpu(&self.child.id().to_string())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The token of an account.
pub fn token(database: &str, email: &str) -> String {
    let output = feed_api("token", database).args(["--email", email]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The CPU time that this process has taken, in seconds, to 10 ms.
pub fn own_cpu() -> f64 {
    cpu("self")
}

/// The CPU time of the calling thread, in seconds.
pub fn thread_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's times of a thread");
    let nanoseconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

fn cpu(process: &str) -> f64 {
    let text = fs::read_to_string(Path::new("/proc").join(process).join("stat"))
        .expect("Linux's times of a process");
    // The second field is the program's name in parentheses. The 14th and 15th are ticks of 10 ms.
    let (_, fields) = text.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

/// A command of the binary, without the configuration of whoever runs the bench.
fn feed_api(command: &str, database: &str) -> Command {
    let binary =
        std::env::var_os("FEED_BENCH_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_feed-api").into());
    let mut program = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FEED_")) {
        program.env_remove(name);
    }
    program.arg(command).env("DATABASE_URL", database).env("FEED_JWT_SECRET", SECRET);
    program
}
