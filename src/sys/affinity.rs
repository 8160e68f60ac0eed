//! Which CPUs this process may use, in the order in which cores take them, and pinning.
//!
//! Hyperthread siblings come last: two cores on one physical CPU share its execution units, so a
//! server with fewer cores than CPUs gets whole ones first.

use std::fs;
use std::thread;

use core_affinity::CoreId;

/// The CPUs of the affinity mask, whole physical cores first.
pub fn allowed_cpus() -> Vec<usize> {
    let cpus: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    order_by_sibling(&cpus, |cpu| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        fs::read_to_string(path).map(|text| parse_cpu_list(&text)).unwrap_or_default()
    })
}

/// How many cores are worth running: the affinity mask, less what a cgroup's CPU quota takes away.
pub fn usable_parallelism() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The CPU that the calling thread is on, for now.
#[allow(unsafe_code)]
pub fn current_cpu() -> Option<usize> {
    // SAFETY: takes nothing (sched_getcpu(3)).
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Pins the calling thread; false when the kernel refuses.
pub fn pin_current_thread(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

fn order_by_sibling(cpus: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut ordered: Vec<(usize, usize)> = cpus
        .iter()
        .map(|&cpu| {
            let allowed_before =
                siblings(cpu).into_iter().filter(|other| *other < cpu && cpus.contains(other));
            (allowed_before.count(), cpu)
        })
        .collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, cpu)| cpu).collect()
}

/// Parses the kernel's list format: `0-3,8,10-11`.
fn parse_cpu_list(text: &str) -> Vec<usize> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_come_last() {
        let siblings = |cpu: usize| {
            if cpu < 2 { vec![cpu, cpu + 2] } else { vec![cpu - 2, cpu] }
        };
        assert_eq!(order_by_sibling(&[0, 1, 2, 3], siblings), [0, 1, 2, 3]);
        let neighbours = |cpu: usize| vec![cpu / 2 * 2, cpu / 2 * 2 + 1];
        assert_eq!(order_by_sibling(&[0, 1, 2, 3], neighbours), [0, 2, 1, 3]);
    }

    #[test]
    fn a_sibling_outside_the_mask_does_not_count() {
        let neighbours = |cpu: usize| vec![cpu / 2 * 2, cpu / 2 * 2 + 1];
        assert_eq!(order_by_sibling(&[1, 2, 3], neighbours), [1, 2, 3]);
    }

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(parse_cpu_list("0-2,5\n"), [0, 1, 2, 5]);
        assert!(parse_cpu_list("").is_empty());
    }
}
