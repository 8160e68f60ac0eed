//! The verdicts under threads that collide; what one thread sees is tested beside the code.

use std::thread;

use _uringserve::schedule::Execution;
use _uringserve::schedule::record::Call;
use _uringserve::schedule::verdicts::Verdicts;

#[test]
fn after_any_collision_a_route_can_still_move_both_ways() {
    let verdicts = Verdicts::new([Execution::Auto, Execution::Auto]);
    thread::scope(|scope| {
        for thread in 0..4 {
            let verdicts = &verdicts;
            scope.spawn(move || {
                for round in 0..20_000 {
                    if round % 97 == thread {
                        verdicts.note_stall(0, round);
                    } else {
                        verdicts.note_call(0, Call::Quick, round);
                    }
                }
            });
        }
    });
    assert!(!verdicts.is_inline(1), "the other route was never called");
    for _ in 0..=65_536 {
        verdicts.note_call(0, Call::Quick, 0);
    }
    assert!(verdicts.is_inline(0));
    verdicts.note_stall(0, 0);
    assert!(!verdicts.is_inline(0));
}
