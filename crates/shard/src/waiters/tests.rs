use super::*;
use stdx::rng::Rng;

const DB: DbIndex = DbIndex(0);

fn id(client: u32) -> WaiterId {
    WaiterId { home: ShardId(1), client: ClientSlot(client) }
}

fn name(key: &str, wanted: &Wanted) -> LineName {
    LineName { db: DB, key: key.as_bytes().into(), wanted: wanted.clone() }
}

/// Waiters without anything to know of them.
#[derive(Default)]
struct World {
    waiters: Waiters<()>,
    notices: Vec<Notice>,
    stirred: Vec<LineName>,
}

impl World {
    fn enter(&mut self, client: u32, keys: &str, wanted: Wanted) {
        let keys = keys.split(' ').map(|key| key.as_bytes().into()).collect();
        self.waiters.enter(id(client), DB, keys, wanted, (), &mut self.notices);
    }

    fn leave(&mut self, client: u32) -> bool {
        self.waiters.leave(id(client), &mut self.notices, &mut self.stirred).is_some()
    }

    /// The clients in a line, in its order; none while it stands still.
    fn line(&self, key: &str, wanted: &Wanted) -> Vec<u32> {
        let mut after = None;
        std::iter::from_fn(|| {
            let (ticket, id) = self.waiters.next(&name(key, wanted), after)?;
            after = Some(ticket);
            Some(id.client.0)
        })
        .collect()
    }

    fn stirred(&mut self) -> String {
        keys(&std::mem::take(&mut self.stirred))
    }
}

fn keys(lines: &[LineName]) -> String {
    lines.iter().map(|line| String::from_utf8_lossy(&line.key)).collect::<Vec<_>>().join(" ")
}

#[test]
fn first_come_first_served_at_each_key() {
    let mut world = World::default();
    world.enter(1, "a", Wanted::List);
    world.enter(2, "b a", Wanted::List);
    world.enter(3, "a", Wanted::ZSet);
    assert_eq!(world.line("a", &Wanted::List), [1, 2]);
    assert_eq!(world.line("a", &Wanted::ZSet), [3]);
    assert!(world.leave(1) && !world.leave(1));
    assert_eq!(world.line("a", &Wanted::List), [2]);
    world.enter(1, "a", Wanted::List);
    assert_eq!(world.line("a", &Wanted::List), [2, 1], "one that comes again stands at the end");
    assert_eq!(world.waiters.len(), 3);
}

#[test]
fn a_key_named_twice_is_one_line() {
    let mut world = World::default();
    world.enter(1, "a a", Wanted::List);
    assert_eq!(world.line("a", &Wanted::List), [1]);
    assert!(world.leave(1));
    assert!(world.waiters.is_empty());
}

#[test]
fn the_first_for_a_key_and_the_last_are_told() {
    let mut world = World::default();
    world.enter(1, "a b", Wanted::List);
    world.enter(2, "a", Wanted::Stream);
    let told = |kind: fn(DbIndex, Box<[u8]>) -> Notice, keys: &str| -> Vec<Notice> {
        keys.split(' ').map(|key| kind(DB, key.as_bytes().into())).collect()
    };
    assert_eq!(std::mem::take(&mut world.notices), told(Notice::Awaited, "a b"));
    world.leave(1);
    assert_eq!(std::mem::take(&mut world.notices), told(Notice::Forgotten, "b"));
    world.leave(2);
    assert_eq!(world.notices, told(Notice::Forgotten, "a"));
}

#[test]
fn groups_have_lines_of_their_own() {
    let mut world = World::default();
    let group = |name: &str| Wanted::Group(name.as_bytes().into());
    world.enter(1, "s", group("g"));
    world.enter(2, "s", group("h"));
    world.enter(3, "s t", group("g"));
    assert_eq!(world.line("s", &group("g")), [1, 3]);
    assert_eq!(world.waiters.wanted(DB, b"s").count(), 2);
    assert_eq!(world.waiters.keys_of_groups(), 2);
    assert_eq!([1, 2, 3].map(|client| world.leave(client)), [true; 3]);
    assert_eq!(world.waiters.keys_of_groups(), 0);
}

