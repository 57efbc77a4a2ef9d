//! A PostgreSQL of the test's own, which it may stop and kill.

use std::path::PathBuf;
use std::process::Command;

/// A server in a folder of its own, by `scripts/pg`; it goes when the test ends.
pub struct OwnServer {
    /// The URL of a database there. Its commits are on the disk, or at least with the operating system, when they are
    /// acknowledged: `scripts/pg` waits for neither.
    pub url: String,
    folder: PathBuf,
    /// Deletes the folder when it is dropped.
    _parent: tempfile::TempDir,
}

impl OwnServer {
    pub fn start() -> Self {
        let parent = tempfile::Builder::new().prefix("feed-faults").tempdir_in("/tmp").unwrap();
        // The server's account, which is another one where the tests run as root, must get through.
        let open = Command::new("chmod").args(["755"]).arg(parent.path()).status();
        assert!(open.unwrap().success());
        let folder = parent.path().join("pg");
        let line = pg("start", &folder);
        let url = line.split('\'').nth(1).expect("the line to evaluate").to_owned();
        Self { url: format!("{url}&options=-c%20synchronous_commit%3Don"), folder, _parent: parent }
    }

    /// Stops it as its operator does: those who are connected are thrown out.
    pub fn stop(&self) {
        pg("stop", &self.folder);
    }

    /// Kills all of its processes at once.
    pub fn kill(&self) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let main = file.lines().next().unwrap().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
        // The main one first: it would start others in their place. One of those may have gone by itself.
        for process in std::iter::once(main.as_str()).chain(children.split_whitespace()) {
            let _ = Command::new("kill").args(["-KILL", process]).output().unwrap();
        }
    }

    /// Starts it again, with the data that it had.
    pub fn start_again(&self) {
        pg("start", &self.folder);
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("stop").arg(&self.folder).output();
    }
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/pg");

fn pg(what: &str, folder: &std::path::Path) -> String {
    let output = Command::new(SCRIPT).arg(what).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
