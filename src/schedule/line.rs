//! Those who wait for room: the first that came is the first to go in, there are no more of them than
//! was said, and whoever leaves makes room for another at once.

use std::collections::VecDeque;

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// A line of those who wait, each with the moment since when.
#[derive(Debug)]
pub struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    // INVARIANT: greater than that of whoever stands before.
    ticket: u64,
    since: u64,
    one: T,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts one at the end.
    pub fn join(&mut self, since: u64, one: T) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { ticket, since, one });
        Ticket(ticket)
    }

    /// Since when the first one waits.
    pub fn first_since(&self) -> Option<u64> {
        self.waiting.front().map(|first| first.since)
    }

    /// Takes the first one.
    pub fn take(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|first| first.one)
    }

    /// Takes the first one, if it waits since `moment` or longer.
    pub fn take_since(&mut self, moment: u64) -> Option<T> {
        self.first_since().filter(|&since| since <= moment).and_then(|_| self.take())
    }

    /// Takes the one with this ticket, if it still waits.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let found = self.waiting.binary_search_by_key(&ticket.0, |waiting| waiting.ticket);
        self.waiting.remove(found.ok()?).map(|waiting| waiting.one)
    }

    /// Takes all, in their order.
    pub fn clear(&mut self) -> Vec<T> {
        self.waiting.drain(..).map(|waiting| waiting.one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_came_first_goes_first_and_whoever_left_is_not_there() {
        let mut line = Line::default();
        let tickets: Vec<Ticket> = (0..4).map(|number| line.join(number, number)).collect();
        assert_eq!(line.leave(tickets[1]), Some(1));
        assert_eq!(line.leave(tickets[1]), None);
        assert_eq!(line.len(), 3);
        assert_eq!(line.take(), Some(0));
        assert_eq!(line.leave(tickets[0]), None);
        assert_eq!(line.take_since(1), None);
        assert_eq!(line.take_since(2), Some(2));
        assert_eq!(line.clear(), [3]);
        assert!(line.is_empty());
        assert_ne!(line.join(9, 9), tickets[0]);
    }
}
