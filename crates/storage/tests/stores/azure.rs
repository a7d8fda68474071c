//! The other protocol: sets in a container of a real server of Azure's (azurite).

use durable::recover::{self, Options};
use durable::sets;
use lacewing_tests::stores::azurite;

use crate::node::{self, BOOT, Node, fresh, loads, refused};

/// A container of its own, with credentials in `scratch`.
fn place(scratch: &tempfile::TempDir, key: &str) -> Option<String> {
    let credentials = scratch.path().join("credentials");
    std::fs::write(&credentials, format!("azure_storage_account_key = {key}\n")).unwrap();
    Some(format!(
        "az://{}/data?endpoint={}&allow-http=yes&account={}&credentials={}&part-mb=5&retry=5",
        azurite::container()?,
        azurite::address()?,
        azurite::ACCOUNT,
        credentials.display()
    ))
}

#[test]
fn sets_are_written_found_kept_and_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(place) = place(&scratch, azurite::KEY) else { return };
    let mut node = Node::begin(node::open(&place), 1);
    let large = node::bytes(1, (11 << 20) + 5);
    node.save(&[b"a"]).unwrap();
    node.save(&[b"b"]).unwrap();
    let manifest = node.save(&[&large, b"small"]).unwrap();
    let plan = loads(node::open(&place));
    assert_eq!(plan.set.as_ref(), Some(&manifest));
    let file = sets::open_file(plan.store.unwrap().as_ref(), &manifest, &manifest.files[0]).unwrap();
    let mut got = vec![0; large.len()];
    durable::read_full_at(file.as_ref(), 0, &mut got).unwrap();
    assert!(got == large);
    assert_eq!(node.loaded.prune(&node.places, 1).unwrap().sets, [1, 2]);
    assert_eq!(node::open(&place).list().unwrap().len(), 1);
}

#[test]
fn of_two_writers_of_one_set_one_wins() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(place) = place(&scratch, azurite::KEY) else { return };
    let store = node::open(&place);
    store.begin(1).unwrap();
    store.commit(1, b"first").unwrap();
    store.commit(1, b"first").unwrap();
    let error = store.commit(1, b"second").unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
}

#[test]
fn hazards_1_and_2_have_the_same_codes_there() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(place) = place(&scratch, azurite::KEY) else { return };
    let typo = place.replace("container-", "no-such-container-");
    let text = refused(node::open(&typo), 105);
    assert!(text.contains("404 ContainerNotFound"), "{text}");
    let wrong = place.replace("&credentials=", "&retry=0&credentials=/dev/null&credentials=");
    let other = tempfile::tempdir().unwrap();
    let credentials = other.path().join("credentials");
    std::fs::write(&credentials, "azure_storage_account_key = d3Jvbmc=\n").unwrap();
    let wrong = format!("{wrong}&credentials={}", credentials.display());
    let text = refused(node::open(&wrong), 106);
    assert!(text.contains("403"), "{text}");
    let (_scratch, places) = fresh(node::open(&place));
    assert!(recover::recover(&places, &Options::new(BOOT)).is_ok(), "with the right ones it is empty");
}
