use super::*;

/// Logs in words: `p` a plain record, `W1:12` a whole record of transaction 1 with shards 1 and 2, `M1:0` a marker whose home is
/// shard 0, `C5` a cut, `e` an orderly end. Returns what was run, in order, every log read on as soon as that is asked for.
fn meet(logs: &[&str]) -> Result<String, String> {
    let mut heads: Vec<_> = logs.iter().map(|log| log.split_whitespace().zip(0..)).collect();
    let (mut meeting, mut ran) = (Meeting::new(logs.len() as u16), Vec::new());
    while let Some(step) = meeting.next() {
        let result = match step {
            Step::Read(shard) => {
                let (head, lsn) = loop {
                    match heads[shard.index()].next() {
                        Some(("p", _)) => ran.push(format!("p{}", shard.0)),
                        Some((word, lsn)) => break (head(word), lsn),
                        None => break (Head::End { orderly: false }, 99),
                    }
                };
                meeting.stand(shard, Lsn(lsn), head)
            }
            Step::Run { tx, home } => {
                ran.push(format!("T{tx}"));
                meeting.ran(tx, home)
            }
            Step::Cut(number) => {
                ran.push(format!("C{number}"));
                Ok(())
            }
            Step::Done => return Ok(ran.join(" ")),
        };
        result.map_err(|error| error.to_string())?;
    }
    panic!("stuck after {ran:?}")
}

fn head(word: &str) -> Head {
    let shard = |digit: char| ShardId(digit.to_digit(10).unwrap() as u16);
    let parts = word[1..].split_once(':').map(|(tx, shards)| (TxNumber(tx.parse().unwrap()), shards));
    match (&word[..1], parts) {
        ("W", Some((tx, shards))) => Head::Whole { tx, participants: shards.chars().map(shard).collect() },
        ("M", Some((tx, home))) => Head::Marker { tx, home: home.chars().map(shard).next().unwrap() },
        ("C", None) => Head::Cut(word[1..].parse().unwrap()),
        ("e", None) => Head::End { orderly: true },
        _ => panic!("{word}"),
    }
}

#[track_caller]
fn check(logs: &[&str], expected: &str) {
    assert_eq!(meet(logs).as_deref(), Ok(expected), "{logs:?}");
}

#[track_caller]
fn check_error(logs: &[&str], expected: &str) {
    assert_eq!(meet(logs), Err(expected.to_owned()), "{logs:?}");
}

#[test]
fn a_transaction_waits_for_all_its_logs() {
    check(&["p p W1:1 p", "p M1:0 p"], "p0 p0 p1 T1 p0 p1");
    check(&["W1:12", "p M1:0 p", "p p M1:0"], "p1 p2 p2 T1 p1");
    check(&["W1:2", "p p", "M1:0"], "p1 p1 T1");
}

#[test]
fn a_log_that_ends_before_its_marker_is_ready() {
    check(&["W1:1 p", "p"], "p1 T1 p0");
    check(&["W1:1 W2:1", "p"], "p1 T1 T2");
}

#[test]
fn transactions_whose_markers_cross_do_not_wait_for_each_other() {
    check(&["W1:1 p M2:1", "W2:0 p M1:0 p"], "T1 p0 T2 p1 p1");
    check(&["W2:1 p M1:1", "W1:0 p M2:0 p"], "T1 p1 T2 p0 p1");
    // Of one participant alone, and three deep.
    check(&["W1:2", "W2:2", "M2:1 p M1:0"], "T1 T2 p2");
    check(&["W1:1 M3:2", "W2:2 M1:0", "W3:0 M2:1"], "T1 T2 T3");
}

#[test]
fn a_lower_number_goes_first() {
    check(&["W2:1", "p M1:2 M2:0", "p W1:1"], "p1 p2 T1 T2");
}

#[test]
fn logs_pass_a_cut_together() {
    check(&["p C1 p", "p p C1 p"], "p0 p1 p1 C1 p0 p1");
    check(&["C1 p C2 p", "C1", "C1 C2"], "C1 p0 C2 p0");
    check(&["W1:1 C1 e", "p M1:0 C1 e"], "p1 T1 C1");
}

#[test]
fn a_marker_without_its_transaction_is_an_error() {
    let at = |lsn| {
        format!(
            "the log of shard 1 has, at 0, the marker of transaction 5, whose record is not in the log of shard 0 before {lsn}"
        )
    };
    check_error(&["p", "M5:0"], &at(99));
    check_error(&["p C1", "M5:0"], &at(1));
    check_error(&["p p W6:1", "M5:0 M6:0"], &at(2));
    check_error(
        &["W5:2 p", "M5:0", "M5:0"],
        "transaction 5: its record in the log of shard 0 and its marker in that of shard 1 at 0 differ",
    );
    check_error(&["W4:2 p", "M5:0", "M4:0"], &at(99));
}

#[test]
fn a_missing_marker_is_an_error_where_the_log_goes_on_beyond_a_cut_or_was_ended() {
    let expected = |lsn| {
        format!(
            "transaction 1 is in the log of shard 0 at 0, and its marker is not in the log of shard 1 before {lsn}"
        )
    };
    check_error(&["W1:1 C1", "p C1"], &expected(1));
    check_error(&["W1:1", "p e"], &expected(1));
    check_error(&["W1:1", "W2:0 p C1"], &expected(2));
    check_error(&["W1:1 M2:1", "W2:0 e"], &expected(1));
    check(&["W1:1 M2:1 p", "W2:0 p"], "T1 T2 p1 p0");
}

#[test]
fn records_that_contradict_each_other_are_errors() {
    check_error(
        &["W2:1 W1:1", "M2:0 M1:0"],
        "the log of shard 0 has transaction 1 at 1, behind transaction 2",
    );
    check_error(&["W1:1 C1", "M1:0 C2"], "the log of shard 1 has cut 2 at 1, where another has cut 1");
    let differ =
        "transaction 1: its record in the log of shard 0 and its marker in that of shard 2 at 1 differ";
    check_error(
        &["W1:2", "p", "M1:1"],
        "the log of shard 2 has, at 0, the marker of transaction 1, whose record is not in the log of shard 1 before 99",
    );
    check_error(&["W1:2", "W2:2", "M2:1 M1:1"], differ);
    check_error(&["W1:2 p", "p M1:0", "p"], &differ.replace('2', "1"));
}

#[test]
fn shards_of_a_transaction_that_runs_are_left_alone() {
    let mut meeting = Meeting::new(3);
    (0..3).for_each(|shard| assert_eq!(meeting.next(), Some(Step::Read(ShardId(shard)))));
    meeting.stand(ShardId(0), Lsn(0), head("W1:2")).unwrap();
    meeting.stand(ShardId(1), Lsn(0), head("W2:2")).unwrap();
    meeting.stand(ShardId(2), Lsn(0), head("M2:1")).unwrap();
    assert_eq!(meeting.next(), Some(Step::Run { tx: TxNumber(1), home: ShardId(0) }));
    assert_eq!(meeting.next(), None, "transaction 2 touches shard 2 too");
    meeting.ran(TxNumber(1), ShardId(0)).unwrap();
    assert_eq!(meeting.next(), Some(Step::Read(ShardId(0))));
    assert_eq!(meeting.next(), Some(Step::Run { tx: TxNumber(2), home: ShardId(1) }));
}
