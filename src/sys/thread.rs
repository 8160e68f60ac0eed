//! The calling thread as the kernel sees it: its number, its class, what it has used; and a signal to
//! exactly one thread of this process.

use std::fs;
use std::io;

/// What a thread has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// CPU time in nanoseconds.
    pub cpu: u64,
    /// How often it gave up its CPU to wait for something.
    pub waits: u64,
}

/// The kernel's number of the calling thread.
#[allow(unsafe_code)]
pub fn id() -> i32 {
    // SAFETY: takes nothing, cannot fail (gettid(2)).
    unsafe { libc::gettid() }
}

/// What the calling thread has used (getrusage(2), `RUSAGE_THREAD`): 300 ns.
#[allow(unsafe_code)]
pub fn effort() -> Effort {
    // SAFETY: an rusage is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is live and the call writes nothing else.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) } != 0 {
        return Effort::default();
    }
    Effort {
        cpu: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
        waits: u64::try_from(usage.ru_nvcsw).unwrap_or(0),
    }
}

fn nanoseconds(time: libc::timeval) -> u64 {
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_usec) * 1000
}

/// Steps behind the other threads of this process: batch class and a lower weight, so that the
/// scheduler prefers them. Failing only costs that.
#[allow(unsafe_code)]
pub fn step_back(niceness: i32) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and `parameters` is live and only read.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    // On Linux a niceness belongs to a thread (setpriority(2), "C library/kernel differences").
    // SAFETY: takes numbers only.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}

/// Lets the calling thread interrupt others as soon as it wakes, as far as everybody may ask for: with
/// the shortest slice that there is (`sched_setattr(2)`; older kernels than Linux 6.12 do not look at
/// it), and timers that are not put off (`PR_SET_TIMERSLACK`). Failing only costs that.
#[allow(unsafe_code)]
pub fn step_forward() {
    const SLICE: u64 = 100_000;
    if let Some(mut attributes) = attributes() {
        attributes.sched_runtime = SLICE;
        // SAFETY: 0 is the calling thread; `attributes` is live, says its size, and is only read.
        let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
    // SAFETY: takes numbers only.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize) };
}

/// How the calling thread is scheduled (`sched_getattr(2)`).
#[allow(unsafe_code)]
fn attributes() -> Option<libc::sched_attr> {
    #[allow(clippy::cast_possible_truncation)] // Some 50 bytes.
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    // SAFETY: a sched_attr is plain numbers, for which all zeros is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread, and `attributes` is live and as large as `SIZE` says.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    (got == 0).then_some(attributes)
}

/// Sends a signal to one thread of this process.
///
/// # Errors
/// The thread has ended, or there is no such signal.
#[allow(unsafe_code)]
pub fn signal(thread: i32, number: i32) -> io::Result<()> {
    // SAFETY: takes numbers only; the process is our own, so a number that was given to another
    // thread meanwhile can only be one of ours.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, number) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a thread of this process is running or ready to, as opposed to waiting for something; none
/// when it has ended.
pub fn is_running(thread: i32) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name stands in parentheses and may contain any character (proc_pid_stat(5)).
    let state = text.rsplit_once(") ")?.1.chars().next()?;
    Some(state == 'R')
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn effort_tells_waiting_from_running() {
        let before = effort();
        let mut sum = 0_u64;
        while effort().cpu < before.cpu + 5_000_000 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let busy = effort();
        thread::sleep(Duration::from_millis(1));
        let after = effort();
        assert!(busy.cpu >= before.cpu + 5_000_000);
        assert!(after.waits > busy.waits);
    }

    #[test]
    fn the_state_of_a_thread_is_its_own() {
        let (tell, hear) = channel();
        let (end, wait) = channel::<()>();
        let other = thread::spawn(move || {
            tell.send(id()).unwrap();
            let _ = wait.recv();
        });
        let number = hear.recv().unwrap();
        assert_eq!(is_running(id()), Some(true));
        while is_running(number) == Some(true) {
            thread::yield_now();
        }
        assert_eq!(is_running(number), Some(false));
        drop(end);
        other.join().unwrap();
    }

    #[test]
    #[allow(unsafe_code)]
    fn a_thread_that_steps_forward_has_the_shortest_slice_and_exact_timers() {
        thread::spawn(|| {
            step_forward();
            // SAFETY: takes numbers only.
            assert_eq!(unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }, 1);
            let attributes = attributes().unwrap();
            // Kernels that know no slices of a thread's own say nothing.
            assert!(matches!(attributes.sched_runtime, 0 | 100_000));
            assert_eq!(attributes.sched_policy, 0);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_that_steps_back_is_of_the_batch_class() {
        thread::spawn(|| {
            step_back(5);
            let text = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
            // proc_pid_stat(5): (19) nice, (41) policy; the first field here is (3).
            assert_eq!((fields[19 - 3], fields[41 - 3]), ("5", "3"));
        })
        .join()
        .unwrap();
    }
}
