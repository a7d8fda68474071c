//! Cluster commands, which clients try at connect: cluster mode is off.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// CLUSTER subcommand, ASKING, READONLY, READWRITE
pub(super) fn disabled(_: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    Err(CommandError::CLUSTER_OFF)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn cluster_mode_is_off() {
        for line in [
            "CLUSTER INFO",
            "CLUSTER SLOTS",
            "CLUSTER KEYSLOT a",
            "CLUSTER HELP",
            "CLUSTER RESET HARD",
            "ASKING",
            "READONLY",
            "READWRITE",
        ] {
            check(&[line], "-ERR This instance has cluster support disabled");
        }
        check(&["CLUSTER FOO"], "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.");
    }
}
