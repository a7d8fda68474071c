//! Sets in a directory that is not the data directory: the same code decides.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use durable::SetStore;
use durable::recover::{self, OnLoadFailure, Options, Recovered};
use durable::sets::Loaded;
use durable::store::DirectorySets;
use storage::Directory;

use crate::node::{self, BOOT, Node, fresh, loads, refused, refused_at};

fn store(path: &Path) -> Arc<dyn SetStore> {
    Arc::new(DirectorySets::elsewhere(Arc::new(Directory::open(path).unwrap())))
}

#[test]
fn sets_go_there_and_are_found_there() {
    let place = tempfile::tempdir().unwrap();
    let mut node = Node::begin(store(place.path()), 1);
    for number in 1..=3 {
        assert_eq!(node.save(&[b"a", b"b"]).unwrap().number, number);
    }
    assert!(!node.path("snapshots").exists() && place.path().join("0000000003/manifest").exists());
    assert_eq!(node.loaded.prune(&node.places, 1).unwrap().sets, [1, 2]);
    assert!(!place.path().join("0000000001").exists());
    let plan = loads(store(place.path()));
    assert_eq!(plan.set.unwrap().number, 3);
    assert_eq!(plan.store.unwrap().name(), place.path().display().to_string());
}

#[test]
fn what_is_not_mounted_is_not_empty() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    drop(place);
    let text = refused(store, 74);
    assert!(text.contains("No such file"), "{text}");
}

#[test]
fn an_unmounted_place_of_a_node_with_data_is_not_a_first_start() {
    let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = Node::begin(store(place.path()), 1);
    node.save(&[b"a"]).unwrap();
    let places = durable::Places::with(node.places.shared_disk().clone(), store(other.path()));
    refused_at(&places, 91);
}

#[test]
fn messages_name_the_place() {
    let place = tempfile::tempdir().unwrap();
    let manifest = Node::begin(store(place.path()), 1).save(&[b"a"]).unwrap();
    let file = place.path().join("0000000001").join(&manifest.files[0].name);
    fs::remove_file(&file).unwrap();
    let text = refused(store(place.path()), 96);
    assert!(text.contains(&file.display().to_string()), "{text}");
}

#[test]
fn what_is_put_aside_stays_and_is_out_of_the_way() {
    let place = tempfile::tempdir().unwrap();
    let mut node = Node::begin(store(place.path()), 1);
    node.save(&[b"a"]).unwrap();
    let newer = node.save(&[b"b"]).unwrap();
    let file = place.path().join("0000000002").join(&newer.files[0].name);
    fs::write(&file, b"B").unwrap();
    let (_scratch, places) = fresh(store(place.path()));
    let mut options = Options { on_load_failure: OnLoadFailure::Previous, ..Options::new(BOOT) };
    let Ok(Recovered::Whole(plan)) = recover::recover_verified(&places, &mut options) else {
        panic!("a plan")
    };
    let keys = vec![plan.set.as_ref().unwrap().files[0].keys.clone()];
    let (_, loaded) = plan.accept(&places, &keys, node::NOW).unwrap();
    loaded.sweep(&places, None).unwrap();
    loaded.prune(&places, 1).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"B");
    assert_eq!(loads(store(place.path())).set.unwrap().number, 1);
    assert_eq!(durable::sets::next_number(&places, &loaded).unwrap(), 3);
}

/// Numbers go on where they were, wherever the sets are; so a set of a place that was left is not taken for a newer one.
#[test]
fn hazard_4_a_set_of_a_place_that_was_left_is_not_the_newest() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = Node::begin(store(first.path()), 1);
    (0..3).for_each(|_| drop(node.save(&[b"old"]).unwrap()));
    let disk = node.places.shared_disk().clone();
    let places = durable::Places::with(disk.clone(), store(second.path()));
    // The operator gives up what is there, which cannot be had, and begins with nothing.
    let options = Options { on_load_failure: OnLoadFailure::Empty, ..Options::new(BOOT) };
    let Ok(Recovered::Empty(empty)) = recover::recover(&places, &options) else { panic!("by order") };
    let (identity, loaded) = empty.accept(&places, node.identity.node, node::NOW).unwrap();
    let mut node = Node { places, identity, loaded, ..node };
    assert_eq!(node.save(&[b"new"]).unwrap().number, 4);
    let back = durable::Places::with(disk, store(first.path()));
    let text = refused_at(&back, 96);
    assert!(text.contains("snapshot set 4") && text.contains("`snapshot-dir`"), "{text}");
    let Ok(Recovered::Whole(plan)) = node::start(&node.places) else { panic!("it is there") };
    assert_eq!(plan.set.unwrap().number, 4);
}

#[test]
fn a_place_is_one_servers() {
    let place = tempfile::tempdir().unwrap();
    let held = store(place.path()).hold("lacewing, process 17").unwrap();
    assert!(held.is_some());
    let error = store(place.path()).hold("another").err().unwrap();
    let (text, want) = (error.to_string(), format!("the place of snapshots {}", place.path().display()));
    assert!(text.contains(&want) && text.ends_with("process 17"), "{text}");
    drop(held);
    store(place.path()).hold("another").unwrap();
}

/// Whoever starts with an empty directory has the sets that are there, and not what their writer has besides: that may need them still.
#[test]
fn sets_of_another_server_are_not_removed_until_they_are_taken_over() {
    let place = tempfile::tempdir().unwrap();
    let mut first = Node::begin(store(place.path()), 1);
    (0..2).for_each(|_| drop(first.save(&[b"a"]).unwrap()));
    let (scratch, places) = fresh(store(place.path()));
    let (identity, loaded) =
        accepted(&places, &Options::new(BOOT), "are kept for the server that wrote them");
    let mut second = Node { scratch, places, identity, loaded, rng: stdx::Rng::new(2) };
    (0..2).for_each(|_| drop(second.save(&[b"b"]).unwrap()));
    assert_eq!(second.loaded.prune(&second.places, 1).unwrap().sets, [3]);
    // The first one has nothing to do but to move the strange one away.
    fs::rename(place.path().join("0000000004"), second.path("moved")).unwrap();
    let Ok(Recovered::Whole(plan)) = node::start(&first.places) else { panic!("its sets are there") };
    assert_eq!(plan.set.unwrap().number, 2);
    fs::rename(second.path("moved"), place.path().join("0000000004")).unwrap();

    // It is remembered, until it is said.
    let (_, loaded) =
        accepted(&second.places, &Options::new(BOOT), "are kept for the server that wrote them");
    assert!(loaded.prune(&second.places, 1).unwrap().sets.is_empty());
    let takes_over = Options { take_over: true, ..Options::new(BOOT) };
    accepted(&second.places, &takes_over, "");
    let (_, loaded) = accepted(&second.places, &Options::new(BOOT), "");
    assert_eq!(loaded.prune(&second.places, 1).unwrap().sets, [1, 2]);
}

/// Accepts what there is; a note must say this, or (empty) none that speaks of it may be there.
#[track_caller]
fn accepted(places: &durable::Places, options: &Options, note: &str) -> (durable::Identity, Loaded) {
    let Ok(Recovered::Whole(plan)) = recover::recover(places, options) else { panic!("there is data") };
    let told = plan.notes.iter().any(|told| told.contains("snapshot-take-over") && told.contains(note));
    assert_eq!(told, !note.is_empty(), "{:?}", plan.notes);
    let keys: Vec<_> = plan.set.iter().flat_map(|set| &set.files).map(|file| file.keys.clone()).collect();
    plan.accept(places, &keys, node::NOW).unwrap()
}
