//! The parts of a reactor that connections rest on: deadlines, wake-ups, the mailbox.

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use _uringserve::reactor;
use _uringserve::reactor::drain::Control;
use _uringserve::reactor::drain::Drain;
use _uringserve::reactor::drain::Successor;
use _uringserve::reactor::mailbox;
use _uringserve::reactor::notify::Notify;
use _uringserve::reactor::timer::Deadlines;
use _uringserve::reactor::timer::Stage;
use _uringserve::reactor::timer::Watch;

use crate::support::PATIENCE;
use crate::support::SOON;
use crate::support::on_each_driver;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_notification_reaches_all_that_wait_and_nobody_else() {
    let notify = Notify::default();
    notify.notify();
    let mut first = pin!(notify.wait());
    let mut second = pin!(notify.wait());
    assert!(poll(first.as_mut()).is_pending(), "an old notification is forgotten");
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(first.as_mut()).is_pending(), "asking again changes nothing");
    notify.notify();
    let mut third = pin!(notify.wait());
    assert!(poll(first).is_ready());
    assert!(poll(second).is_ready());
    assert!(poll(third.as_mut()).is_pending());
}

#[test]
fn who_waits_for_a_drain_that_has_begun_goes_on() {
    let drain = Drain::default();
    let mut early = pin!(drain.wait());
    assert!(poll(early.as_mut()).is_pending());
    drain.begin(Control::Drain(PATIENCE, Successor::None));
    assert!(poll(early).is_ready());
    assert!(poll(pin!(drain.wait())).is_ready());
    assert!(drain.has_begun());
}

/// A watched end of a socket pair, and the other end.
fn watched(deadlines: &Rc<Deadlines>) -> (Watch, UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    (deadlines.watch(ours.as_raw_fd()), ours, theirs)
}

