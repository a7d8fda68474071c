//! Whoever runs the server: snapshots, rewrites and other settings while clients write.

use std::thread;
use std::time::Duration;

use resp::encode_command;
use stdx::rng::Rng;

use super::act::words;
use super::writer::{Shift, next};
use crate::Client;

/// Gives commands of an operator, whatever they are answered, until the shift ends. Errors: it hangs.
pub(super) fn operate(mut rng: Rng, shift: &Shift) -> Result<(), String> {
    let Ok(mut client) = Client::try_connect(shift.addr) else { return Ok(()) };
    while !shift.is_over() {
        thread::park_timeout(Duration::from_millis(rng.below(PAUSE_MAX_MS)));
        let command = match rng.below(9) {
            0..3 => "BGSAVE",
            3 => "SAVE",
            4 | 5 => "BGREWRITEAOF",
            6 => "BGSAVE CANCEL",
            7 => *rng.pick(&[
                "CONFIG SET save 1 1",
                "CONFIG SET snapshot-compression no",
                "CONFIG SET snapshot-keep 1",
            ]),
            _ => *rng.pick(&POLICIES),
        };
        let mut bytes = Vec::new();
        let command: Vec<&str> = command.splitn(4, ' ').collect();
        encode_command(&words(&command), &mut bytes);
        if client.try_send_bytes(&bytes).is_err() || next(&mut client)?.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

const POLICIES: [&str; 3] =
    ["CONFIG SET appendfsync always", "CONFIG SET appendfsync everysec", "CONFIG SET appendfsync no"];
const PAUSE_MAX_MS: u64 = 60;
