//! What the operating system says of a process.

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
