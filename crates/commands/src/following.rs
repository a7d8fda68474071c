//! Whose data this is: the place in a master's stream up to which it was applied, and whether the node follows that master now.
//!
//! The position is an effect: `LACEWING.POSITION <tag> <replid> <offset> <db>`, or `LACEWING.POSITION <tag> ? -1 0` when the data is
//! nobody's but ours. It stands in the same EXEC as what it is the position behind, so a journal has both or neither. `tag` is a
//! key of the first shard ([`TAG`]), whatever the number of shards. Clients do not know the command: only the server's own say it,
//! and replays. A master's stream is sent on without it ([`replication::merge`]).
//!
//! Why it is so: docs/decisions/0028-following.md.

use crate::core::Core;
use crate::ctx::{Ctx, Outcome};
use crate::effects::{self, Journal};
use crate::error::CommandError;
use crate::row::{Command, Crossing, Flags, KeySpec};
use replication::StreamPosition;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use stdx::{Args, DbIndex};

/// What all cores know of the master's data.
#[derive(Debug, Default)]
pub struct Following {
    is_on: AtomicBool,
    position: Mutex<Option<StreamPosition>>,
}

impl Following {
    /// Whether the node follows a master: it neither expires nor evicts by itself, and memory has no limit.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Says whether it does.
    pub fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
    }

    /// The place in a master's stream up to which the data has it; `None` when it is no master's data.
    pub fn position(&self) -> Option<StreamPosition> {
        *self.position.lock().expect("nobody panics with it")
    }

    /// The data has become that of another place. Not journalled: see [`set`].
    pub fn set_position(&self, position: Option<StreamPosition>) {
        *self.position.lock().expect("nobody panics with it") = position;
    }
}

/// The data has become that of this place, on the first shard's core; and so says the journal.
pub fn set(core: &mut Core, position: Option<StreamPosition>) {
    core.shared.following.set_position(position);
    if core.effects.journals() {
        let words = words(position);
        effects::gather(core);
        core.effects.push(DbIndex(0), words.iter().map(Vec::as_slice));
    }
}

/// The command that says so.
pub fn words(position: Option<StreamPosition>) -> [Vec<u8>; 5] {
    let (replid, offset, db) = match position {
        Some(StreamPosition { at, db }) => {
            (at.replid.as_str().as_bytes().to_vec(), at.offset.to_string(), db.0.to_string())
        }
        None => (b"?".to_vec(), "-1".to_owned(), "0".to_owned()),
    };
    [NAME.as_bytes().to_vec(), TAG.to_vec(), replid, offset.into_bytes(), db.into_bytes()]
}

fn position(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let position = match args.at(2) {
        b"?" => None,
        replid => {
            let position = StreamPosition::of_words(replid, args.at(3), args.at(4));
            Some(position.ok_or(CommandError::Syntax)?)
        }
    };
    ctx.core.shared.following.set_position(position);
    ctx.effect_as_is(args.at(1), args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// What the server says to itself.
pub const COMMANDS: &[Command] = &[Command {
    name: NAME,
    arity: 5,
    flags: Flags::WRITE.or(Flags::PROTECTED).or(Flags::HIDDEN).or(Flags::NOSCRIPT),
    keys: &[KeySpec::range(1, 1, 1, &["OW"])],
    journal: Journal::Rewritten,
    crossing: Crossing::OneShard,
    handler: position,
    summary: "Sets the place in a master's stream up to which it was applied.",
    is_internal: true,
    ..Command::EMPTY
}];

const NAME: &str = "lacewing.position";
/// A key of slot 0, which is the first shard's.
pub const TAG: &[u8] = b"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use replication::{Position, ReplId};
    use stdx::Slot;

    fn some(offset: u64, db: u16) -> Option<StreamPosition> {
        let replid = ReplId::parse(&[b'a'; 40]).expect("an id");
        Some(StreamPosition { at: Position { replid, offset }, db: DbIndex(db) })
    }

    #[test]
    fn the_tag_is_the_first_shards() {
        assert_eq!(Slot::of(TAG).index(), 0);
    }

    #[test]
    fn a_position_is_set_and_taken_away_by_its_words() {
        let mut world = World::new(1);
        let line = |position| {
            let [name, _, rest @ ..] = words(position).map(|word| String::from_utf8(word).expect("text"));
            format!("{name} \"\" {}", rest.join(" "))
        };
        for position in [some(1234, 3), None, some(0, 0)] {
            world.run(&line(position));
            assert_eq!(world.cores[0].shared.following.position(), position);
        }
        world.check(&["lacewing.position \"\" abc 1 0"], "-ERR syntax error");
        assert_eq!(world.cores[0].shared.following.position(), some(0, 0));
    }

    #[test]
    fn it_is_not_among_the_commands_that_are_told() {
        assert!(crate::table::all().iter().all(|command| command.full_name != NAME));
        assert!(crate::table::by_name(NAME.as_bytes()).is_none());
    }
}
