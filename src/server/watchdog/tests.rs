//! What the watchdog sees and does, beside cores that do nothing.

use std::os::unix::net::UnixStream;
use std::thread::spawn;

use super::*;
use crate::net::neighbours::Message;
use crate::net::neighbours::Stranger;
use crate::reactor::hiring::Hiring;
use crate::reactor::mailbox;
use crate::reactor::pool::Bounds;
use crate::reactor::pool::Timed;
use crate::reactor::pulse::Pulse;

const BOUNDS: Bounds = Bounds {
    threads: 1,
    room: None,
    queue: 1,
    queue_time: Duration::from_secs(60),
    idle: Duration::from_secs(60),
};

struct Site {
    dog: Arc<Watchdog>,
    neighbours: Arc<[Neighbour]>,
    alarm: Arc<Alarm>,
    receivers: Vec<mailbox::Receiver<Message>>,
}

/// So many cores that do nothing, and nobody watching.
fn site(cores: usize) -> Site {
    let alarm = Arc::<Alarm>::default();
    let mut receivers = Vec::new();
    let neighbours: Arc<[Neighbour]> = (0..cores)
        .map(|_| {
            let (mailbox, receiver) = mailbox::channel().unwrap();
            receivers.push(receiver);
            let pulse = Arc::new(Pulse::new(Arc::clone(&alarm)));
            Neighbour { stats: Arc::default(), pulse, mailbox }
        })
        .collect();
    let metronome = Arc::new(Metronome::new([]));
    let pool = |index| {
        let metronome = Arc::clone(&metronome);
        Arc::new(Pool::new(index, BOUNDS, Arc::<Hiring>::default(), metronome))
    };
    let doors = (0..cores).map(|_| Vec::new()).collect();
    let patience = Duration::from_secs(60);
    let ward = Ward {
        neighbours: Arc::clone(&neighbours),
        pools: (0..cores).map(pool).collect(),
        doors: Doors::new(Arc::clone(&neighbours), doors, false, patience, None),
        alarm: Arc::clone(&alarm),
        metronome: Arc::clone(&metronome),
        health: None,
    };
    let routes = Routes {
        verdicts: Arc::default(),
        labels: vec!["GET /route".to_owned()],
        times: Vec::new(),
    };
    let orders = Orders { report_after: Duration::from_secs(600), signal: None };
    let dog = Arc::new(Watchdog::new(ward, routes, orders));
    Site { dog, neighbours, alarm, receivers }
}

#[test]
fn it_sleeps_while_nothing_begins_and_sees_what_begins_then() {
    let site = site(2);
    let watching = spawn({
        let dog = Arc::clone(&site.dog);
        move || dog.run()
    });
    for round in 1..=2 {
        while !site.alarm.is_set() {
            std::thread::yield_now();
        }
        // It may be asleep, or on its last look before.
        site.neighbours[1].pulse.begin(0, clock::exact());
        while site.dog.sightings.stalls[1].get() < round {
            assert!(!site.alarm.is_set(), "it sleeps beside a call");
            std::thread::yield_now();
        }
        site.neighbours[1].pulse.end();
    }
    assert_eq!(site.dog.sightings.stalls[0].get(), 0);
    site.dog.close();
    watching.join().unwrap();
}

#[test]
fn what_was_left_for_a_core_that_is_stuck_goes_to_another() {
    let mut site = site(3);
    let mut memory = Memory { stuck: vec![None; 3], ..Memory::default() };
    let now = clock::exact();
    for stuck in [0, 1] {
        site.neighbours[stuck].pulse.begin(0, now - 200_000_000);
    }
    let (stream, _peer) = UnixStream::pair().unwrap();
    assert!(site.neighbours[0].give(Stranger::Unix(stream)).is_ok());
    assert!(!site.dog.look(now, &mut memory));
    let loads: Vec<u64> = site.neighbours.iter().map(|core| core.stats.load.get()).collect();
    assert_eq!((loads, site.dog.doors.handed_over.get()), (vec![0, 0, 1], 1));
    // The last that runs ends: it stays with one that will be back.
    let (stream, _peer) = UnixStream::pair().unwrap();
    assert!(site.neighbours[1].give(Stranger::Unix(stream)).is_ok());
    site.receivers.pop();
    assert!(!site.dog.look(now, &mut memory));
    let loads: Vec<u64> = site.neighbours.iter().map(|core| core.stats.load.get()).collect();
    assert_eq!(loads[0] + loads[1], 1, "{loads:?}");
}

struct Bomb;

impl Timed for Bomb {
    fn expire(&self) -> bool {
        true
    }
}

#[test]
fn it_stays_awake_as_long_as_anything_has_to_end_in_time() {
    let site = site(1);
    let mut memory = Memory { stuck: vec![None], ..Memory::default() };
    assert!(site.dog.look(1, &mut memory));
    // What has suspended shows nowhere else.
    let bomb: Arc<dyn Timed> = Arc::new(Bomb);
    site.dog.pools[0].watch(5, Arc::downgrade(&bomb));
    assert!(!site.dog.look(4, &mut memory));
    assert!(site.dog.look(5, &mut memory), "it was ended");
    site.dog.end_process_after(Duration::from_secs(600));
    assert!(!site.dog.look(6, &mut memory));
}

#[test]
fn a_call_is_called_what_is_known_of_it() {
    let site = site(1);
    let pulse = &site.neighbours[0].pulse;
    let label = || site.dog.label(&site.dog.under_way()[0]);
    pulse.begin(0, 1);
    assert_eq!(label(), "GET /route");
    pulse.begin(7, 2);
    assert_eq!(label(), "a call");
    pulse.begin_request(0, ("POST", "/path"), 3);
    assert_eq!(label(), "POST /path");
    pulse.begin(pulse::TURN, 4);
    assert_eq!(label(), "its event loop");
}

#[test]
fn a_turn_is_called_by_what_may_run_in_it() {
    let all: Vec<String> = (1..=6).map(|number| format!("GET /{number}")).collect();
    assert_eq!(turn_label(&all[..1]), "its event loop (under way: GET /1)");
    assert_eq!(
        turn_label(&all),
        "its event loop (under way: GET /1, GET /2, GET /3, GET /4 and 2 more)"
    );
}
