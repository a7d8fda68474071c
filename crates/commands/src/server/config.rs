//! CONFIG. Every core has its own copy of the configuration; SET runs on all of them, with the same outcome on each.

use crate::core::Action;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use config::Origin;
use stdx::Args;

/// CONFIG GET parameter...
pub(super) fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let patterns: Vec<&[u8]> = args.from(2).iter().collect();
    let found = ctx.core.config.get(&patterns);
    ctx.out.map(found.len());
    for (name, value) in &found {
        ctx.out.bulk(name.as_bytes());
        ctx.out.bulk(value.as_bytes());
    }
    Ok(Outcome::Done)
}

/// CONFIG SET parameter value...: all of them or none. What does not apply itself is left to the server, which replaces
/// the reply by an error when it cannot.
pub(super) fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|at| (args.at(at), args.at(at + 1))).collect();
    let origin = if ctx.caller.local { Origin::Local } else { Origin::Remote };
    let before = Box::new(ctx.core.config.clone());
    let names = ctx.core.config.set(&pairs, origin).map_err(|error| error.text())?;
    ctx.core.stats.latency_off = !ctx.core.config.latency_tracking;
    if !names.is_empty() {
        ctx.core.actions.push(Action::ConfigChanged { names, before });
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CONFIG RESETSTAT: the counters of each core.
pub(super) fn reset_stat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.core.stats.reset();
    ctx.core.over_limit_since = None;
    let stats = &mut ctx.core.keyspace.stats;
    *stats = keyspace::KeyspaceStats { dirty: stats.dirty, ..Default::default() };
    ctx.core.shared.saves.reset_counts();
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CONFIG REWRITE: done by the server, which replaces the reply by an error when the file cannot be written.
pub(super) fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    if ctx.core.shared.config_file.is_empty() {
        return Err(CommandError::NO_CONFIG_FILE);
    }
    ctx.core.actions.push(Action::ConfigRewrite);
    ctx.out.ok();
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    #[test]
    fn parameters_are_found_by_name_and_pattern() {
        check(&["CONFIG GET maxmemory"], "*2 $9 maxmemory $1 0");
        check(&["HELLO 3", "CONFIG GET maxmemory hz"], "%2 $9 maxmemory $1 0 $2 hz $2 10");
        check(&["CONFIG GET nope"], "*0");
        check(&["CONFIG GET"], "-ERR wrong number of arguments for 'config|get' command");
    }

    #[test]
    fn every_core_gets_what_is_set() {
        let mut world = World::new(2);
        world.check(&["CONFIG SET maxmemory 1mb hz 50"], "+OK");
        for core in &world.cores {
            assert_eq!((core.config.maxmemory, core.config.hz), (1 << 20, 50));
            let [Action::ConfigChanged { names, before }] = &core.actions[..] else { panic!("one action") };
            assert_eq!((names.as_slice(), before.hz), (&["maxmemory", "hz"][..], 10));
        }
        world.check(&["CONFIG GET maxmemory"], "*2 $9 maxmemory $7 1048576");
    }

    #[test]
    fn nothing_is_set_when_one_is_wrong() {
        let mut world = World::new(2);
        world.check(
            &["CONFIG SET hz 50 maxmemory x"],
            "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
        );
        world.check(
            &["CONFIG SET nope 1"],
            "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'",
        );
        world.check(&["CONFIG SET hz 1 maxmemory"], "-ERR syntax error");
        assert!(world.cores.iter().all(|core| core.config.hz == 10 && core.actions.is_empty()));
    }

    #[test]
    fn counters_go_back_to_nothing_but_changes_stay_counted() {
        let mut world = World::new(2);
        for core in &mut world.cores {
            core.stats.record(0, 1000);
            core.keyspace.stats.hits = 5;
            core.keyspace.stats.dirty = 7;
        }
        world.check(&["CONFIG RESETSTAT"], "+OK");
        for core in &world.cores {
            assert_eq!((core.stats.commands_processed, core.keyspace.stats.hits), (0, 0));
            assert_eq!(core.keyspace.stats.dirty, 7);
        }
    }

    #[test]
    fn rewrite_needs_a_file() {
        check(&["CONFIG REWRITE"], "-ERR The server is running without a config file");
    }
}
