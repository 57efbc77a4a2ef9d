//! What a request costs over HTTP: the binary as it is shipped, kept connections, plain and compressed, both engines.
//!
//! The client is a thread a connection, and cheaper than the service. All figures that are compared are of one run, and
//! their samples were taken in turns. Needs Linux, whose `/proc` tells CPU times.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are small"
)]

mod client;
mod data;
mod samples;
mod service;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use feed_core::db::Engine;
use feed_test::bench::wire::Figures;
use feed_test::bench::{run, wire};

use client::Client;
use data::{Data, List, MAIN};
use samples::{Case, take};
use service::{Service, own_cpu};

/// Connections that ask at once.
const CONNECTIONS: usize = 8;

/// A page as deep as the app walks to.
const DEEP_PAGE: u32 = 400;

fn main() {
    if !run::is_measuring() {
        return;
    }
    run::begin();
    let mut figures = BTreeMap::new();
    let mut reports = Vec::new();
    for engine in run::engines().into_iter().filter(|engine| run::is_asked_for(&run::group(*engine, "http")))
    {
        let report = measure(engine);
        println!("{}", report.table());
        figures.insert(wire::name(engine), report.figures());
        reports.push(report);
    }
    if !reports.is_empty() {
        let mut table = reports.iter().map(Report::table).collect::<String>();
        if let [sqlite, postgres] = &reports[..] {
            table += &rates(sqlite, postgres);
        }
        wire::write(&figures, &table);
    }
}

/// All that was measured of one engine.
struct Report {
    engine: Engine,
    /// Of each list: plain, compressed, and microseconds of CPU of a load within this process.
    lists: Vec<(Case, Case, f64)>,
    single: Case,
    pair: Case,
    first: Case,
    deep: Case,
    /// Of each list, after a part of it has ended.
    lived: Vec<Case>,
    /// The client's CPU time by the service's.
    client: f64,
}

fn measure(engine: Engine) -> Report {
    // Short samples: one of many finds a quiet moment on a shared machine.
    let (samples, exchanges) = if run::is_quick() { (15, 15) } else { (40, 25) };
    let data = Data::build(engine);
    let service = Service::start(&data.url);
    let connect = |list: &List, path: &str, encoding, at_once| {
        Client::new(service.address, path, &list.token, encoding, at_once)
    };
    let case = |list: &List, path: &str, encoding| {
        Case::new(list.name, (0..CONNECTIONS).map(|_| connect(list, path, encoding, 1)))
    };

    let (service_cpu, client_cpu) = (service.cpu(), own_cpu());
    let both = |list| (case(list, &list.path, "identity"), case(list, &list.path, "gzip"));
    let mut lists: Vec<_> = data.lists.iter().map(both).collect();
    let mut all: Vec<_> = lists.iter_mut().flat_map(|(plain, gzip)| [plain, gzip]).collect();
    take(&mut all, &service, samples, exchanges);
    let client = (own_cpu() - client_cpu) / (service.cpu() - service_cpu);

    let main = &data.lists[MAIN];
    let mut single = Case::new("one", [connect(main, &main.path, "identity", 1)]);
    let mut pair = Case::new("two", [connect(main, &main.path, "identity", 2)]);
    take(&mut [&mut single, &mut pair], &service, samples, exchanges);

    let page = |number: u32| format!("{}&page={number}", main.path);
    for number in 1..DEEP_PAGE {
        connect(main, &page(number), "identity", 1).exchange();
    }
    let (mut first, mut deep) = (case(main, &page(1), "identity"), case(main, &page(DEEP_PAGE), "identity"));
    take(&mut [&mut first, &mut deep], &service, samples, exchanges);

    let loads: Vec<_> = data.lists.iter().map(|list| data.load_cpu(list, 500)).collect();
    data.live();
    let mut lived: Vec<_> = data.lists.iter().map(|list| case(list, &list.path, "identity")).collect();
    take(&mut lived.iter_mut().collect::<Vec<_>>(), &service, samples, exchanges);

    let lists = lists.into_iter().zip(loads).map(|((plain, gzip), load)| (plain, gzip, load * 1e6));
    Report { engine, lists: lists.collect(), single, pair, first, deep, lived, client }
}

impl Report {
    /// The worst list of each ratio.
    fn figures(&self) -> Figures {
        let worst = |ratios: Vec<(&str, f64)>| {
            let worst = ratios.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            (worst.0.to_owned(), worst.1)
        };
        let of_lists = |ratio: &dyn Fn(&(Case, Case, f64)) -> f64| {
            worst(self.lists.iter().map(|list| (list.0.name.as_str(), ratio(list))).collect())
        };
        let lived = self.lived.iter().zip(&self.lists);
        let lived =
            lived.map(|(lived, (rested, ..))| (lived.name.as_str(), lived.fastest() / rested.fastest()));
        BTreeMap::from([
            (wire::GZIP.to_owned(), of_lists(&|(plain, gzip, _)| gzip.fastest() / plain.fastest())),
            (wire::PAIR.to_owned(), (String::new(), self.pair.fastest() / self.single.fastest())),
            (wire::DEEP.to_owned(), (String::new(), self.deep.fastest() / self.first.fastest())),
            (wire::LIVED.to_owned(), worst(lived.collect())),
            (wire::LOAD.to_owned(), of_lists(&|(plain, _, load)| plain.cpu() / load)),
        ])
    }

    fn table(&self) -> String {
        let mut text = format!(
            "## {:?}, {} flyers, {CONNECTIONS} connections\n\n\
             | | requests/s | p50 ms | p99 ms | CPU µs | gzip requests/s | p50 ms | p99 ms | CPU µs \
             | load in process, CPU µs |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            self.engine,
            run::size(),
        );
        for (plain, gzip, load) in &self.lists {
            let cells = [plain, gzip].map(|case| {
                let (p50, p99) = (case.percentile(0.5), case.percentile(0.99));
                format!("{:.0} | {p50:.2} | {p99:.2} | {:.0}", 1.0 / case.fastest(), case.cpu())
            });
            let _ = writeln!(text, "| {} | {} | {load:.0} |", plain.name, cells.join(" | "));
        }
        let _ = writeln!(
            text,
            "\nRequests a second: the fastest sample. CPU: the service's, a request. The client took {:.0} % of it.\n",
            100.0 * self.client
        );
        for (name, (list, ratio)) in self.figures() {
            let _ = writeln!(text, "- {name}: {ratio:.2} {list}");
        }
        text + "\n"
    }
}

/// PostgreSQL's requests a second to SQLite's.
fn rates(sqlite: &Report, postgres: &Report) -> String {
    let mut text =
        "## PostgreSQL to SQLite, requests a second\n\n| | plain | gzip |\n| --- | ---: | ---: |\n"
            .to_owned();
    for (one, other) in sqlite.lists.iter().zip(&postgres.lists) {
        let ratio = |sqlite: &Case, postgres: &Case| sqlite.fastest() / postgres.fastest();
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} |",
            one.0.name,
            ratio(&one.0, &other.0),
            ratio(&one.1, &other.1)
        );
    }
    text + "\n"
}
