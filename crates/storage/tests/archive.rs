//! The log's archive: what is copied from cut to cut makes a data directory again, to the last byte, or it is said why not.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use aof::{Generation, HEADER_LEN, Lsn};
use common::{BOOT, NOW, Server, flip};
use durable::archive::{Archive, ArchiveError, Mark, Unpacked, look, unpack};
use durable::generation;
use durable::recover::{self, Options, Plan, Recovered};
use durable::store::{DirectorySets, Places};
use durable::{Refusal, SetStore, log};
use stdx::{ShardId, UnixMs};
use storage::Directory;

/// A place for sets and the archive, and servers that use it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Arc<dyn SetStore> {
        Arc::new(DirectorySets::elsewhere(Arc::new(Directory::open(self.0.path()).unwrap())))
    }

    /// A server that has just begun with nothing.
    fn server(&self) -> Server {
        let store = self.store();
        Server::start_with(|disk| Places::with(disk, store))
    }

    /// An empty data directory.
    fn fresh(&self) -> (tempfile::TempDir, Places) {
        let scratch = tempfile::tempdir().unwrap();
        let places = Places::with(Arc::new(Directory::open(scratch.path()).unwrap()), self.store());
        (scratch, places)
    }

    /// What a start in an empty data directory finds there, and where.
    #[track_caller]
    fn restored(&self) -> (tempfile::TempDir, Places, Unpacked, Plan) {
        let (scratch, places) = self.fresh();
        let unpacked = unpack(&places, false).unwrap().expect("there is something");
        assert_eq!(unpack(&places, false).unwrap(), None, "once is enough");
        // Another machine: the kernel is not the one that wrote it.
        let options = Options::new(aof::BootId([9; 16]));
        let Recovered::Whole(plan) = recover::recover(&places, &options).unwrap() else { panic!("a plan") };
        (scratch, places, unpacked, *plan)
    }

    fn pieces(&self, generation: u64) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join(format!("log/{generation:010}"))).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut pieces: Vec<PathBuf> = paths.filter(|path| !path.ends_with("manifest")).collect();
        pieces.sort();
        pieces
    }
}

fn archive(server: &Server, writer: u64) -> Archive {
    Archive::begin(&server.places, server.generation, writer).unwrap().expect("there is a place")
}

/// Writes something everywhere, and makes a cut.
fn cut(server: &mut Server, number: u64) -> Mark {
    server.write(0, &format!("first {number} {}", "x".repeat(1500)));
    server.write(1, &format!("second {number}"));
    server.cut(number, UnixMs(1_000 * number as i64));
    let lsns = server.logs.iter().map(log::LogWriter::written).collect();
    Mark { cut: number, at: UnixMs(1_000 * number as i64), lsns }
}

/// The bytes of all records of a shard up to `end`.
fn records(places: &Places, generation: Generation, shard: u16, end: Lsn) -> Vec<u8> {
    let mut bytes = Vec::new();
    let segments = log::segments(places.disk(), generation).unwrap();
    let own: Vec<_> = segments.iter().filter(|name| name.shard == ShardId(shard)).collect();
    for (index, name) in own.iter().enumerate() {
        let to = own.get(index + 1).map_or(end, |next| next.base);
        let mut part = vec![0; to.since(name.base) as usize];
        let file = places.disk().open(&durable::layout::segment(generation, **name)).unwrap();
        assert_eq!(durable::read_full_at(file.as_ref(), HEADER_LEN as u64, &mut part).unwrap(), part.len());
        bytes.append(&mut part);
    }
    bytes
}

/// The restored log ends at `mark`, and is byte for byte what the server has up to there.
#[track_caller]
fn is_restored_to(place: &Place, server: &Server, mark: &Mark) {
    let (_scratch, places, unpacked, plan) = place.restored();
    assert_eq!(plan.replays.last().unwrap().ends, mark.lsns);
    assert_eq!(unpacked.until, Some(mark.at));
    for shard in 0..2 {
        let end = mark.lsns[usize::from(shard)];
        let both = [&places, &server.places].map(|places| records(places, server.generation, shard, end));
        assert!(both[0] == both[1] && !both[0].is_empty(), "shard {shard}");
    }
}

