use stdx::{DbIndex, ShardId};

use super::*;
use crate::encode::{Encoder, Stamp};
use crate::ids::{Generation, NodeId, TxNumber};

fn log() -> LogId {
    LogId { node: NodeId([1; 20]), generation: Generation(4), shard: ShardId(0), shards: 2 }
}

fn header(base: u64, synced: u64) -> Header {
    let boot = BootId([9; 16]);
    Header { log: log(), boot, base: Lsn(base), synced: Lsn(synced), created: UnixMs(1000) }
}

/// Segments and their bases; records are appended to the last one.
struct Writer {
    encoder: Encoder,
    segments: Vec<(Lsn, Vec<u8>)>,
    ends: Vec<u64>,
}

impl Writer {
    fn new() -> Self {
        let segments = vec![(Lsn(0), header(0, 0).encode().to_vec())];
        Self { encoder: Encoder::new(log(), Lsn(0)), segments, ends: vec![0] }
    }

    fn buf(&mut self) -> &mut Vec<u8> {
        &mut self.segments.last_mut().unwrap().1
    }

    fn plain(&mut self, text: &str, synced: u64) -> &mut Self {
        self.plain_under(text, Stamp { synced: Lsn(synced), always: false })
    }

    fn plain_under(&mut self, text: &str, stamp: Stamp) -> &mut Self {
        let buf = &mut self.segments.last_mut().unwrap().1;
        self.encoder.begin_plain(buf, DbIndex(0));
        buf.extend_from_slice(text.as_bytes());
        self.ends.push(self.encoder.seal(buf, stamp).0);
        self
    }

    fn cut(&mut self, number: u64, durable: u64) -> &mut Self {
        let buf = &mut self.segments.last_mut().unwrap().1;
        let at = UnixMs(number as i64 * 1000);
        self.ends.push(self.encoder.cut(buf, number, at, durable, Stamp::default()).0);
        self
    }

    fn roll(&mut self, synced: u64) -> &mut Self {
        let base = self.encoder.next_lsn();
        self.segments.push((base, header(base.0, synced).encode().to_vec()));
        self
    }

    fn zeros(&mut self, len: usize) -> &mut Self {
        self.buf().extend(std::iter::repeat_n(0, len));
        self
    }

    /// The byte of the first segment at `lsn`.
    fn flip(&mut self, lsn: u64) -> &mut Self {
        self.segments[0].1[HEADER_LEN + lsn as usize] ^= 4;
        self
    }

    fn scan(&self) -> Result<(Vec<String>, Summary), ScanError> {
        let whole = scan(Scanner::new(log(), Lsn(0)), &self.segments, usize::MAX)?;
        for piece in [1, 7, 100] {
            let pieces = scan(Scanner::new(log(), Lsn(0)), &self.segments, piece)?;
            assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "in pieces of {piece}");
        }
        Ok(whole)
    }
}

/// The payloads of plain records, the kinds of others.
fn scan(
    mut scanner: Scanner,
    segments: &[(Lsn, Vec<u8>)],
    piece: usize,
) -> Result<(Vec<String>, Summary), ScanError> {
    let mut texts = Vec::new();
    for (base, bytes) in segments {
        scanner.segment(*base, bytes.len() as u64)?;
        let mut pieces = bytes.chunks(piece.min(bytes.len().max(1)));
        loop {
            while let Some(record) = scanner.next()? {
                texts.push(match record.kind {
                    Kind::Plain { commands, .. } => String::from_utf8(commands.to_vec()).unwrap(),
                    Kind::Cut { number, .. } => format!("cut {number}"),
                    other => format!("{other:?}"),
                });
            }
            let Some(piece) = pieces.next() else { break };
            scanner.feed(piece);
        }
    }
    Ok((texts, scanner.finish()))
}

#[test]
fn a_log_ends_at_the_end_of_its_file_or_where_zeros_begin() {
    for zeros in [0, 1, 31, 32, 5000] {
        let mut writer = Writer::new();
        writer.plain("a", 0).plain("b", 0).zeros(zeros);
        let (texts, summary) = writer.scan().unwrap();
        assert_eq!(texts, ["a", "b"]);
        assert_eq!((summary.end, summary.records, summary.damage), (Lsn(writer.ends[2]), 2, None));
        assert_eq!(summary.boot, Some(BootId([9; 16])));
    }
}

