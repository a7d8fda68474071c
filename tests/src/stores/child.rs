//! A server that says where it listens, and ends with this process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::program::skipped;

/// Starts `command` and waits until it says, on either output, `says` and its address behind it. `None` if it cannot be started,
/// which is said. It must end when its standard input does.
pub(super) fn listening(command: &mut Command, says: &str) -> Option<String> {
    // The pipe closes when this process ends, however it does.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            skipped(&format!("{command:?} cannot be started: {error}"));
            return None;
        }
    };
    std::mem::forget(child.stdin.take());
    let (give, lines) = mpsc::channel();
    read(child.stdout.take().expect("it is a pipe"), give.clone());
    read(child.stderr.take().expect("it is a pipe"), give);
    let mut said = Vec::new();
    while let Ok(line) = lines.recv_timeout(START_MAX) {
        if let Some((_, address)) = line.split_once(says) {
            return Some(address.trim().to_owned());
        }
        said.push(line);
    }
    panic!("{command:?} does not say where it listens: {said:?}");
}

/// Reads to the end, so that the pipe is never full.
fn read(from: impl Read + Send + 'static, give: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens any more.
            let _ = give.send(line);
        }
    });
}

const START_MAX: Duration = Duration::from_secs(60);
