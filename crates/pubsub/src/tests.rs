use super::*;
use proptest::prelude::*;
use resp::Proto;
use std::collections::BTreeMap;

/// Cores that hear of each other's changes at once.
struct Cores(Vec<PubSub>);

impl Cores {
    fn new(count: u16) -> Self {
        Self((0..count).map(|core| PubSub::new(core, count, 7)).collect())
    }

    fn on(&mut self, core: u16, run: impl FnOnce(&mut PubSub) -> bool) -> bool {
        let done = run(&mut self.0[core as usize]);
        let changes = self.0[core as usize].take_changes();
        for other in self.0.iter_mut().filter(|other| other.core() != core) {
            other.apply(core, &changes);
        }
        done
    }

    fn subscribe(&mut self, core: u16, who: u32, kind: Kind, name: &str) -> bool {
        self.on(core, |one| one.subscribe(kind, Subscriber(who), name.as_bytes()))
    }

    fn unsubscribe(&mut self, core: u16, who: u32, kind: Kind, name: &str) -> bool {
        self.on(core, |one| one.unsubscribe(kind, Subscriber(who), name.as_bytes()))
    }

    /// Publishes at a core and delivers everywhere: how many were promised, and who got what, as `core/client:frame`.
    fn publish(&mut self, core: u16, sharded: bool, channel: &str, payload: &str) -> (u64, Vec<String>) {
        let promised = self.0[core as usize].publish(sharded, channel.as_bytes(), payload.as_bytes());
        let mut got = Vec::new();
        for message in self.0[core as usize].take_published() {
            let mut cores = vec![false; self.0.len()];
            deliver(&self.0[core as usize], &message, &mut cores, &mut got);
            assert!(!cores[core as usize], "a core does not send to itself");
            for other in (0..cores.len()).filter(|&other| cores[other]) {
                let before = got.len();
                deliver(&self.0[other], &message, &mut vec![false; cores.len()], &mut got);
                assert!(got.len() > before, "a core without subscribers is not asked");
            }
        }
        (promised, got)
    }
}

fn deliver(core: &PubSub, message: &Message, cores: &mut [bool], got: &mut Vec<String>) {
    core.deliver(message, cores, &mut Frame::default(), |who, frame| {
        let mut out = Vec::new();
        frame.append(&mut out, Proto::Resp2);
        let text = String::from_utf8(out).unwrap().replace("\r\n", " ");
        got.push(format!("{}/{}:{}", core.core(), who.0, text.trim_end()));
    });
}

#[test]
fn a_message_goes_to_channels_and_matching_patterns_everywhere() {
    let mut cores = Cores::new(3);
    assert!(cores.subscribe(0, 1, Kind::Channel, "news"));
    assert!(!cores.subscribe(0, 1, Kind::Channel, "news"));
    cores.subscribe(2, 5, Kind::Channel, "news");
    cores.subscribe(2, 5, Kind::Pattern, "n*");
    cores.subscribe(1, 9, Kind::Pattern, "x*");
    cores.subscribe(1, 9, Kind::Shard, "news");
    let message = "*3 $7 message $4 news $2 hi";
    let matched = "*4 $8 pmessage $2 n* $4 news $2 hi";
    let want = vec![format!("0/1:{message}"), format!("2/5:{message}"), format!("2/5:{matched}")];
    assert_eq!(cores.publish(0, false, "news", "hi"), (3, want.clone()));
    let (promised, mut got) = cores.publish(1, false, "news", "hi");
    got.sort();
    assert_eq!((promised, got), (3, want));
    let sharded = vec!["1/9:*3 $8 smessage $4 news $1 x".to_owned()];
    assert_eq!(cores.publish(2, true, "news", "x"), (1, sharded));
    assert_eq!(cores.publish(2, false, "old", "x"), (0, vec![]));
    assert!(!cores.0[2].has_published());
}

