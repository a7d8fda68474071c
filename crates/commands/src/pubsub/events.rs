//! Keyspace notifications: what happened to keys, as messages.

use crate::core::Core;
use crate::effects::{self, Event};
use config::KeyspaceEvents;

/// Follows `notify-keyspace-events`: from now on what it names is kept until [`publish_events`].
pub fn listen(core: &mut Core) {
    let events = core.config.notify_keyspace_events;
    let publishes = |class: KeyspaceEvents| events.publishes(class);
    let classes =
        CLASSES.iter().filter(|(class, _)| publishes(*class)).fold(0, |bits, (_, event)| bits | event.0);
    let journals = core.effects.journals();
    effects::listen(core, journals, classes);
}

/// Publishes what has happened to keys since it was last asked.
pub fn publish_events(core: &mut Core) {
    effects::gather(core);
    if !core.effects.has_fired() {
        return;
    }
    let fired = core.effects.take_fired();
    if core.pubsub.is_deserted() {
        return;
    }
    let events = core.config.notify_keyspace_events;
    let mut channel = Vec::new();
    for event in fired {
        let mut db = itoa::Buffer::new();
        let db = db.format(event.db.0).as_bytes();
        let mut publish = |kind: &[u8], name: &[u8], message: &[u8]| {
            channel.clear();
            [b"__", kind, b"@", db, b"__:", name].iter().for_each(|part| channel.extend_from_slice(part));
            core.pubsub.publish(false, &channel, message);
        };
        if events.contains(KeyspaceEvents::KEYSPACE) {
            publish(b"keyspace", &event.key, event.name.as_bytes());
        }
        if events.contains(KeyspaceEvents::KEYEVENT) {
            publish(b"keyevent", event.name.as_bytes(), &event.key);
        }
    }
}

const CLASSES: [(KeyspaceEvents, Event); 11] = [
    (KeyspaceEvents::GENERIC, Event::GENERIC),
    (KeyspaceEvents::STRING, Event::STRING),
    (KeyspaceEvents::LIST, Event::LIST),
    (KeyspaceEvents::SET, Event::SET),
    (KeyspaceEvents::HASH, Event::HASH),
    (KeyspaceEvents::ZSET, Event::ZSET),
    (KeyspaceEvents::EXPIRED, Event::EXPIRED),
    (KeyspaceEvents::EVICTED, Event::EVICTED),
    (KeyspaceEvents::STREAM, Event::STREAM),
    (KeyspaceEvents::KEY_MISS, Event::KEY_MISS),
    (KeyspaceEvents::NEW, Event::NEW),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    /// Subscribes to everything, sets `notify-keyspace-events`, runs the command lines, and gives what was published.
    fn published(events: &str, commands: &[&str]) -> String {
        let mut world = World::new(1);
        world.run("HELLO 3");
        world.run("PSUBSCRIBE *");
        world.check(&[&format!("CONFIG SET notify-keyspace-events '{events}'")], "+OK");
        listen(&mut world.cores[0]);
        commands.iter().for_each(|command| drop(world.run(command)));
        publish_events(&mut world.cores[0]);
        let messages = world.cores[0].pubsub.take_published();
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let lines: Vec<String> = messages
            .iter()
            .map(|message| format!("{} {}", text(message.channel()), text(message.payload())))
            .collect();
        lines.join(" | ")
    }

    #[test]
    fn both_channels_have_their_forms() {
        let both = "__keyspace@0__:k set | __keyevent@0__:set k";
        assert_eq!(published("KEA", &["SET k v"]), both);
        assert_eq!(published("KA", &["SET k v"]), "__keyspace@0__:k set");
        assert_eq!(published("E$", &["SELECT 7", "SET k v"]), "__keyevent@7__:set k");
        assert_eq!(published("A", &["SET k v"]), "");
        assert_eq!(published("", &["SET k v"]), "");
    }

    #[test]
    fn only_the_classes_asked_for_are_published() {
        let check = |events: &str, expected: &str| {
            let commands = ["GET k", "SET k v EX 10", "LPUSH l a", "DEL k"];
            assert_eq!(published(events, &commands), expected, "{events}");
        };
        check("El", "__keyevent@0__:lpush l");
        check("Eg", "__keyevent@0__:expire k | __keyevent@0__:del k");
        check("Em", "__keyevent@0__:keymiss k");
        check("En", "__keyevent@0__:new k | __keyevent@0__:new l");
        check("E$m", "__keyevent@0__:keymiss k | __keyevent@0__:set k");
        check("Ed", "");
    }

    #[test]
    fn a_message_published_after_an_event_comes_after_it() {
        let order = published("E$", &["SET k v", "PUBLISH c m", "SET k w"]);
        assert_eq!(order, "__keyevent@0__:set k | c m | __keyevent@0__:set k");
        let sharded = published("E$", &["SSUBSCRIBE c", "SET k v", "SPUBLISH c m", "SET k w"]);
        assert_eq!(sharded, order);
    }
}