#[test]
fn what_is_archived_is_restored_up_to_the_last_cut() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    assert_eq!(archive.ship().unwrap(), None, "nothing was written");
    for number in 1..=12 {
        let mark = cut(&mut server, number);
        archive.mark(mark.clone());
        assert!(archive.owed_bytes() > 0);
        assert_eq!(archive.ship().unwrap(), Some(mark.clone()));
        assert_eq!((archive.at(), archive.owed_bytes()), (&mark.lsns[..], 0));
        server.write(0, "not yet");
        is_restored_to(&place, &server, &mark);
    }
    assert_eq!(place.pieces(1).len(), 12);
    assert!(log::segments(server.places.disk(), server.generation).unwrap().len() > 4, "over many segments");
}

#[test]
fn cuts_close_together_are_one_piece() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    for number in 1..=5 {
        archive.mark(cut(&mut server, number));
    }
    let last = archive.ship().unwrap().unwrap();
    assert_eq!((last.cut, place.pieces(1).len()), (5, 1));
    is_restored_to(&place, &server, &last);
    archive.mark(last);
    assert_eq!(archive.ship().unwrap(), None, "it is there");
}

#[test]
fn a_shard_that_wrote_nothing_has_a_log_all_the_same() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    assert_eq!(archive.ship().unwrap(), None);
    // The generation has begun, and that is all.
    let (_scratch, _, unpacked, plan) = place.restored();
    assert_eq!((unpacked.generations, unpacked.bytes, plan.replays[0].ends.len()), (1, 0, 2));
    let mark = cut(&mut server, 1);
    archive.mark(mark.clone());
    archive.ship().unwrap();
    is_restored_to(&place, &server, &mark);
}

#[test]
fn records_that_are_not_there_yet_are_waited_for() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    let mut mark = cut(&mut server, 1);
    mark.lsns[0] = mark.lsns[0].plus(50);
    archive.mark(mark);
    let error = archive.ship().unwrap_err();
    assert!(matches!(error, ArchiveError::Log { shard: ShardId(0), .. }), "{error}");
    assert!(place.pieces(1).is_empty(), "nothing half is left");
    let mark = cut(&mut server, 2);
    archive.mark(mark.clone());
    archive.ship().unwrap();
    is_restored_to(&place, &server, &mark);
}

/// Starts again where a server was: it is loaded, and the next generation begins.
fn again(server: Server) -> Server {
    let Server { scratch, places, .. } = server;
    let Recovered::Whole(plan) = recover::recover(&places, &Options::new(BOOT)).unwrap() else {
        panic!("a plan")
    };
    let keys: Vec<_> = plan.set.iter().flat_map(|set| &set.files).map(|file| file.keys.clone()).collect();
    let (identity, loaded) = plan.accept(&places, &keys, NOW).unwrap();
    Server::go_on(scratch, places, identity, loaded, plan.past())
}

#[test]
fn the_next_generation_brings_what_the_last_one_owes() {
    let place = Place::new();
    let mut server = place.server();
    let mut first = archive(&server, 1);
    first.mark(cut(&mut server, 1));
    first.ship().unwrap();
    cut(&mut server, 2);
    server.write(0, "behind the last cut");
    server.sync();
    let owed: Vec<Lsn> = server.logs.iter().map(log::LogWriter::written).collect();
    let server = again(server);
    assert_eq!(server.generation, Generation(2));
    // And once more, before it has archived anything of its own.
    let mut server = again(server);
    let mut archive = archive(&server, 2);
    let mark = cut(&mut server, 1);
    archive.mark(mark.clone());
    archive.ship().unwrap();
    let (_scratch, _, unpacked, plan) = place.restored();
    assert_eq!(unpacked.generations, 3);
    let ends: Vec<_> = plan.replays.iter().map(|replay| replay.ends.clone()).collect();
    assert_eq!(ends, [owed, vec![Lsn(0); 2], mark.lsns]);
}

#[test]
fn with_a_set_the_log_goes_on_from_it() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    for number in 1..=4 {
        archive.mark(cut(&mut server, number));
        archive.ship().unwrap();
    }
    server.sync();
    let manifest = server.save("data", true);
    // A set that is newer than all that was archived needs no log.
    server.write(1, "behind");
    let (_scratch, places) = place.fresh();
    assert!(unpack(&places, false).unwrap().is_some(), "the last cut is the set's");
    let mark = cut(&mut server, 5);
    archive.mark(mark.clone());
    archive.ship().unwrap();
    let (_scratch, _, _, plan) = place.restored();
    assert_eq!(plan.set, Some(manifest.clone()));
    assert_eq!((&plan.replays[0].starts, &plan.replays[0].ends), (&manifest.position.lsns, &mark.lsns));
    // Pieces that end before it are needless.
    assert_eq!(archive.prune().unwrap(), 0, "the set does not say at which cut it is");
}

