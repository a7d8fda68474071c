//! FUNCTION STATS. Every core tells of the first script that goes on in slices on it.
//!
//! A core's part: 0 for none, 1 for one of EVAL, or 2 and a function's name, its command and its milliseconds.

use super::execution::ScriptKind;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use stdx::Args;

/// FUNCTION STATS
pub(super) fn stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let now = (ctx.core.nanos)();
    let Some(script) = ctx.core.long_scripts.first() else {
        ctx.out.int(0);
        return Ok(Outcome::Done);
    };
    let running = &script.running;
    if running.kind == ScriptKind::Eval {
        ctx.out.int(1);
        return Ok(Outcome::Done);
    }
    ctx.out.int(2);
    ctx.out.bulk(&running.name);
    let args = running.args.as_args();
    ctx.out.array(args.len());
    args.iter().for_each(|arg| ctx.out.bulk(arg));
    ctx.out.int((now.saturating_sub(running.began) / 1_000_000) as i64);
    Ok(Outcome::Done)
}

/// Its reply.
pub(super) fn merge(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let mut function = None;
    let mut is_eval = false;
    for part in parts {
        let mut part = Part::new(part);
        match part.int() {
            0 => {}
            1 => is_eval = true,
            _ => function = function.or(Some(part)),
        }
    }
    if function.is_none() && is_eval {
        return Err(CommandError::BUSY_SCRIPT);
    }
    let gauges = ctx.core.shared.scripts.gauges();
    let out = &mut ctx.out;
    out.map(2);
    out.bulk(b"running_script");
    match function {
        None => out.null(),
        Some(mut part) => {
            out.map(3);
            out.bulk(b"name");
            out.bulk(part.bulk());
            out.bulk(b"command");
            let len = part.array();
            out.array(len);
            (0..len).for_each(|_| out.bulk(part.bulk()));
            out.bulk(b"duration_ms");
            out.int(part.int());
        }
    }
    out.bulk(b"engines");
    out.map(1);
    out.bulk(b"LUA");
    out.map(2);
    out.bulk(b"libraries_count");
    out.int(gauges.libraries as i64);
    out.bulk(b"functions_count");
    out.int(gauges.functions as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::scripting::{LongScript, Running, ScriptKind};
    use crate::testing::World;
    use stdx::args::OwnedArgs;

    #[test]
    fn functions_are_counted_and_the_one_that_runs_is_told() {
        let mut world = World::new(2);
        world.run("FUNCTION LOAD \"#!lua name=l\\nredis.register_function('f', function() end) redis.register_function('g', function() end)\"");
        let engines = "$7 engines *2 $3 LUA *4 $15 libraries_count :1 $15 functions_count :2";
        world.check(&["FUNCTION STATS"], &format!("*4 $14 running_script $-1 {engines}"));
        let running = |kind| Running {
            kind,
            name: b"f".to_vec(),
            args: OwnedArgs::new(&["FCALL", "f", "0"]),
            began: 0,
            wrote: false,
        };
        let script = |kind| LongScript { id: 0, running: running(kind), is_killed: false };
        world.cores[0].nanos = || 5_000_000;
        world.cores[0].long_scripts = vec![script(ScriptKind::Function)];
        let function = "*6 $4 name $1 f $7 command *3 $5 FCALL $1 f $1 0 $11 duration_ms :5";
        world.check(&["FUNCTION STATS"], &format!("*4 $14 running_script {function} {engines}"));
        world.cores[0].long_scripts = vec![script(ScriptKind::Eval)];
        world.check(
            &["FUNCTION STATS"],
            "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        );
    }
}
