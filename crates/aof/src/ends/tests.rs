use super::*;
use crate::encode::{Encoder, Stamp};
use crate::ids::{Generation, LogId, NodeId};
use crate::scan::{CUTS_MAX, Scanner};
use crate::segment::{HEADER_LEN, Header};

const OLD: BootId = BootId([1; 16]);
const NEW: BootId = BootId([2; 16]);

fn known(boot: BootId) -> Known<'static> {
    Known { boot, start_cut: 0, must: &[], until: None }
}

fn log(shard: u16, shards: u16) -> LogId {
    LogId { node: NodeId([5; 20]), generation: Generation(1), shard: ShardId(shard), shards }
}

/// A log in a word: `p` a plain record, `a` one under `always`, a digit a cut (at that many seconds), `e` its end, `!` a torn
/// record, `*` a plain one that says all before it is synced, `d` a cut 9 that says cut 8 is synced everywhere.
fn summary(shard: u16, shards: u16, word: &str) -> Summary {
    scanned(shard, shards, word, |scanner| scanner)
}

fn scanned(shard: u16, shards: u16, word: &str, set: impl Fn(Scanner) -> Scanner) -> Summary {
    let id = log(shard, shards);
    let (base, synced, created) = (Lsn(0), Lsn(0), UnixMs(500));
    let mut bytes = Header { log: id, boot: OLD, base, synced, created }.encode().to_vec();
    let mut encoder = Encoder::new(id, Lsn(0));
    for byte in word.chars() {
        let at = bytes.len();
        let synced = if byte == '*' { encoder.next_lsn() } else { Lsn(0) };
        let stamp = Stamp { always: byte == 'a', synced };
        match byte {
            'e' => encoder.end(&mut bytes, UnixMs(9500), stamp),
            'd' => encoder.cut(&mut bytes, 9, UnixMs(9000), 8, stamp),
            '0'..='9' => {
                let number = u64::from(byte as u8 - b'0');
                encoder.cut(&mut bytes, number, UnixMs(number as i64 * 1000), 0, stamp)
            }
            _ => {
                encoder.begin_plain(&mut bytes, stdx::DbIndex(0));
                encoder.seal(&mut bytes, stamp)
            }
        };
        if byte == '!' {
            bytes[at + 5] ^= 1;
        }
    }
    scan(id, &bytes, set)
}

fn scan(id: LogId, bytes: &[u8], set: impl Fn(Scanner) -> Scanner) -> Summary {
    let mut scanner = set(Scanner::new(id, Lsn(0)));
    scanner.segment(Lsn(0), bytes.len() as u64).unwrap();
    scanner.feed(bytes);
    while scanner.next().unwrap().is_some() {}
    scanner.finish()
}

fn summaries(words: &[&str]) -> Vec<Summary> {
    words.iter().enumerate().map(|(shard, word)| summary(shard as u16, words.len() as u16, word)).collect()
}

/// How many records of each log count.
#[track_caller]
fn check(words: &[&str], boot: BootId, rule: Rule, expected: &[u64]) {
    let ends = ends(&summaries(words), &known(boot)).unwrap();
    let records: Vec<u64> = ends.logs.iter().map(|log| log.records).collect();
    assert_eq!((ends.rule, &records[..]), (rule, expected), "{words:?}");
}

#[test]
fn while_the_kernel_runs_on_all_records_count() {
    check(&["p1pp", "p"], OLD, Rule::SameBoot, &[4, 1]);
    check(&["p1p!", ""], OLD, Rule::SameBoot, &[3, 0]);
}

#[test]
fn while_the_kernel_runs_on_no_record_is_lost_from_among_others() {
    let logs = summaries(&["p1p!p", "p"]);
    let error = ends(&logs, &known(OLD)).unwrap_err();
    assert!(matches!(error, EndsError::Hole { shard: ShardId(0), records: 1, .. }), "{error}");
    check(&["p1p!p", "p1"], NEW, Rule::PowerLoss, &[2, 2]);
}

