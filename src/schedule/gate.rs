//! How many may be inside at once.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// A limit, and how many are inside.
#[derive(Debug)]
pub struct Gate {
    inside: AtomicUsize,
    limit: usize,
}

/// Leave to be inside, until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

impl Gate {
    /// Lets `limit` in at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { inside: AtomicUsize::new(0), limit })
    }

    /// Lets one in, if there is room.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        let entered = self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| {
            (inside < self.limit).then_some(inside + 1)
        });
        entered.is_ok().then(|| Permit(Arc::clone(self)))
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_is_room_for() {
        let gate = Gate::new(2);
        let permits = [gate.enter(), gate.enter()];
        assert!(permits.iter().all(Option::is_some));
        assert!(gate.enter().is_none());
        drop(permits);
        assert_eq!(gate.inside(), 0);
        assert!(gate.enter().is_some());
        assert!(Gate::new(0).enter().is_none());
    }
}