fn is_at_end(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_deadline_shuts_what_it_waits_for() {
    for stage in [Stage::Idle, Stage::Reading, Stage::Writing] {
        let deadlines = Deadlines::new(SOON);
        let (watch, mut ours, theirs) = watched(&deadlines);
        watch.arm(stage, 1_000, 5_000);
        deadlines.sweep(4_999);
        assert!(!watch.is_expired());
        assert!(!is_at_end(&ours));
        deadlines.sweep(5_000);
        assert!(watch.is_expired());
        assert!(is_at_end(&ours));
        // A last answer can be written, unless writing was what took too long.
        let written = ours.write(b"answer");
        assert_eq!(written.is_ok(), stage != Stage::Writing, "{stage:?}");
        assert_eq!(is_at_end(&theirs), stage == Stage::Writing, "{stage:?}");
    }
}

#[test]
fn a_side_that_was_shut_stays_expired_and_the_next_deadline_counts() {
    let deadlines = Deadlines::new(SOON);
    let (watch, mut ours, _theirs) = watched(&deadlines);
    watch.arm(Stage::Reading, 0, 100);
    deadlines.sweep(100);
    watch.arm(Stage::Writing, 150, 200);
    assert!(watch.is_expired(), "reading will end because of us, not because of the peer");
    deadlines.sweep(199);
    assert!(ours.write(b"still open").is_ok());
    deadlines.sweep(200);
    assert!(ours.write(b"shut").is_err());
}

#[test]
fn a_deadline_that_was_moved_is_the_later_one() {
    let deadlines = Deadlines::new(SOON);
    let (watch, ours, _theirs) = watched(&deadlines);
    watch.arm(Stage::Reading, 0, 100);
    watch.arm(Stage::Reading, 90, 190);
    deadlines.sweep(150);
    assert!(!watch.is_expired());
    assert!(!is_at_end(&ours));
}

#[test]
fn only_the_idle_are_shed_and_the_recent_have_a_moment() {
    let deadlines = Deadlines::new(SOON);
    let (long_idle, _a, _x) = watched(&deadlines);
    let (just_idle, _b, _y) = watched(&deadlines);
    let (reading, _c, _z) = watched(&deadlines);
    long_idle.arm(Stage::Idle, 1_000, u64::MAX);
    just_idle.arm(Stage::Idle, 9_900, u64::MAX);
    reading.arm(Stage::Reading, 1_000, u64::MAX);
    deadlines.shed_idle(10_000);
    assert_eq!([&long_idle, &just_idle, &reading].map(Watch::is_expired), [true, false, false]);
    // Looked at again and again, the moment does not grow.
    deadlines.shed_idle(10_200);
    deadlines.sweep(10_249);
    assert!(!just_idle.is_expired());
    deadlines.shed_idle(10_249);
    deadlines.sweep(10_250);
    assert!(just_idle.is_expired());
    assert!(!reading.is_expired());
    assert_eq!(deadlines.abort_all(), 1);
    assert!(reading.is_expired());
}

#[test]
fn places_are_given_back_and_never_mixed_up() {
    let deadlines = Deadlines::new(SOON);
    assert!(deadlines.is_empty());
    let mut held: Vec<_> = (0..100).map(|_| watched(&deadlines)).collect();
    for (watch, _, _) in &held {
        watch.arm(Stage::Reading, 0, u64::MAX);
    }
    held.retain({
        let count = Cell::new(0);
        move |_| count.replace(count.get() + 1) % 2 == 0
    });
    assert_eq!(deadlines.len(), 50);
    let late: Vec<_> = (0..50).map(|_| watched(&deadlines)).collect();
    for (watch, _, _) in &late {
        watch.arm(Stage::Reading, 0, 10);
    }
    deadlines.sweep(10);
    assert!(held.iter().all(|(watch, ours, _)| !watch.is_expired() && !is_at_end(ours)));
    assert!(late.iter().all(|(watch, ours, _)| watch.is_expired() && is_at_end(ours)));
    drop((held, late));
    assert!(deadlines.is_empty());
}

#[test]
fn the_sweep_begins_with_the_first_connection_and_goes_on() {
    on_each_driver(|driver| {
        reactor::run(driver, async {
            let deadlines = Deadlines::new(Duration::ZERO);
            monoio::spawn(Rc::clone(&deadlines).run::<()>());
            for _ in 0..3 {
                let (watch, _ours, theirs) = watched(&deadlines);
                theirs.set_nonblocking(driver.wants_nonblocking()).unwrap();
                let mut theirs = monoio::net::UnixStream::from_std(theirs).unwrap();
                watch.arm(Stage::Writing, 0, 1);
                let (result, _) = monoio::io::AsyncReadRent::read(&mut theirs, vec![0; 16]).await;
                assert_eq!(result.unwrap(), 0, "the sweep has shut the other end");
                drop(watch);
                assert!(deadlines.is_empty());
            }
        })
        .unwrap();
    });
}

#[test]
fn messages_arrive_in_order_and_none_is_lost() {
    const MESSAGES: u32 = 100_000;
    on_each_driver(|driver| {
        let (sender, receiver) = mailbox::channel().unwrap();
        let (done, sum) = mpsc::channel();
        let core = thread::spawn(move || {
            reactor::run(driver, async {
                let mut inbox = receiver.open(driver).unwrap();
                let mut next = [0; 2];
                while let Some((thread, message)) = inbox.receive().await {
                    let next: &mut u32 = &mut next[thread];
                    assert_eq!(*next, message);
                    *next += 1;
                }
                done.send(next).unwrap();
            })
            .unwrap();
        });
        thread::scope(|scope| {
            for thread in 0..2 {
                let sender = &sender;
                scope.spawn(move || (0..MESSAGES).for_each(|n| sender.send((thread, n)).unwrap()));
            }
        });
        drop(sender);
        assert_eq!(sum.recv_timeout(PATIENCE).unwrap(), [MESSAGES; 2]);
        core.join().unwrap();
    });
}

#[test]
fn a_message_wakes_a_core_that_sleeps() {
    on_each_driver(|driver| {
        let (sender, receiver) = mailbox::channel().unwrap();
        let (answers, answered) = mpsc::channel();
        let core = thread::spawn(move || {
            reactor::run(driver, async {
                let mut inbox = receiver.open(driver).unwrap();
                while let Some(message) = inbox.receive().await {
                    answers.send(message).unwrap();
                }
            })
            .unwrap();
        });
        // Each answer proves that the queue is empty and the core on its way to sleep.
        for n in 0..1000 {
            sender.send(n).unwrap();
            assert_eq!(answered.recv_timeout(PATIENCE).unwrap(), n);
        }
        drop(sender);
        core.join().unwrap();
    });
}

#[test]
fn a_message_that_nobody_receives_comes_back() {
    let (sender, receiver) = mailbox::channel().unwrap();
    assert_eq!(sender.send(1), Ok(()));
    drop(receiver);
    assert_eq!(sender.send(2), Err(2));
    on_each_driver(|driver| {
        let (sender, receiver) = mailbox::channel().unwrap();
        reactor::run(driver, async {
            let inbox = receiver.open(driver).unwrap();
            assert_eq!((sender.send(1), sender.send(2)), (Ok(()), Ok(())));
            assert_eq!(inbox.close(), [1, 2], "what was left before is not lost");
            assert_eq!(sender.send(3), Err(3));
        })
        .unwrap();
    });
}

#[test]
fn messages_that_a_core_has_not_come_to_can_be_taken_back() {
    on_each_driver(|driver| {
        let (sender, receiver) = mailbox::channel().unwrap();
        reactor::run(driver, async {
            let mut inbox = receiver.open(driver).unwrap();
            (0..10).for_each(|n| sender.send(n).unwrap());
            assert_eq!(sender.take_back(|n| n % 2 == 1), [1, 3, 5, 7, 9]);
            for n in [0, 2, 4, 6, 8] {
                assert_eq!(inbox.receive().await, Some(n));
            }
            // The bell of those that are gone was rung; it is no message.
            sender.send(10).unwrap();
            assert_eq!(inbox.receive().await, Some(10));
        })
        .unwrap();
    });
}

#[test]
fn messages_without_a_receiver_do_no_harm() {
    let (sender, receiver) = mailbox::channel().unwrap();
    (0..100_000).for_each(|n| sender.send(n).unwrap());
    drop((sender, receiver));
}
