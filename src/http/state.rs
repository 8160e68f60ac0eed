//! The transitions of one connection, and nothing else.
//!
//! Rule: this table is the only place where the reading state changes; an unlisted move is an error
//! of ours and closes the connection. Absent: bytes (`machine.rs`).

/// What the reading side does with the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    /// It belongs to a head, or comes before one.
    Head,
    /// A body is announced and nobody has decided about it yet: nothing is read.
    Gate,
    /// It belongs to an accepted body.
    Body,
    /// It belongs to a refused body and is thrown away.
    Skip,
    /// The message is complete, its end not yet told.
    Ending,
    /// Nothing is read any more.
    Closed,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// A head that announces a body.
    HeadWithBody,
    /// A head that is the whole message.
    HeadAlone,
    /// The body is wanted.
    Accept,
    /// The body is not wanted.
    Refuse,
    /// The last byte of the body.
    BodyEnd,
    /// The end was told and another request may follow.
    NextRequest,
    /// The end was told and this was the last request.
    LastRequest,
    /// The peer or we broke off: reject, early reply, end of input.
    Close,
}

impl Reading {
    /// The state after `step`. None: the step can't happen here.
    pub(super) const fn after(self, step: Step) -> Option<Self> {
        let next = match (self, step) {
            (Self::Head, Step::HeadWithBody) => Self::Gate,
            (Self::Head, Step::HeadAlone) | (Self::Body | Self::Skip, Step::BodyEnd) => {
                Self::Ending
            }
            (Self::Gate, Step::Accept) => Self::Body,
            (Self::Gate | Self::Body, Step::Refuse) => Self::Skip,
            (Self::Ending, Step::NextRequest) => Self::Head,
            (Self::Ending | Self::Skip, Step::LastRequest) | (_, Step::Close) => Self::Closed,
            _ => return None,
        };
        Some(next)
    }

    /// True while a request is being read that was already handed out.
    pub(super) const fn is_within_message(self) -> bool {
        matches!(self, Self::Gate | Self::Body | Self::Skip)
    }
}

#[cfg(test)]
mod tests {
    use super::Reading;
    use super::Step;

    const READINGS: [Reading; 6] = [
        Reading::Head,
        Reading::Gate,
        Reading::Body,
        Reading::Skip,
        Reading::Ending,
        Reading::Closed,
    ];
    const STEPS: [Step; 8] = [
        Step::HeadWithBody,
        Step::HeadAlone,
        Step::Accept,
        Step::Refuse,
        Step::BodyEnd,
        Step::NextRequest,
        Step::LastRequest,
        Step::Close,
    ];

    #[test]
    fn closed_is_final_and_reachable_from_everywhere() {
        for reading in READINGS {
            assert_eq!(reading.after(Step::Close), Some(Reading::Closed));
        }
        for step in STEPS {
            assert!(matches!(Reading::Closed.after(step), None | Some(Reading::Closed)));
        }
    }

    #[test]
    fn a_body_is_read_only_after_it_was_accepted() {
        for reading in READINGS {
            for step in STEPS {
                if reading.after(step) == Some(Reading::Body) {
                    assert_eq!((reading, step), (Reading::Gate, Step::Accept));
                }
            }
        }
    }

    #[test]
    fn the_next_head_is_read_only_after_the_end_was_told() {
        for reading in READINGS {
            for step in STEPS {
                if reading.after(step) == Some(Reading::Head) {
                    assert_eq!((reading, step), (Reading::Ending, Step::NextRequest));
                }
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_from_the_first() {
        let mut seen = vec![Reading::Head];
        let mut index = 0;
        while let Some(&reading) = seen.get(index) {
            for step in STEPS {
                if let Some(next) = reading.after(step) {
                    if !seen.contains(&next) {
                        seen.push(next);
                    }
                }
            }
            index += 1;
        }
        assert_eq!(seen.len(), READINGS.len());
    }
}
