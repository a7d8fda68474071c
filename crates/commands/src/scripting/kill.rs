//! SCRIPT KILL and FUNCTION KILL. Every core looks at the scripts that go on in slices on it.
//!
//! A core's part: how many it has killed, how many have written and so cannot be killed, how many are of the other kind.

use super::execution::ScriptKind;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use stdx::Args;

/// SCRIPT KILL
pub(super) fn script(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    kill(ctx, ScriptKind::Eval)
}

/// FUNCTION KILL
pub(super) fn function(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    kill(ctx, ScriptKind::Function)
}

fn kill(ctx: &mut Ctx<'_>, kind: ScriptKind) -> Result<Outcome, CommandError> {
    let (mut killed, mut writing, mut other) = (0, 0, 0);
    for script in &mut ctx.core.long_scripts {
        if script.running.wrote {
            writing += 1;
        } else if script.running.kind != kind {
            other += 1;
        } else {
            script.is_killed = true;
            killed += 1;
        }
    }
    [killed, writing, other].into_iter().for_each(|count| ctx.out.int(count));
    Ok(Outcome::Done)
}

/// The reply of SCRIPT KILL.
pub(super) fn merge_script(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    merge(ctx, parts, CommandError::BUSY_FUNCTION)
}

/// The reply of FUNCTION KILL.
pub(super) fn merge_function(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    merge(ctx, parts, CommandError::BUSY_SCRIPT)
}

fn merge(ctx: &mut Ctx<'_>, parts: &[&[u8]], of_other_kind: CommandError) -> Result<(), CommandError> {
    let mut sums = [0; 3];
    for part in parts {
        let mut part = Part::new(part);
        sums.iter_mut().for_each(|sum| *sum += part.int());
    }
    let [killed, writing, other] = sums;
    if killed > 0 {
        ctx.out.ok();
        Ok(())
    } else if writing > 0 {
        Err(CommandError::UNKILLABLE)
    } else if other > 0 {
        Err(of_other_kind)
    } else {
        Err(CommandError::NOT_BUSY)
    }
}

#[cfg(test)]
mod tests {
    use crate::scripting::{LongScript, Running, ScriptKind};
    use crate::testing::World;
    use stdx::args::OwnedArgs;

    #[track_caller]
    fn check(scripts: &[(ScriptKind, bool)], command: &str, expected: &str) {
        let mut world = World::new(2);
        world.cores[1].long_scripts = scripts
            .iter()
            .map(|(kind, wrote)| {
                let running = Running {
                    kind: *kind,
                    name: Vec::new(),
                    args: OwnedArgs::default(),
                    began: 0,
                    wrote: *wrote,
                };
                LongScript { id: 0, running, is_killed: false }
            })
            .collect();
        world.check(&[command], expected);
        let is_killed = world.cores[1].long_scripts.iter().any(|script| script.is_killed);
        assert_eq!(is_killed, expected == "+OK");
    }

    #[test]
    fn scripts_are_killed_by_their_kind_unless_they_have_written() {
        use ScriptKind::{Eval, Function};
        check(&[], "SCRIPT KILL", "-NOTBUSY No scripts in execution right now.");
        check(&[(Eval, false)], "SCRIPT KILL", "+OK");
        check(&[(Function, false)], "FUNCTION KILL", "+OK");
        check(&[(Eval, true), (Eval, false)], "SCRIPT KILL", "+OK");
        check(
            &[(Eval, true)],
            "SCRIPT KILL",
            "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        );
        check(
            &[(Function, false)],
            "SCRIPT KILL",
            "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
        );
        check(
            &[(Eval, false)],
            "FUNCTION KILL",
            "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        );
    }
}
