//! SHUTDOWN.

use crate::core::Action;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]. When it works there is no reply: the connection ends. The server around
/// answers the others.
pub(super) fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = Wanted::parse(args)?;
    if wanted.abort {
        ctx.core.actions.push(Action::ShutdownAbort);
        return Ok(Outcome::Done);
    }
    ctx.core.actions.push(Action::Shutdown { save: wanted.save, now: wanted.now, force: wanted.force });
    Ok(Outcome::Done)
}

#[derive(Default)]
struct Wanted {
    save: Option<bool>,
    now: bool,
    force: bool,
    abort: bool,
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut wanted = Self::default();
        for arg in args.from(1).iter() {
            match arg.to_ascii_uppercase().as_slice() {
                b"SAVE" if wanted.save != Some(false) => wanted.save = Some(true),
                b"NOSAVE" if wanted.save != Some(true) => wanted.save = Some(false),
                b"NOW" => wanted.now = true,
                b"FORCE" => wanted.force = true,
                b"ABORT" => wanted.abort = true,
                _ => return Err(CommandError::Syntax),
            }
        }
        if wanted.abort && args.len() > 2 {
            return Err(CommandError::Syntax);
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    #[track_caller]
    fn check_action(line: &str, save: Option<bool>, now: bool, force: bool) {
        let mut world = World::new(1);
        world.check(&[line], "");
        assert_eq!(world.cores[0].actions, [Action::Shutdown { save, now, force }]);
    }

    #[test]
    fn options_go_to_the_server() {
        check_action("SHUTDOWN", None, false, false);
        check_action("SHUTDOWN SAVE", Some(true), false, false);
        check_action("SHUTDOWN NOSAVE", Some(false), false, false);
        check_action("SHUTDOWN nosave NOW force", Some(false), true, true);
    }

    #[test]
    fn whether_it_can_be_aborted_is_for_the_server_to_say() {
        let mut world = World::new(1);
        world.check(&["SHUTDOWN ABORT"], "");
        assert_eq!(world.cores[0].actions, [Action::ShutdownAbort]);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in ["SHUTDOWN FOO", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW"] {
            check(&[line], "-ERR syntax error");
        }
    }
}