#[test]
fn a_set_that_is_newer_than_the_archive_has_all_of_it() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    archive.mark(cut(&mut server, 1));
    archive.ship().unwrap();
    cut(&mut server, 2);
    server.sync();
    let manifest = server.save_at("data", 2);
    let (_scratch, places) = place.fresh();
    assert_eq!(unpack(&places, false).unwrap(), None);
    let Ok(Recovered::Whole(plan)) = recover::recover(&places, &Options::new(BOOT)) else { panic!("a plan") };
    assert_eq!((plan.set, plan.replays.len()), (Some(manifest), 0));
    assert_eq!(archive.prune().unwrap(), 1, "it is behind the set");
    assert!(place.pieces(1).is_empty());
}

#[test]
fn a_log_that_was_removed_for_a_set_is_passed_over() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    archive.mark(cut(&mut server, 1));
    archive.ship().unwrap();
    // The store was away for long; then a set came about, and the log before it went.
    (2..=9).for_each(|number| archive.mark(cut(&mut server, number)));
    server.sync();
    let manifest = server.save_at("data", 9);
    server.loaded.prune(&server.places, 1).unwrap();
    let mark = cut(&mut server, 10);
    archive.mark(mark.clone());
    assert_eq!(archive.ship().unwrap(), Some(mark.clone()));
    let (_scratch, _, _, plan) = place.restored();
    assert_eq!((plan.set, &plan.replays[0].ends), (Some(manifest), &mark.lsns));
    archive.prune().unwrap();
    assert_eq!(place.pieces(1).len(), 1);
    place.restored();
}

#[test]
fn generations_before_the_oldest_set_go() {
    let place = Place::new();
    let mut server = place.server();
    let mut first = archive(&server, 1);
    first.mark(cut(&mut server, 1));
    first.ship().unwrap();
    server.sync();
    let mut server = again(server);
    let mut second = archive(&server, 2);
    second.mark(cut(&mut server, 1));
    second.ship().unwrap();
    server.sync();
    server.save_at("data", 1);
    assert_eq!(second.prune().unwrap(), 2, "one of each generation");
    assert!(!place.0.path().join("log/0000000001").exists());
    let mark = cut(&mut server, 2);
    second.mark(mark.clone());
    second.ship().unwrap();
    assert_eq!(place.restored().3.replays[0].ends, mark.lsns);
}

#[test]
fn of_two_servers_that_begin_a_generation_one_archives() {
    let place = Place::new();
    let mut server = place.server();
    let mut one = archive(&server, 1);
    let mark = cut(&mut server, 1);
    one.mark(mark.clone());
    one.ship().unwrap();
    // The same node on another machine, which was begun at the same time.
    let mut other = place.server();
    other.write(0, "other data");
    let at = UnixMs(77);
    let (begin, _) = other.begin_again(at);
    assert_eq!(begin.generation, Generation(2));
    fs::create_dir_all(place.0.path().join("log/0000000002")).unwrap();
    fs::copy(place.0.path().join("log/0000000001/manifest"), place.0.path().join("log/0000000002/manifest"))
        .unwrap();
    let error = Archive::begin(&other.places, begin.generation, 2).err().expect("it is another's");
    assert!(matches!(error, ArchiveError::Damaged(_) | ArchiveError::Taken(_)), "{error}");
    is_restored_to_first(&place, &mark);
    // Its own it may go on with, as after a failure on the way.
    let mut again = archive(&server, 3);
    assert_eq!(again.at(), mark.lsns);
    let mark = cut(&mut server, 2);
    again.mark(mark);
    again.ship().unwrap();
}

/// The first generation's pieces are as they were.
#[track_caller]
fn is_restored_to_first(place: &Place, mark: &Mark) {
    assert_eq!(place.pieces(1).len(), 1);
    assert!(place.pieces(1)[0].display().to_string().contains(&format!("{:020}-", mark.cut)));
}

