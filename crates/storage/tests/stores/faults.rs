//! What passes: faults of the network and of the store after which all is as if they had not been.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use durable::manifest::DbKeys;
use durable::sets;
use durable::store::StoreTrouble;
use durable::{DiskError, read_full_at};

use crate::node::{self, Far, Node, loads};
use lacewing_tests::stores::Fate;

/// More than two parts of 5 MB, and more than one piece that is read at once.
const LARGE: usize = (11 << 20) + 17;

#[test]
fn a_set_of_large_files_comes_back_byte_for_byte() {
    let Some(far) = Far::new() else { return };
    let (small, large) = (node::bytes(1, 70_000), node::bytes(2, LARGE));
    let manifest = Node::begin(far.store(), 1).save(&[&small, &large]).unwrap();
    assert_eq!(manifest.bytes(), (small.len() + large.len()) as u64);
    assert_eq!(far.proxy.seen("PUT", "partNumber="), 3, "three parts");
    let plan = loads(far.store());
    let (set, store) = (plan.set.unwrap(), plan.store.unwrap());
    for (entry, want) in set.files.iter().zip([&small, &large]) {
        let file = sets::open_file(store.as_ref(), &set, entry).unwrap();
        let mut got = vec![0; want.len() + 1];
        assert_eq!(read_full_at(file.as_ref(), 0, &mut got).unwrap(), want.len());
        assert!(got[..want.len()] == want[..], "{}", entry.name);
        let mut middle = [0; 1000];
        file.read_at(50_000, &mut middle).unwrap();
        assert_eq!(middle, want[50_000..51_000]);
    }
}

#[test]
fn a_store_that_stumbles_is_asked_again() {
    let fates = [
        Fate::Answer(503, "SlowDown"),
        Fate::Answer(500, "InternalError"),
        Fate::Hangup,
        Fate::AnswerLost,
        Fate::AnswerCut(40),
    ];
    let Some(far) = Far::new() else { return };
    for (index, fate) in fates.into_iter().enumerate() {
        let store =
            node::open(&far.place("retry=20&timeout=10").replace("/data?", &format!("/data-{index}?")));
        // What is asked for when sets are written, in the order in which it is.
        let asked = [
            ("GET", "list-type"),
            ("PUT", "probe-"),
            ("DELETE", "probe-"),
            ("POST", "uploads"),
            ("PUT", "partNumber=1"),
            ("POST", "uploadId"),
            ("PUT", "-00001.rdb"),
            ("HEAD", ".rdb"),
            ("PUT", "manifest"),
        ];
        for (method, path) in asked {
            far.proxy.next(method, path, 1, fate.clone());
        }
        let mut node = Node::begin(store.clone(), 1);
        let manifest = node.save(&[&node::bytes(3, 6 << 20), b"small"]).unwrap_or_else(|error| {
            panic!("{fate:?}: {error}");
        });
        assert_eq!(far.proxy.left(), 0, "{fate:?}: every fault was met");
        for (method, path) in [("HEAD", "manifest"), ("GET", "manifest"), ("GET", ".rdb")] {
            far.proxy.next(method, path, 1, fate.clone());
        }
        assert_eq!(loads(store).set, Some(manifest), "{fate:?}");
        assert_eq!(far.proxy.left(), 0, "{fate:?}: every fault was met");
        far.proxy.clear();
    }
}