/// A header is there before the name is; after a loss of power the name may be alone.
#[test]
fn while_the_kernel_runs_on_no_segment_is_without_its_header() {
    let id = log(0, 1);
    let summary = || {
        let header = Header { log: id, boot: OLD, base: Lsn(0), synced: Lsn(0), created: UnixMs(500) };
        let (mut bytes, mut encoder) = (header.encode().to_vec(), Encoder::new(id, Lsn(0)));
        encoder.begin_plain(&mut bytes, stdx::DbIndex(0));
        encoder.seal(&mut bytes, Stamp { always: false, synced: Lsn(0) });
        let mut scanner = Scanner::new(id, Lsn(0));
        scanner.segment(Lsn(0), bytes.len() as u64).unwrap();
        scanner.feed(&bytes);
        while scanner.next().unwrap().is_some() {}
        scanner.segment(encoder.next_lsn(), 0).unwrap();
        scanner.finish()
    };
    let error = ends(&[summary()], &known(OLD)).unwrap_err();
    assert!(matches!(error, EndsError::Hole { records: 0, .. }), "{error}");
    assert_eq!(ends(&[summary()], &known(NEW)).unwrap().rule, Rule::Alone);
}

#[test]
fn after_a_loss_of_power_logs_end_at_the_newest_common_cut() {
    check(&["p1pp2p", "p1pppp"], NEW, Rule::PowerLoss, &[2, 2]);
    check(&["p1pp2p3", "12p3p", "p1p2!3"], NEW, Rule::PowerLoss, &[5, 2, 4]);
    check(&["pp", "p1"], NEW, Rule::PowerLoss, &[0, 0]);
    check(&["p2pp", "p1p2"], NEW, Rule::PowerLoss, &[2, 4]);
}

#[test]
fn records_under_always_are_never_cut_off() {
    check(&["p1paap", "1pp"], NEW, Rule::PowerLoss, &[5, 1]);
    check(&["aa1p", "a1"], NEW, Rule::PowerLoss, &[3, 2]);
    check(&["aaa", "p"], NEW, Rule::PowerLoss, &[3, 0]);
}

#[test]
fn one_log_ends_where_it_is_torn() {
    check(&["p1pp!p"], NEW, Rule::Alone, &[4]);
}

#[test]
fn after_an_orderly_shutdown_all_records_count() {
    check(&["p1ppe", "pe"], NEW, Rule::Orderly, &[5, 2]);
    check(&["p1ppe", "p1p"], NEW, Rule::PowerLoss, &[2, 2]);
}

