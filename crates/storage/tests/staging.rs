//! Files of a dataset that comes from elsewhere, on the real file system.

mod common;

use common::Server;
use durable::staging::Staging;
use stdx::{Rng, ShardId};

#[test]
fn who_gives_up_late_takes_nothing_from_who_has_begun_since() {
    let server = Server::start();
    let disk = server.places.shared_disk();
    let mut rng = Rng::new(1);
    let names = || -> Vec<String> {
        let entries = disk.list("sync").expect("it can be listed");
        entries.into_iter().map(|entry| entry.name).collect()
    };

    let first = Staging::begin(&server.places, &mut rng).expect("it begins");
    first.files().file(ShardId(0), false).expect("it is made");
    let second = Staging::begin(&server.places, &mut rng).expect("it begins");
    assert!(names().is_empty(), "what the first has left goes");

    let late = first.files().file(ShardId(1), true).expect("it is made");
    drop(late);
    second.files().file(ShardId(0), false).expect("it is made");
    let both = names();
    assert_eq!(both.len(), 2);
    first.discard().expect("it goes");
    let left = names();
    assert!(left.len() == 1 && both.contains(&left[0]), "{left:?} of {both:?}");
    second.discard().expect("it goes");
    assert!(names().is_empty());
}