#[test]
fn an_answer_that_is_cut_in_the_middle_is_asked_for_again() {
    let Some(far) = Far::new() else { return };
    let large = node::bytes(4, LARGE);
    let manifest = Node::begin(far.store(), 1).save(&[&large]).unwrap();
    far.proxy.next("GET", ".rdb", 3, Fate::AnswerCut(3 << 20));
    assert_eq!(loads(far.store()).set, Some(manifest));
    assert_eq!(far.proxy.left(), 0);
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_told() {
    let Some(far) = Far::new() else { return };
    let large = node::bytes(5, LARGE);
    let manifest = Node::begin(far.store(), 1).save(&[&large]).unwrap();
    let file = sets::open_file(far.store().as_ref(), &manifest, &manifest.files[0]).unwrap();
    let other = node::bytes(6, LARGE);
    far.direct("PUT", &format!("0000000001/{}", manifest.files[0].name), &other);
    let error = file.read_at(0, &mut [0; 10]).unwrap_err();
    assert!(error.to_string().contains("replaced while it was read"), "{error}");
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    let draft = sets::Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
    let mut file = draft.file(stdx::ShardId(0), false).unwrap();
    file.write(&node::bytes(7, LARGE)).unwrap();
    // It is the store's thread that begins it and takes it back, and nobody waits for either.
    let is_there = || far.listed("uploads").contains("<UploadId>");
    lacewing_tests::until("it has begun", || is_there().then_some(()));
    drop(file);
    draft.abort().unwrap();
    lacewing_tests::until("it is taken back", || (!is_there()).then_some(()));
    assert!(!far.listed("list-type=2").contains("<Key>"), "{}", far.listed("list-type=2"));
    assert_eq!(node.save(&[b"a"]).unwrap().number, 1);
}

#[test]
fn an_upload_that_nobody_ends_is_no_file() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.impatient(), 1);
    let draft = sets::Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
    let mut file = draft.file(stdx::ShardId(0), false).unwrap();
    file.write(&node::bytes(8, LARGE)).unwrap();
    // As after a crash: nothing is said to the store any more.
    far.proxy.always(Fate::Hangup);
    drop(file);
    drop(draft);
    far.proxy.clear();
    let store = far.store();
    assert!(store.list().unwrap().iter().all(|set| set.files.is_empty()), "parts are no files");
    assert_eq!(durable::sets::next_number(&node.places, &node.loaded).unwrap(), 1);
}

#[test]
fn who_waits_for_a_store_is_told_when_the_server_stops() {
    let Some(far) = Far::new() else { return };
    let store = node::open(&far.place("retry=600&timeout=600"));
    far.proxy.always(Fate::Silence);
    let waits = {
        let store = store.clone();
        thread::spawn(move || store.list().unwrap_err())
    };
    while far.proxy.seen("GET", "list-type") == 0 {
        thread::yield_now();
    }
    store.close();
    let error: DiskError = waits.join().unwrap();
    assert_eq!(error.store_trouble(), Some(StoreTrouble::Unreachable));
    assert!(error.to_string().contains("has ended its dealings"), "{error}");
    store.list().unwrap_err();
}

#[test]
fn whoever_writes_does_not_wait_for_a_store_that_is_slow() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(node::open(&far.place("retry=600&timeout=600")), 1);
    let draft = sets::Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
    // It is asked to take the first part, and says nothing.
    far.proxy.next("PUT", "partNumber=1", 1, Fate::Silence);
    let large = node::bytes(9, 4 * LARGE);
    let (give, written) = mpsc::channel();
    let mut file = draft.file(stdx::ShardId(0), false).unwrap();
    let bytes = large.clone();
    thread::spawn(move || {
        for piece in bytes.chunks(300_000) {
            file.write(piece).unwrap();
        }
        give.send(file).unwrap();
    });
    let file = written.recv_timeout(Duration::from_secs(20)).expect("it does not wait");
    lacewing_tests::until("the store is asked", || (far.proxy.seen("PUT", "partNumber=1") > 0).then_some(()));
    assert!(far.proxy.seen("PUT", "partNumber=2") == 0, "the store has not gone on");
    far.proxy.let_go();
    let file = file.finish(vec![DbKeys { db: 0, keys: 1 }]).unwrap();
    let commit = node.commit();
    draft.commit(commit, vec![file], &mut node.identity, &mut node.loaded).unwrap();
    let plan = loads(far.store());
    let (set, store) = (plan.set.unwrap(), plan.store.unwrap());
    let file = sets::open_file(store.as_ref(), &set, &set.files[0]).unwrap();
    let mut got = vec![0; large.len()];
    read_full_at(file.as_ref(), 0, &mut got).unwrap();
    assert!(got == large, "all of it is there, in order");
}