#[track_caller]
fn refuses(words: &[&str], expected: &str) {
    for boot in [OLD, NEW] {
        let error = ends(&summaries(words), &known(boot)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{words:?}");
    }
}

#[test]
fn damage_before_what_was_synced_is_no_torn_tail() {
    let damaged = "the log of shard 1 is damaged at 32, and it had been synced up to 96: bad crc32c: ";
    let error = ends(&summaries(&["p", "p!p*"]), &known(NEW)).unwrap_err().to_string();
    assert!(error.starts_with(damaged), "{error}");
    // A set's manifest knows that more was there.
    let logs = summaries(&["p1", "p1"]);
    let must = [Lsn(0), Lsn(500)];
    let error = ends(&logs, &Known { must: &must, ..known(OLD) }).unwrap_err();
    let (shard, end) = (ShardId(1), logs[1].end);
    assert_eq!(error, EndsError::Damaged { shard, end, must: Lsn(500), damage: None });
    assert!(ends(&logs, &Known { must: &[logs[0].end, end], ..known(OLD) }).is_ok());
}

#[test]
fn a_cut_that_was_synced_everywhere_is_everywhere() {
    refuses(
        &["p8pd", "p7p"],
        "the log of shard 1 ends at 120, and cut 8 had been synced in it, as the log of shard 0 says",
    );
    check(&["p8pd", "p8"], NEW, Rule::PowerLoss, &[2, 2]);
    let logs = summaries(&["p8pd", "p"]);
    assert!(ends(&logs, &Known { start_cut: 8, ..known(NEW) }).is_ok(), "reading began at it");
}

#[test]
fn logs_are_complete_and_of_one_generation() {
    let logs = summaries(&["p", "p", "p"]);
    let incomplete = |shard| EndsError::Incomplete { want: 3, shard: ShardId(shard) };
    assert_eq!(ends(&logs[..2], &known(OLD)), Err(incomplete(2)));
    assert_eq!(ends(&logs[1..], &known(OLD)), Err(incomplete(0)));
    let doubled = [logs[0].clone(), logs[0].clone(), logs[2].clone()];
    assert_eq!(ends(&doubled, &known(OLD)), Err(incomplete(1)));
    let mut boots = logs;
    boots[1].boot = Some(NEW);
    assert_eq!(ends(&boots, &known(OLD)), Err(EndsError::Boots { shard: ShardId(1) }));
    assert_eq!(ends(&[], &known(OLD)), Err(EndsError::Incomplete { want: 1, shard: ShardId(0) }));
}

#[test]
fn until_a_time_is_the_newest_common_cut_not_after_it() {
    for (until, expected) in [(999, [0, 0]), (1000, [2, 2]), (2500, [4, 3]), (3000, [6, 5]), (9000, [6, 5])] {
        let until = UnixMs(until);
        let of = |shard, word| scanned(shard, 2, word, |scanner| scanner.cuts_until(until));
        let logs = [of(0, "p1p2p3pa"), of(1, "p12p3p")];
        let ends = ends(&logs, &Known { until: Some(until), ..known(OLD) }).unwrap();
        assert_eq!(ends.rule, Rule::Time);
        assert_eq!([ends.logs[0].records, ends.logs[1].records], expected, "{until:?}");
    }
    let until = UnixMs(9500);
    let of = |shard| scanned(shard, 2, "p1pe", |scanner| scanner.cuts_until(until));
    let orderly = ends(&[of(0), of(1)], &Known { until: Some(until), ..known(OLD) }).unwrap();
    assert_eq!((orderly.rule, orderly.logs[1].records), (Rule::Orderly, 4));
}

#[test]
fn what_is_dropped_is_said() {
    let logs = summaries(&["p1pp2p!p", "p1p"]);
    let ends = ends(&logs, &known(NEW)).unwrap();
    let dropped = ends.logs[0].dropped.unwrap();
    assert_eq!(
        (dropped.records, dropped.since, dropped.last_cut),
        (5, Some(UnixMs(1000)), Some(UnixMs(2000)))
    );
    assert!(dropped.damage.is_some() && dropped.bytes > 4 * 32, "{dropped:?}");
    let dropped = ends.logs[1].dropped.unwrap();
    assert_eq!((dropped.records, dropped.bytes, dropped.last_cut, dropped.damage), (1, 32, None, None));
    let whole = super::ends(&summaries(&["p1"]), &known(OLD)).unwrap();
    assert_eq!(whole.logs[0].dropped, None);
}

#[test]
fn cuts_that_were_forgotten_are_asked_for() {
    let long = |shard, cuts: u64, up_to: u64| {
        let id = log(shard, 2);
        let (base, synced, created) = (Lsn(0), Lsn(0), UnixMs(0));
        let mut bytes = Header { log: id, boot: OLD, base, synced, created }.encode().to_vec();
        let mut encoder = Encoder::new(id, Lsn(0));
        for number in 1..=cuts {
            encoder.cut(&mut bytes, number, UnixMs(0), 0, Stamp::default());
        }
        assert_eq!(bytes.len(), HEADER_LEN + cuts as usize * 56);
        scan(id, &bytes, |scanner| scanner.cuts_up_to(up_to))
    };
    let cuts = CUTS_MAX as u64 + 100;
    let logs = [long(0, cuts, u64::MAX), long(1, 50, u64::MAX)];
    assert_eq!(ends(&logs, &known(NEW)), Err(EndsError::Forgotten { up_to: 50 }));
    let logs = [long(0, cuts, 50), long(1, 50, 50)];
    let ends = ends(&logs, &known(NEW)).unwrap();
    assert_eq!((ends.cut, ends.logs[0].records, ends.logs[1].records), (Some(50), 50, 50));
}