#[test]
fn segments_follow_each_other() {
    let mut writer = Writer::new();
    writer.plain("a", 0).zeros(100).roll(20).plain("b", 0).cut(3, 2).roll(0).plain("c", 40).zeros(10);
    let (texts, summary) = writer.scan().unwrap();
    assert_eq!(texts, ["a", "b", "cut 3", "c"]);
    let cut = summary.cuts.get(3).unwrap();
    assert_eq!((cut.end.0, cut.records, cut.at), (writer.ends[3], 3, UnixMs(3000)));
    assert_eq!((summary.must, summary.durable_cut, summary.damage), (Lsn(40), 2, None));
}

#[test]
fn every_truncation_gives_the_records_before_it() {
    let mut writer = Writer::new();
    writer.plain("a", 0).plain("bcd", 0).cut(1, 0).plain("e", 0);
    let bytes = writer.segments[0].1.clone();
    for len in HEADER_LEN..bytes.len() {
        writer.segments[0].1.truncate(0);
        writer.segments[0].1.extend_from_slice(&bytes[..len]);
        let (texts, summary) = writer.scan().unwrap();
        let whole = writer.ends.iter().filter(|end| **end <= (len - HEADER_LEN) as u64).count() - 1;
        assert_eq!(texts.len(), whole, "{len}");
        assert_eq!(summary.end.0, writer.ends[whole]);
        assert_eq!(summary.damage.is_some(), len - HEADER_LEN > summary.end.0 as usize, "{len}");
        assert!(summary.must <= summary.end, "a torn tail");
    }
}

#[test]
fn a_flipped_bit_ends_the_log_and_what_is_behind_it_may_prove_that_it_was_synced() {
    for (synced, is_proof) in [(0, false), (1, true)] {
        let mut writer = Writer::new();
        writer.plain("a", 0).plain("b", 0);
        let second = writer.ends[1];
        writer.plain("c", second + synced).flip(second + 32);
        let (texts, summary) = writer.scan().unwrap();
        assert_eq!(texts, ["a"]);
        assert!(matches!(summary.damage, Some(Damage::Record(RecordError::Checksum { .. }))), "{summary:?}");
        assert_eq!((summary.end, summary.behind.records), (Lsn(second), 1));
        assert_eq!(summary.must > summary.end, is_proof);
    }
}

#[test]
fn a_lost_sector_of_zeros_is_no_clean_end() {
    let mut writer = Writer::new();
    writer.plain("a", 0).plain("b", 0).plain("c", 0);
    let lost = HEADER_LEN + writer.ends[1] as usize..HEADER_LEN + writer.ends[2] as usize;
    writer.segments[0].1[lost].fill(0);
    let (texts, summary) = writer.scan().unwrap();
    assert_eq!(texts, ["a"]);
    assert_eq!((summary.damage, summary.behind.records), (Some(Damage::Record(RecordError::Magic)), 1));
}

#[test]
fn later_segments_prove_too() {
    let mut writer = Writer::new();
    writer.plain("a", 0).plain("b", 0);
    let end = writer.ends[2];
    writer.flip(writer.ends[1] + 32).roll(end).plain("c", 0);
    let (texts, summary) = writer.scan().unwrap();
    assert_eq!((texts.len(), summary.must, summary.behind.records), (1, Lsn(end), 1));
    assert!(summary.must > summary.end);
}

#[test]
fn a_missing_segment_is_a_gap() {
    let mut writer = Writer::new();
    writer.plain("a", 0).roll(0).plain("b", 0).roll(30).plain("c", 0);
    let third = writer.segments[2].0;
    let second = writer.segments.remove(1);
    let (texts, summary) = writer.scan().unwrap();
    assert_eq!((texts, summary.damage), (vec!["a".to_owned()], Some(Damage::Gap { next: third })));
    assert!(summary.end < third && summary.must <= second.0);
    writer.segments.remove(0);
    assert_eq!(writer.scan().unwrap_err(), ScanError::Missing { start: Lsn(0), base: third });
}

#[test]
fn a_segment_without_header_ends_the_log() {
    let mut writer = Writer::new();
    writer.plain("a", 0).roll(0);
    let base = writer.segments[1].0;
    writer.segments[1].1.fill(0);
    writer.zeros(500);
    let (texts, summary) = writer.scan().unwrap();
    assert_eq!(
        (texts.len(), summary.end, summary.damage),
        (1, base, Some(Damage::Header(HeaderError::Empty)))
    );
    assert_eq!(summary.behind, Default::default());
}

