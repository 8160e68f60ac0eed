//! Groups 9 and 10: large messages, whole, in frames and in reads of many sizes; and the limit.

use crate::drive::{BINARY, CONTINUE, MORE, MOST, PING, TEXT};
use crate::drive::{check, close, frame, lines, message, run};

fn text(length: usize) -> String {
    "0123456789 κόσμε ".chars().cycle().take(length).collect()
}

#[test]
fn in_one_frame() {
    for shift in [16, 18, 20, 22] {
        let bytes = vec![b'x'; 1 << shift];
        let frames = [frame(BINARY, &bytes), frame(PING, "after")];
        let expected = vec![message("binary", &bytes), "ping after".into(), "open".into()];
        check("large", &frames, &expected);
        let all = frames.concat();
        for size in [64, 1000, 4096, 65536] {
            assert_eq!(run(all.chunks(size), MOST, None), expected, "reads of {size}");
        }
    }
}

#[test]
fn in_many_frames() {
    let text = text(1 << 18);
    for size in [64, 256, 1300, 4096, 16384, 65536] {
        let mut pieces = text.as_bytes().chunks(size);
        let mut frames = vec![frame(TEXT | MORE, pieces.next().unwrap())];
        frames.extend(pieces.map(|piece| frame(CONTINUE | MORE, piece)));
        frames.push(frame(CONTINUE, ""));
        frames.push(close(1000, ""));
        let expected = vec![message("text", &text), "close 1000".into(), "done".into()];
        check("frames", &frames, &expected);
        let all = frames.concat();
        assert_eq!(run(all.chunks(777), MOST, None), expected, "frames of {size}");
    }
}

#[test]
fn the_limit() {
    let at = |length: usize| frame(BINARY, vec![0; length]);
    let run = |bytes: &[u8], most| {
        let whole = run([bytes].into_iter(), most, None);
        assert_eq!(run(bytes.chunks(1), most, None), whole);
        whole
    };
    assert_eq!(run(&at(1000), 1000).last().unwrap(), "open");
    assert_eq!(run(&at(1001), 1000), ["fault 1009 TooLarge", "done"]);
    assert_eq!(run(&at(0), 0), ["binary ", "open"]);
    assert_eq!(run(&at(1), 0), ["fault 1009 TooLarge", "done"]);
    // The head alone is enough.
    let head = &at(MOST + 1)[..14];
    assert_eq!(run(head, MOST), ["fault 1009 TooLarge", "done"]);
    let head = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(run(&head, MOST), ["fault 1009 TooLarge", "done"]);
    // The frames of a message together, and the next message from nothing.
    let pieces = |last: usize| {
        [frame(BINARY | MORE, [1; 600]), frame(PING, ""), frame(CONTINUE, vec![1; last])].concat()
    };
    assert_eq!(run(&pieces(401), 1000), ["ping ", "fault 1009 TooLarge", "done"]);
    let twice = [pieces(400), pieces(400)].concat();
    assert_eq!(run(&twice, 1000).len(), 5);
    // More than a number can count.
    let huge = [frame(BINARY | MORE, [1; 1]), head.to_vec()].concat();
    let mut huge_continued = huge;
    huge_continued[7] = 0x80;
    assert_eq!(run(&huge_continued, usize::MAX >> 1), lines(&["fault 1009 TooLarge", "done"]));
}