#[test]
fn a_line_stands_still_for_who_was_offered_its_key() {
    let mut world = World::default();
    world.enter(1, "a b c", Wanted::List);
    world.enter(2, "a", Wanted::List);
    assert!(world.waiters.offer(id(1), b"a"));
    assert!(!world.waiters.offer(id(1), b"b"), "one offer is enough");
    assert!(world.waiters.is_offered(id(1)));
    assert_eq!((world.line("a", &Wanted::List), world.line("c", &Wanted::List)), (vec![], vec![1]));
    let (ticket, lines) = world.waiters.decline(id(1));
    assert_eq!(keys(&lines), "a b");
    assert_eq!(world.waiters.next(&name("a", &Wanted::List), ticket).map(|(_, next)| next), Some(id(2)));
    assert_eq!(world.line("a", &Wanted::List), [1, 2], "it keeps its place");
    world.waiters.offer(id(1), b"b");
    world.leave(1);
    assert_eq!(world.stirred(), "b");
    assert_eq!(world.line("a", &Wanted::List), [2]);
    assert_eq!(world.waiters.decline(id(1)), (None, Vec::new()));
}

/// What the lines ought to be: all waiters in the order in which they came.
#[derive(Default)]
struct Model(Vec<(u32, Vec<&'static str>, Wanted, Vec<&'static str>)>);

impl Model {
    fn line(&self, key: &str, wanted: &Wanted) -> Vec<u32> {
        let here = self.0.iter().filter(|(_, keys, what, _)| keys.contains(&key) && what == wanted);
        if here.clone().any(|(_, _, _, offered)| offered.contains(&key)) {
            return Vec::new();
        }
        here.map(|(client, ..)| *client).collect()
    }
}

#[test]
fn random_comings_and_goings_agree_with_a_list_of_all() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    let wants = [Wanted::List, Wanted::ZSet, Wanted::Stream, Wanted::Group((*b"g").into())];
    for seed in 0..50 {
        let (mut rng, mut world, mut model) = (Rng::new(seed), World::default(), Model::default());
        for _ in 0..400 {
            let client = rng.below(12) as u32;
            let at = model.0.iter().position(|(other, ..)| *other == client);
            let key = KEYS[rng.below(4) as usize];
            match (at, rng.below(4)) {
                (None, _) => {
                    let keys: Vec<&str> = (0..=rng.below(3)).map(|_| KEYS[rng.below(4) as usize]).collect();
                    let wanted = wants[rng.below(4) as usize].clone();
                    world.enter(client, &keys.join(" "), wanted.clone());
                    model.0.push((client, keys, wanted, Vec::new()));
                }
                (Some(at), 0) => {
                    model.0.remove(at);
                    assert!(world.leave(client));
                }
                (Some(at), 1) => {
                    let offered = std::mem::take(&mut model.0[at].3);
                    let (_, lines) = world.waiters.decline(id(client));
                    assert_eq!(lines.len(), offered.len(), "seed {seed}");
                }
                (Some(at), _) => {
                    let wanted = model.0[at].2.clone();
                    if model.0[at].1.contains(&key) && model.line(key, &wanted).contains(&client) {
                        let is_first = model.0[at].3.is_empty();
                        assert_eq!(world.waiters.offer(id(client), key.as_bytes()), is_first);
                        model.0[at].3.push(key);
                    }
                }
            }
            for key in KEYS {
                for wanted in &wants {
                    assert_eq!(world.line(key, wanted), model.line(key, wanted), "seed {seed}, {key}");
                }
            }
        }
        for client in 0..12 {
            world.leave(client);
        }
        let awaited = world.notices.iter().filter(|notice| matches!(notice, Notice::Awaited(..))).count();
        assert_eq!(
            awaited * 2,
            world.notices.len(),
            "seed {seed}: each key is forgotten as often as awaited"
        );
        assert!(world.waiters.is_empty() && world.waiters.keys.is_empty());
        assert_eq!(world.waiters.keys_of_groups(), 0);
    }
}
