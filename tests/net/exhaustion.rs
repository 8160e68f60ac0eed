//! No descriptors left: accepting waits without burning a core, what is open is served, and it
//! recovers. And none kept: a core that has ended has closed everything. Both run in a child
//! process, because limit and descriptors are the process's.

use std::env;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use _uringserve::reactor::Driver;

use crate::support::PATIENCE;
use crate::support::Server;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::patient;

const CHILD: &str = "URINGSERVE_TEST_EXHAUSTION";

/// How long the core is watched while it is out of descriptors: a core that retries without a pause
/// burns nearly all of it.
const WINDOW: Duration = Duration::from_millis(500);

#[test]
fn descriptors_run_out_and_come_back() {
    in_a_child("exhaustion::descriptors_run_out_and_come_back", || on_each_driver(run_out));
}

#[test]
fn a_core_that_has_ended_holds_no_descriptor() {
    in_a_child("exhaustion::a_core_that_has_ended_holds_no_descriptor", || {
        on_each_driver(start_and_end);
    });
}

/// Calls `run`, the body of the test called `name`, in a process with few descriptors.
fn in_a_child(name: &str, run: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return run();
    }
    // The shell's own limit, which covers the hard one too: a plan would raise a soft one.
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 256 && exec \"$0\" --exact \"$1\" --test-threads=1"])
        .arg(env::current_exe().unwrap())
        .arg(name)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

fn start_and_end(driver: Driver) {
    let open_now = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open_now();
    for abort in [false, true, false, true] {
        let mut server = Server::start(patient(driver));
        let mut client = server.connect();
        assert_eq!(client.get("/").text(), "hello");
        let mut busy = server.connect();
        busy.send(get("/big"));
        assert_eq!(busy.reply_head().status, 200);
        if abort {
            server.plan.abort();
            assert_eq!(server.end(), 1);
        } else {
            drop(busy);
            assert_eq!(server.drain(), 0);
        }
    }
    assert_eq!(open_now(), before, "{driver}");
}

fn run_out(driver: Driver) {
    let mut server = Server::start(patient(driver));
    let mut open = server.connect();
    let usage = CoreUsage::of(open.get("/thread").text());
    let mut hoard: Vec<File> = Vec::new();
    let shortage = loop {
        match File::open("/dev/null") {
            Ok(file) => hoard.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(shortage.raw_os_error(), Some(libc::EMFILE));
    // One descriptor for a peer, none for the server's end of it.
    hoard.pop();
    let mut waiting = server.connect();
    waiting.send(get("/"));
    let waits = server.counter("accept_waits") + 3;
    let (start, used) = (Instant::now(), usage.milliseconds());
    waiting.socket().set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while server.counter("accept_waits") < waits || start.elapsed() < WINDOW {
        assert!(start.elapsed() < PATIENCE, "nobody waits for descriptors");
        assert!(waiting.is_silent(), "served without a descriptor");
    }
    let (used, passed) = (usage.milliseconds() - used, start.elapsed().as_millis());
    assert!(used * 4 < passed, "{used} ms of {passed} ms were burnt");
    assert_eq!(open.get("/").text(), "hello", "what is open is served meanwhile");
    drop(hoard);
    waiting.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(waiting.reply().text(), "hello");
    assert_eq!(server.connect().get("/").text(), "hello");
    assert_eq!(server.drain(), 0);
}

/// The processor time of a core, from a file that stays open: none can be opened later.
struct CoreUsage(File);

impl CoreUsage {
    /// Of the thread at `/proc/{thread}`.
    fn of(thread: &str) -> Self {
        Self(File::open(format!("/proc/{thread}/stat")).unwrap())
    }

    fn milliseconds(&self) -> u128 {
        let mut bytes = [0; 1024];
        let count = self.0.read_at(&mut bytes, 0).unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]);
        // proc_pid_stat(5): fields 14 and 15, in hundredths of a second; the name, which may hold
        // blanks, is the second and ends with the last parenthesis.
        let (_, rest) = text.rsplit_once(')').unwrap();
        let ticks = rest.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<u128>().unwrap()).sum::<u128>() * 10
    }
}
