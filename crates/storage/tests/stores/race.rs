//! Two writers, one number.

use std::sync::{Arc, Barrier};
use std::thread;

use aof::NodeId;
use durable::recover::Recovered;
use durable::sets::{CommitError, Draft};
use durable::{Disk, Places};
use stdx::Rng;
use storage::Directory;

use crate::node::{self, Far, NOW, Node, loads, refused_at, start};
use lacewing_tests::stores::Fate;

#[test]
fn of_two_writers_of_one_set_one_wins() {
    let Some(far) = Far::new() else { return };
    // One machine that was taken for dead, and the one that took its place: both are the same node.
    let mut nodes = [Node::begin(far.store(), 1), Node::begin(far.store(), 1)];
    nodes[1].rng = stdx::Rng::new(77);
    for round in 1..=ROUNDS {
        let together = Barrier::new(2);
        let ended: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = nodes
                .iter_mut()
                .enumerate()
                .map(|(index, node)| {
                    let together = &together;
                    scope.spawn(move || {
                        let draft = Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
                        together.wait();
                        let bytes = node::bytes(round * 2 + index as u64, 1000);
                        (draft.number(), node.fill(draft, &[&bytes]), bytes)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ended.iter().all(|(number, ..)| *number == round), "both had the number");
        let winners: Vec<_> =
            ended.iter().filter_map(|(_, result, bytes)| Some((result.as_ref().ok()?, bytes))).collect();
        let losers =
            ended.iter().filter(|(_, result, _)| matches!(result, Err(CommitError::Taken(_)))).count();
        assert_eq!((winners.len(), losers), (1, 1), "round {round}: {ended:?}");
        let found = loads(far.store());
        assert_eq!(found.set.as_ref(), Some(winners[0].0), "what is found is the winner's, and whole");
        let object = format!("{round:010}/{}", winners[0].0.files[0].name);
        assert!(far.direct("GET", &object, b"") == *winners[0].1, "{object} is the winner's");
    }
}

#[test]
fn nothing_is_removed_while_another_server_writes_to_the_same_place() {
    let Some(far) = Far::new() else { return };
    // The machine that was taken for dead, and its replacement.
    let mut old = Node::begin(far.store(), 1);
    old.save(&[b"a"]).unwrap();
    let mut new = Node::begin(far.store_of("elsewhere"), 1);
    new.places = durable::Places::with(new.places.shared_disk().clone(), far.store());
    assert_eq!(new.save(&[b"b"]).unwrap().number, 2);
    assert_eq!(old.save(&[b"c"]).unwrap().number, 3);
    let pruned = old.loaded.prune(&old.places, 1).unwrap();
    assert_eq!((pruned.sets, pruned.strangers), (vec![], vec![2]));
    assert_eq!(far.store().list().unwrap().len(), 3);
}

#[test]
fn a_manifest_whose_answer_was_lost_is_its_writers() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    node.save(&[b"a"]).unwrap();
    far.proxy.next("PUT", "manifest", 1, Fate::AnswerLost);
    let manifest = node.save(&[b"b"]).unwrap();
    assert_eq!((manifest.number, far.proxy.left()), (2, 0));
    assert_eq!(loads(far.store()).set, Some(manifest));
}

#[test]
fn a_set_of_which_nobody_was_told_is_no_strangers() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.impatient(), 1);
    node.save(&[b"a"]).unwrap();
    far.proxy.next("PUT", "manifest", 1, Fate::AnswerLost);
    far.proxy.next("PUT", "manifest", usize::MAX, Fate::Hangup);
    node.save(&[b"b"]).unwrap_err();
    far.proxy.clear();
    assert_eq!(loads(far.store()).set.unwrap().number, 2, "it is there all the same");
    assert_eq!(node.save(&[b"c"]).unwrap().number, 3);
    let pruned = node.loaded.prune(&node.places, 1).unwrap();
    assert_eq!((pruned.sets, pruned.strangers), (vec![1, 2], vec![]));
}

#[test]
fn another_attempt_that_came_to_nothing_is_not_taken_for_a_winner() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    // As S3 says while two such requests are under way.
    far.proxy.next("PUT", "manifest", 2, Fate::Answer(409, "ConditionalRequestConflict"));
    assert_eq!(node.save(&[b"a"]).unwrap().number, 1);
    assert_eq!(far.proxy.left(), 0);
}

#[test]
fn a_store_that_passes_over_the_condition_is_not_written_to() {
    let Some(far) = Far::new() else { return };
    far.proxy.next("PUT", "", usize::MAX, Fate::Without("if-none-match"));
    let mut node = Node::begin(far.store(), 1);
    let error = node.save(&[b"a"]).unwrap_err();
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    assert!(!far.listed("list-type=2").contains("<Key>"), "nothing stays: {}", far.listed("list-type=2"));
}

#[test]
fn two_sets_of_one_number_are_refused() {
    let Some(far) = Far::new() else { return };
    Node::begin(far.store(), 1).save(&[b"a"]).unwrap();
    // A directory of the same node, from a backup say, that knows nothing of what was given a number there.
    let scratch = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(scratch.path()).unwrap());
    let own = Places::local(Arc::clone(&disk));
    let Ok(Recovered::Empty(empty)) = start(&own) else { panic!("there is nothing") };
    let (identity, loaded) = empty.accept(&own, NodeId([1; 20]), NOW).unwrap();
    let mut restored = Node { scratch, places: own, identity, loaded, rng: Rng::new(2) };
    restored.save(&[b"b"]).unwrap();
    let places = Places::with(disk, far.store());
    let text = refused_at(&places, 93);
    assert!(text.contains("snapshot set 1 is in") && text.contains("two different sets"), "{text}");
}

const ROUNDS: u64 = 12;
