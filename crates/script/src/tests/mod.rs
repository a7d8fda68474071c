//! Scripts against a server that answers a few commands by itself: each case is a script and its reply, line ends shown
//! as spaces. What real Redis answers to hundreds more is compared end to end (`tests/tests/e2e/scripts`).

mod environment;
mod escapes;
mod functions;
mod garbage;
mod libraries;
mod limits;
mod replies;

use crate::{Engine, Hooks, Limits, RequestKind, Run, Step, Store};
use resp::{Proto, Reply};
use std::sync::Arc;
use stdx::args::OwnedArgs;

pub(super) const LIMITS: Limits = Limits { bytes_max: 64 << 20, instructions_max: 0 };

pub(super) fn engine() -> Engine {
    Engine::new(Arc::new(Store::default()), Hooks::default(), LIMITS, 1)
}

/// Runs a script in a fresh engine and compares its reply.
#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_in(&mut engine(), script, expected);
}

#[track_caller]
pub(super) fn check_in(engine: &mut Engine, script: &str, expected: &str) {
    let reply = eval(engine, script, &[], &[], Proto::Resp2);
    // The digest differs from script to script and is told in one test.
    let reply = match reply.split_once(" script: ") {
        Some((before, after)) => {
            format!("{before} @ {}", after.split_once("on ").map_or(after, |(_, place)| place))
        }
        None => reply,
    };
    assert_eq!(reply, expected, "{script}");
}

/// Runs a script to its end, and shows its reply.
pub(super) fn eval(engine: &mut Engine, script: &str, keys: &[&str], args: &[&str], proto: Proto) -> String {
    let (keys, args) = (OwnedArgs::new(keys), OwnedArgs::new(args));
    let found = match engine.script(script.as_bytes()) {
        Ok(found) => found,
        Err(refusal) => return refusal.to_string(),
    };
    match engine.begin(found, keys.as_args(), args.as_args(), u64::MAX) {
        Ok(run) => drive(engine, run, proto),
        Err(refusal) => refusal.to_string(),
    }
}

pub(super) fn drive(engine: &mut Engine, mut run: Run, proto: Proto) -> String {
    while run.step() != Step::Ended {
        if run.step() == Step::Request {
            let reply = answer(&run);
            let mut out = run.answer();
            out.clear();
            out.extend_from_slice(reply.as_bytes());
        }
        run.resume();
    }
    let mut out = Vec::new();
    if let crate::Ended::Failed(crate::Counted::No, text) =
        engine.finish(run, &mut Reply::new(&mut out, proto))
    {
        Reply::new(&mut out, proto).error(&text);
    }
    shown(&out)
}

/// What the server of these tests answers: `REPLY text` gives the text, with `|` at its end or between words for a line end; `ECHO` its argument.
fn answer(run: &Run) -> String {
    let asked = run.request();
    let words: Vec<String> =
        asked.args().iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    match (asked.kind(), words[0].as_str()) {
        (RequestKind::MayRun, "nosuch") => "-ERR no such command\r\n".into(),
        (RequestKind::MayRun, _) => ":1\r\n".into(),
        (_, "REPLY") => {
            if words[1].ends_with('\n') {
                words[1].clone()
            } else {
                words[1].replace('|', "\r\n")
            }
        }
        (_, "ECHO") => format!("${}\r\n{}\r\n", words[1].len(), words[1]),
        (_, "ARGS") => format!("+{}\r\n", words[1..].join(",")),
        (_, "PROTO") => format!("+{:?}\r\n", run.proto()),
        (_, other) => format!("-ERR unknown '{other}'\r\n"),
    }
}

pub(super) fn shown(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    text.strip_suffix("\r\n").unwrap_or(&text).replace("\r\n", " ")
}