#[test]
fn resp3_has_a_push_type() {
    let mut frame = Frame::default();
    frame.write_message(&Message::new(false, b"c", b"m"));
    let mut out = b"+OK\r\n".to_vec();
    frame.append(&mut out, Proto::Resp3);
    assert_eq!(out, b"+OK\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
}

#[test]
fn subscriptions_are_counted_and_listed_in_order() {
    let mut one = PubSub::new(0, 1, 7);
    let who = Subscriber(3);
    for name in ["d", "b", "a", "c"] {
        one.subscribe(Kind::Channel, who, name.as_bytes());
    }
    one.subscribe(Kind::Pattern, who, b"p");
    one.subscribe(Kind::Shard, who, b"s");
    one.unsubscribe(Kind::Channel, who, b"b");
    let listed = one.names_of(Kind::Channel, who);
    assert_eq!(listed.iter().map(|name| &**name).collect::<Vec<_>>(), [b"d", b"a", b"c"]);
    let counts = one.subscriptions(who);
    assert_eq!((counts.channels, counts.patterns, counts.shards), (3, 1, 1));
    assert_eq!((counts.told(Kind::Channel), counts.told(Kind::Pattern), counts.told(Kind::Shard)), (4, 4, 1));
    assert!(counts.bytes > 0);
    one.leave(who);
    assert!(one.subscriptions(who).is_empty() && one.is_deserted());
    assert_eq!(one.subscriptions(who).bytes, 0);
    assert!(!one.has_changes(), "one core has nobody to tell");
}

#[test]
fn a_name_is_listed_while_anybody_subscribes() {
    let mut cores = Cores::new(2);
    cores.subscribe(0, 1, Kind::Channel, "a");
    cores.subscribe(1, 1, Kind::Channel, "a");
    for core in &cores.0 {
        assert_eq!((core.names(Kind::Channel), core.subscribers(Kind::Channel, b"a")), (1, 2));
    }
    cores.unsubscribe(0, 1, Kind::Channel, "a");
    assert_eq!(cores.0[0].channels(Kind::Channel).collect::<Vec<_>>(), [b"a"]);
    assert!(!cores.unsubscribe(0, 1, Kind::Channel, "a"));
    cores.unsubscribe(1, 1, Kind::Channel, "a");
    assert!(cores.0.iter().all(|core| core.is_deserted() && core.names(Kind::Channel) == 0));
}

/// What clients are subscribed to, by core and client.
type Model = BTreeMap<(u16, u32), Vec<(Kind, String)>>;

fn expected(model: &Model, channel: &str) -> Vec<String> {
    let mut want = Vec::new();
    for ((core, who), subscriptions) in model {
        for (kind, name) in subscriptions {
            let hit = match kind {
                Kind::Channel => name == channel,
                Kind::Pattern => matches(name.as_bytes(), channel.as_bytes()),
                Kind::Shard | Kind::Prefix | Kind::Monitor => false,
            };
            if hit {
                let word = if *kind == Kind::Pattern { "pmessage" } else { "message" };
                want.push(format!("{core}/{who} {word} {name}"));
            }
        }
    }
    want.sort();
    want
}

proptest! {
    /// Clients of three cores come, subscribe, unsubscribe and go; every message reaches exactly those who want it.
    #[test]
    fn every_message_reaches_those_who_subscribe(
        steps in prop::collection::vec((0..3u16, 0..4u32, 0..8usize, 0..8u8), 1..120),
    ) {
        const NAMES: [(Kind, &str); 8] = [
            (Kind::Channel, "a"), (Kind::Channel, "ab"), (Kind::Channel, "b"), (Kind::Pattern, "a*"),
            (Kind::Pattern, "*"), (Kind::Pattern, "?"), (Kind::Shard, "a"), (Kind::Shard, "b"),
        ];
        let mut cores = Cores::new(3);
        let mut model = Model::new();
        for (core, who, name, what) in steps {
            let (kind, name) = NAMES[name];
            let own = model.entry((core, who)).or_default();
            let at = own.iter().position(|known| *known == (kind, name.to_owned()));
            match what {
                0..4 => {
                    prop_assert_eq!(cores.subscribe(core, who, kind, name), at.is_none());
                    if at.is_none() {
                        own.push((kind, name.to_owned()));
                    }
                }
                4..6 => {
                    prop_assert_eq!(cores.unsubscribe(core, who, kind, name), at.is_some());
                    if let Some(at) = at {
                        own.remove(at);
                    }
                }
                6 => {
                    own.clear();
                    cores.on(core, |one| {
                        one.leave(Subscriber(who));
                        true
                    });
                }
                _ => {
                    for channel in ["a", "ab", "b"] {
                        let (promised, got) = cores.publish(core, false, channel, "m");
                        let mut got: Vec<String> = got.iter().map(|line| summary(line)).collect();
                        got.sort();
                        prop_assert_eq!(promised, got.len() as u64);
                        prop_assert_eq!(got, expected(&model, channel));
                    }
                }
            }
        }
        for (client, own) in &model {
            let listed = cores.0[client.0 as usize].subscriptions(Subscriber(client.1));
            prop_assert_eq!(listed.channels + listed.patterns + listed.shards, own.len() as u32);
        }
    }
}

/// `core/client word name` of a line that [`Cores::publish`] gave.
fn summary(line: &str) -> String {
    let (client, frame) = line.split_once(':').unwrap();
    let words: Vec<&str> = frame.split(' ').collect();
    format!("{client} {} {}", words[2], words[4])
}
