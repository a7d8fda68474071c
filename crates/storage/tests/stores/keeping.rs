//! Which sets of a bucket stay.

use crate::node::{self, Far, Node, fresh, loads};
use durable::sets::{self, Draft};

#[test]
fn the_newest_sets_are_kept_and_the_others_removed_to_the_last_object() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    for number in 1..=4 {
        assert_eq!(node.save(&[b"a", b"b"]).unwrap().number, number);
    }
    let pruned = node.loaded.prune(&node.places, 2).unwrap();
    assert_eq!(pruned.sets, [1, 2]);
    let listed = far.listed("list-type=2");
    assert!(!listed.contains("data/0000000001") && !listed.contains("data/0000000002"), "{listed}");
    assert_eq!(listed.matches("<Key>").count(), 6, "two sets of two files and a manifest");
    assert_eq!(loads(far.store()).set.unwrap().number, 4);
}

#[test]
fn sets_that_this_process_has_not_read_do_not_count() {
    let Some(far) = Far::new() else { return };
    Node::begin(far.store(), 1).save(&[b"a"]).unwrap();
    // Another process: it has loaded the set, which counts, and has not seen the damaged one between.
    let (_scratch, places) = fresh(far.store());
    let plan = match node::start(&places) {
        Ok(durable::recover::Recovered::Whole(plan)) => plan,
        other => panic!("{other:?}"),
    };
    let keys = vec![plan.set.as_ref().unwrap().files[0].keys.clone()];
    let (_, loaded) = plan.accept(&places, &keys, node::NOW).unwrap();
    far.direct("PUT", "0000000002/manifest", b"nonsense");
    assert_eq!(loaded.prune(&places, 1).unwrap(), sets::Pruned::default());
    assert!(far.listed("list-type=2").contains("0000000002/manifest"));
}

#[test]
fn attempts_are_swept_once_a_later_set_is_there() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    let lost = Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
    let mut file = lost.file(stdx::ShardId(0), false).unwrap();
    file.write(b"lost").unwrap();
    file.finish(Vec::new()).unwrap();
    drop(lost);
    // It may be another server's that is being written: nobody can have a bucket alone.
    node.loaded.sweep(&node.places, None).unwrap();
    assert!(far.listed("list-type=2").contains("data/0000000001/"));
    assert_eq!(node.save(&[b"a"]).unwrap().number, 2);
    node.loaded.sweep(&node.places, None).unwrap();
    let listed = far.listed("list-type=2");
    assert!(!listed.contains("data/0000000001/") && listed.contains("data/0000000002/manifest"), "{listed}");
}

#[test]
fn other_things_in_the_bucket_are_nobodys() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    for other in ["notes.txt", "0000000009", "00001/manifest", "old/0000000001/manifest"] {
        far.direct("PUT", other, b"x");
    }
    assert_eq!(node.save(&[b"a"]).unwrap().number, 1);
    assert_eq!(loads(far.store()).set.unwrap().number, 1);
    node.loaded.sweep(&node.places, None).unwrap();
    assert_eq!(far.listed("list-type=2").matches("<Key>").count(), 6);
}