#[test]
fn an_empty_segment_has_no_header_whether_or_not_it_is_asked_for_records() {
    let mut writer = Writer::new();
    writer.plain("a", 0).roll(0);
    let mut scanner = Scanner::new(log(), Lsn(0));
    scanner.segment(Lsn(0), writer.segments[0].1.len() as u64).unwrap();
    scanner.feed(&writer.segments[0].1);
    while scanner.next().unwrap().is_some() {}
    scanner.segment(writer.segments[1].0, 0).unwrap();
    let summary = scanner.finish();
    assert_eq!((summary.records, summary.damage), (1, Some(Damage::Header(HeaderError::Empty))));
    writer.segments[1].1.clear();
    assert_eq!(writer.scan().unwrap().1.damage, summary.damage);
}

#[test]
fn what_belongs_elsewhere_is_refused() {
    let mut writer = Writer::new();
    writer.plain("a", 0);
    let good = writer.segments[0].1.clone();
    let foreign = Header { log: LogId { generation: Generation(5), ..log() }, ..header(0, 0) };
    writer.segments[0].1[..HEADER_LEN].copy_from_slice(&foreign.encode());
    assert_eq!(writer.scan().unwrap_err(), ScanError::Foreign { base: Lsn(0), found: Box::new(foreign) });
    writer.segments[0].1 = good;
    writer.roll(0);
    let other = Header { boot: BootId([8; 16]), ..header(writer.segments[1].0.0, 0) };
    writer.segments[1].1.copy_from_slice(&other.encode());
    let (base, found, boot) = (other.base, other.boot, BootId([9; 16]));
    assert_eq!(writer.scan().unwrap_err(), ScanError::Boots { base, found, boot });
    writer.segments[1].0 = Lsn(3);
    assert!(matches!(writer.scan().unwrap_err(), ScanError::Overlap { base: Lsn(3), .. }));
}

#[test]
fn records_that_cannot_be_are_refused() {
    let mut writer = Writer::new();
    writer.cut(5, 0).cut(5, 0);
    assert!(matches!(writer.scan().unwrap_err(), ScanError::Impossible { .. }));
    let mut writer = Writer::new();
    writer.encoder.end(&mut writer.segments[0].1, UnixMs(1), Stamp::default());
    writer.plain("a", 0);
    assert!(matches!(writer.scan().unwrap_err(), ScanError::Impossible { .. }));
}

#[test]
fn reading_may_begin_and_end_between_two_records() {
    let mut writer = Writer::new();
    writer.plain("a", 0).plain("b", 0).roll(0).plain("c", 0).plain("d", 0);
    for from in 0..=4 {
        for to in from..=4 {
            let (start, end) = (Lsn(writer.ends[from]), Lsn(writer.ends[to]));
            let segments = if from > 2 { &writer.segments[1..] } else { &writer.segments };
            let mut scanner = Scanner::new(log(), start).until(end);
            let mut texts = String::new();
            for (base, bytes) in segments {
                if scanner.is_done() {
                    break;
                }
                scanner.segment(*base, bytes.len() as u64).unwrap();
                scanner.feed(bytes);
                while let Some(record) = scanner.next().unwrap() {
                    let Kind::Plain { commands, .. } = record.kind else { panic!("{record:?}") };
                    texts.push_str(str::from_utf8(commands).unwrap());
                }
            }
            assert!(scanner.is_done());
            assert_eq!(texts, "abcd"[from..to]);
        }
    }
}

#[test]
fn records_under_always_are_remembered() {
    let mut writer = Writer::new();
    writer.plain("a", 0).plain_under("b", Stamp { synced: Lsn(0), always: true }).plain("c", 0);
    let (_, summary) = writer.scan().unwrap();
    assert_eq!(summary.always, Some((Lsn(writer.ends[2]), 2)));
}

#[test]
fn a_marker_keeps_its_place() {
    let mut writer = Writer::new();
    writer.encoder.marker(&mut writer.segments[0].1, TxNumber(7), ShardId(1), Stamp::default());
    let (texts, _) = writer.scan().unwrap();
    assert_eq!(texts, ["Marker { tx: TxNumber(7), home: ShardId(1) }"]);
}
