//! What the records of one flow's log are to this node: commands, dealt to the shards that have their keys.

use crate::follow::Unit;
use crate::spread::Deal;
use crate::transaction::group_len;
use aof::CommandReader;
use commands::{CommandRef, Crossing, Flags};
use coordinator::router::Router;
use replication::flow::come::Loader;
use replication::psync::readable;
use stdx::number::parse_i64;
use stdx::{Args, DbIndex};

/// Buffers to be used again.
#[derive(Default)]
pub(super) struct Reader {
    commands: CommandReader,
    dealing: Dealing,
}

impl Reader {
    /// How many bytes of what is told beside a log are whole commands. Errors: they are not told so.
    pub(super) fn whole(&mut self, told: &[u8]) -> Result<usize, String> {
        let mut whole = 0;
        while let Some((args, len)) = self.commands.first(&told[whole..]) {
            let changes_nothing = |found: &CommandRef| {
                found.row.flags.has(Flags::MAY_REPLICATE) && !found.row.flags.has(Flags::WRITE)
            };
            if commands::lookup(args).ok().filter(changes_nothing).is_none() {
                return Err(format!("beside its log it tells '{}'", readable(args.at(0))));
            }
            whole += len;
        }
        Ok(whole)
    }

    /// Makes what this node runs of commands.
    pub(super) fn loading(&mut self, databases: u16, router: Router) -> Loading<'_> {
        Loading { reader: self, databases, router }
    }
}

/// Takes commands out of records.
pub(super) struct Loading<'a> {
    reader: &'a mut Reader,
    databases: u16,
    router: Router,
}

impl Loader for Loading<'_> {
    type Load = Unit;

    fn empty(&mut self) -> Unit {
        Unit::new(DbIndex(0))
    }

    /// Without the brackets around what belongs together, as all of it does, and without what the master says of its own place.
    fn add(&mut self, unit: &mut Unit, mut db: DbIndex, bytes: &[u8]) -> Result<(), String> {
        let Reader { commands, dealing } = &mut *self.reader;
        let mut at = 0;
        while at < bytes.len() {
            let Some((args, len)) = commands.first(&bytes[at..]) else {
                return Err("a record holds what is no command".to_owned());
            };
            let name = args.at(0);
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if is("select") {
                let number = args.get(1).and_then(parse_i64).and_then(|db| u16::try_from(db).ok());
                db = DbIndex(number.ok_or("a record selects what is no database")?);
            } else if !is("multi") && !is("exec") && !is(commands::following::NAME) {
                if db.0 >= self.databases {
                    return Err(format!("there is no database {}", db.0));
                }
                unit.select(db);
                dealing.push(self.router, unit, args, &bytes[at..at + len]);
            }
            at += len;
        }
        Ok(())
    }

    fn tell(&mut self, unit: &mut Unit, told: &[u8]) {
        unit.select_any();
        let mut rest = told;
        while let Some((_, len)) = self.reader.commands.first(rest) {
            unit.push(&rest[..len]);
            rest = &rest[len..];
        }
    }

    fn commands(unit: &Unit) -> usize {
        unit.commands()
    }
}

/// Deals commands to the shards that have their keys.
#[derive(Default)]
struct Dealing {
    keys: Vec<u32>,
    deal: Deal,
    part: Vec<u8>,
}

impl Dealing {
    /// Adds a command. What every shard can do its part of by itself is a command for each: one over several shards would be a stage of its
    /// own, for which all others wait.
    fn push(&mut self, router: Router, unit: &mut Unit, args: Args<'_>, bytes: &[u8]) {
        let Self { keys, deal, part } = self;
        let fanout =
            commands::lookup(args).ok().filter(|found| matches!(found.row.crossing, Crossing::Fanout(_)));
        if let Some(command) = fanout {
            commands::table::keys_of(command, args, keys);
            if !keys.is_empty() && !deal.find(router, args, keys).1 {
                deal.deal(router, args, keys, group_len(keys, args.len()));
                for dealt in deal.parts() {
                    part.clear();
                    aof::Commands::new(part).command(deal.args(dealt, bytes).iter());
                    unit.push(part);
                }
                return;
            }
        }
        unit.push(bytes);
    }
}

#[cfg(test)]
mod tests;
