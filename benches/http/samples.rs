//! Samples of requests, taken in turns: other load on the machine then meets all that is compared.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::service::Service;

/// A request that is measured, and what was measured of it.
pub struct Case {
    pub name: String,
    clients: Vec<Client>,
    /// The time of a request in the fastest sample: the sample's time by its requests.
    fastest: Option<Duration>,
    latencies: Vec<Duration>,
    cpu: f64,
}

impl Case {
    pub fn new(name: impl Into<String>, clients: impl IntoIterator<Item = Client>) -> Self {
        let clients = clients.into_iter().collect();
        Self { name: name.into(), clients, fastest: None, latencies: Vec::new(), cpu: 0.0 }
    }

    /// Lets each connection do so many exchanges.
    fn sample(&mut self, service: &Service, exchanges: usize) {
        let cpu = service.cpu();
        let started = Instant::now();
        let times = std::thread::scope(|scope| {
            let run = |client: &mut Client| -> Vec<Duration> {
                let one = |_| {
                    let started = Instant::now();
                    client.exchange();
                    started.elapsed()
                };
                (0..exchanges).map(one).collect()
            };
            let threads: Vec<_> =
                self.clients.iter_mut().map(|client| scope.spawn(move || run(client))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let time = started.elapsed() / u32::try_from(times.len()).unwrap();
        self.cpu += service.cpu() - cpu;
        self.fastest = Some(self.fastest.map_or(time, |fastest| fastest.min(time)));
        self.latencies.extend(times);
    }

    /// Seconds of a request in the fastest sample.
    pub fn fastest(&self) -> f64 {
        self.fastest.expect("a sample").as_secs_f64()
    }

    /// Microseconds of the service's CPU a request.
    pub fn cpu(&self) -> f64 {
        self.cpu * 1e6 / self.latencies.len() as f64
    }

    /// Milliseconds within which this part of all responses was there.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
    }
}

/// Takes so many samples of each, in turns. The first of each is not counted: it warms up.
pub fn take(cases: &mut [&mut Case], service: &Service, samples: usize, exchanges: usize) {
    for case in cases.iter_mut() {
        case.sample(service, exchanges.div_ceil(4));
        (case.fastest, case.cpu) = (None, 0.0);
        case.latencies.clear();
    }
    for _ in 0..samples {
        for case in cases.iter_mut() {
            case.sample(service, exchanges);
        }
    }
}
