//! SHUTDOWN.

use crate::core::Action;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use std::sync::atomic::Ordering;
use stdx::Args;

/// SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]. There is nothing to save to, so without either it does not save;
/// SAVE is refused. When it works there is no reply: the connection ends.
pub(super) fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = Wanted::parse(args)?;
    if wanted.abort {
        return abort(ctx);
    }
    if wanted.save == Some(true) {
        return Err(CommandError::NO_PERSISTENCE);
    }
    ctx.core.actions.push(Action::Shutdown { save: wanted.save, now: wanted.now, force: wanted.force });
    Ok(Outcome::Done)
}

fn abort(ctx: &mut Ctx<'_>) -> Result<Outcome, CommandError> {
    if !ctx.core.shared.shutting_down.load(Ordering::Acquire) {
        return Err(CommandError::NO_SHUTDOWN);
    }
    ctx.core.actions.push(Action::ShutdownAbort);
    ctx.out.ok();
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
    fn without_persistence_it_does_not_save() {
        check_action("SHUTDOWN", None, false, false);
        check_action("SHUTDOWN NOSAVE", Some(false), false, false);
        check_action("SHUTDOWN nosave NOW force", Some(false), true, true);
    }

    #[test]
    fn only_a_shutdown_in_progress_can_be_aborted() {
        let mut world = World::new(1);
        world.check(&["SHUTDOWN ABORT"], "-ERR No shutdown in progress.");
        world.cores[0].shared.shutting_down.store(true, Ordering::Release);
        world.check(&["SHUTDOWN ABORT"], "+OK");
        assert_eq!(world.cores[0].actions, [Action::ShutdownAbort]);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in ["SHUTDOWN FOO", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW"] {
            check(&[line], "-ERR syntax error");
        }
    }
}