#[test]
fn a_piece_that_was_cut_off_is_none() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    let first = cut(&mut server, 1);
    archive.mark(first.clone());
    archive.ship().unwrap();
    archive.mark(cut(&mut server, 2));
    archive.ship().unwrap();
    let last = place.pieces(1).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    for length in [0, 3, 40, bytes.len() - 1] {
        fs::write(&last, &bytes[..length]).unwrap();
        is_restored_to(&place, &server, &first);
    }
}

#[test]
fn damage_is_refused_or_passed_over_when_told_to() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    let first = cut(&mut server, 1);
    archive.mark(first.clone());
    archive.ship().unwrap();
    archive.mark(cut(&mut server, 2));
    archive.ship().unwrap();
    let last = place.pieces(1).pop().unwrap();
    flip(&last, 40);
    let (_scratch, places) = place.fresh();
    let refusal = unpack(&places, false).unwrap_err();
    assert!(matches!(refusal, Refusal::LogDamaged { .. }) && refusal.exit_code() == 100, "{refusal}");
    assert!(refusal.to_string().contains("log/0000000001/"), "{refusal}");
    let unpacked = unpack(&places, true).unwrap().unwrap();
    assert!(unpacked.fault.is_some() && unpacked.until == Some(first.at), "{unpacked:?}");
    // In the records themselves recovery finds it.
    flip(&last, 40);
    let length = fs::read(&last).unwrap().len();
    flip(&last, length - 10);
    let (_scratch, places) = place.fresh();
    unpack(&places, false).unwrap().unwrap();
    let plan = recover::recover(&places, &Options::new(aof::BootId([9; 16])));
    let Ok(Recovered::Whole(plan)) = plan else { panic!("{plan:?}") };
    assert_eq!(plan.replays[0].ends, first.lsns, "the cut behind the damage does not count");
}

#[test]
fn the_same_again_and_more_takes_the_place_of_what_was_there() {
    let place = Place::new();
    let mut server = place.server();
    let mut one = archive(&server, 1);
    one.mark(cut(&mut server, 1));
    one.ship().unwrap();
    // Two that stand at the same place: one was not told that its piece was there.
    let mut two = archive(&server, 2);
    one.mark(cut(&mut server, 2));
    one.ship().unwrap();
    let mark = cut(&mut server, 3);
    two.mark(mark.clone());
    two.ship().unwrap();
    assert_eq!(place.pieces(1).len(), 3);
    is_restored_to(&place, &server, &mark);
    assert_eq!(archive(&server, 3).at(), mark.lsns);
}

#[test]
fn a_directory_that_has_anything_is_left_alone() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    archive.mark(cut(&mut server, 1));
    archive.ship().unwrap();
    assert_eq!(unpack(&server.places, false).unwrap(), None);
    let (scratch, places) = place.fresh();
    fs::copy(server.path("lacewing.id"), scratch.path().join("lacewing.id")).unwrap();
    assert_eq!(unpack(&places, false).unwrap(), None);
    assert!(!scratch.path().join("log").exists());
    // What an attempt has left that was cut off is begun again.
    let (scratch, places) = place.fresh();
    fs::create_dir_all(scratch.path().join("log.new/0000000001")).unwrap();
    fs::write(scratch.path().join("log.new/0000000001/0-00000000000000000000.log"), "half").unwrap();
    assert!(unpack(&places, false).unwrap().is_some());
    assert!(!scratch.path().join("log.new").exists());
    assert_eq!(generation::list(places.disk()).unwrap().len(), 1);
}

#[test]
fn a_look_reads_every_record() {
    let place = Place::new();
    let mut server = place.server();
    let mut archive = archive(&server, 1);
    (1..=2).for_each(|number| {
        archive.mark(cut(&mut server, number));
        archive.ship().unwrap();
    });
    let looked = look(&server.places).unwrap();
    let [one] = &looked[..] else { panic!("{looked:?}") };
    assert_eq!((one.pieces, one.records, one.until, &one.fault), (2, 8, Some(UnixMs(2_000)), &None));
    let last = place.pieces(1).pop().unwrap();
    let length = fs::read(&last).unwrap().len();
    flip(&last, length - 1);
    let looked = look(&server.places).unwrap();
    assert!(looked[0].fault.as_ref().is_some_and(|fault| fault.contains("shard 1")), "{looked:?}");
    assert_eq!((looked[0].pieces, looked[0].until), (1, Some(UnixMs(1_000))));
}
