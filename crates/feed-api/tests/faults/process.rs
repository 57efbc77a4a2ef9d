//! What the operating system says of a process.

use std::net::SocketAddrV4;
use std::process::Child;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// KiB of memory that a process has.
pub fn memory(child: &Child) -> u64 {
    status(child, "VmRSS:")
}

/// KiB of memory that a process has had at the most.
pub fn peak_memory(child: &Child) -> u64 {
    status(child, "VmHWM:")
}

fn status(child: &Child, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// How many files and connections a process has open.
pub fn open_files(child: &Child) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count()
}

/// Lets this process have as many files open as the operating system grants, and tells how many those are.
pub fn raise_open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap())
}

/// Where a process listens.
pub fn listening(child: &Child) -> Vec<SocketAddrV4> {
    let process = format!("/proc/{}", child.id());
    let files = std::fs::read_dir(format!("{process}/fd")).into_iter().flatten();
    let open: Vec<_> = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect();
    let sockets = std::fs::read_to_string(format!("{process}/net/tcp")).unwrap_or_default();
    let address = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_own = open.contains(&format!("socket:[{}]", fields.get(9)?).into());
        // The operating system's number of the state.
        if fields[3] != "0A" || !is_own {
            return None;
        }
        let (ip, port) = fields[1].split_once(':')?;
        // The bytes of the address as they lie in memory.
        let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
        Some(SocketAddrV4::new(ip.into(), u16::from_str_radix(port, 16).ok()?))
    };
    sockets.lines().filter_map(address).collect()
}
