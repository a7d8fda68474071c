//! SCAN on its way from shard to shard: each is asked for as many keys as are still wanted.

use stdx::Args;
use stdx::args::OwnedArgs;

/// How far a scan is.
pub(super) struct Walk {
    pub(super) cursor: u64,
    wanted: usize,
    found: usize,
    elements: Vec<u8>,
    pub(super) asked: bool,
}

impl Walk {
    pub(super) fn new(args: Args<'_>) -> Self {
        let cursor = args.get(1).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(0);
        let count =
            count_option(args).and_then(|at| std::str::from_utf8(args.get(at + 1)?).ok()?.parse().ok());
        Self { cursor, wanted: count.unwrap_or(SCAN_COUNT), found: 0, elements: Vec::new(), asked: false }
    }

    /// The command line for the next shard: the same with its own cursor, and only as many keys as still wanted.
    pub(super) fn args(&self, args: Args<'_>) -> OwnedArgs {
        if self.found == 0 && self.elements.is_empty() && args.len() < 2 {
            return args.into();
        }
        let mut next = OwnedArgs::default();
        let count = count_option(args).map_or(usize::MAX, |at| at + 1);
        let started = !self.elements.is_empty() || self.found > 0;
        for (index, arg) in args.iter().enumerate() {
            if index == 1 && started {
                next.push(self.cursor.to_string().as_bytes());
            } else if index == count && started {
                next.push((self.wanted - self.found).to_string().as_bytes());
            } else {
                next.push(arg);
            }
        }
        next
    }

    /// Takes in one shard's reply; true when the scan's reply is complete.
    pub(super) fn take(&mut self, reply: Vec<u8>) -> bool {
        let Some((cursor, found, elements)) = scan_reply(&reply) else {
            // An error: it is the reply.
            self.elements = reply;
            self.found = usize::MAX;
            return true;
        };
        self.cursor = cursor;
        self.found += found;
        self.elements.extend_from_slice(elements);
        self.cursor == 0 || self.found >= self.wanted
    }

    pub(super) fn write(&mut self, out: &mut Vec<u8>) {
        if self.found == usize::MAX {
            return *out = std::mem::take(&mut self.elements);
        }
        let mut reply = resp::Reply::new(out, resp::Proto::Resp2);
        reply.array(2);
        reply.bulk(self.cursor.to_string().as_bytes());
        reply.array(self.found);
        reply.raw(&self.elements);
    }
}

/// Where SCAN's COUNT is among its options, which come in pairs behind the cursor; the last one counts.
fn count_option(args: Args<'_>) -> Option<usize> {
    (2..args.len()).step_by(2).rfind(|&at| args.at(at).eq_ignore_ascii_case(b"count"))
}

/// SCAN's reply taken apart: the cursor, how many keys, and the keys as RESP. `None` when it is an error.
fn scan_reply(reply: &[u8]) -> Option<(u64, usize, &[u8])> {
    let rest = reply.strip_prefix(b"*2\r\n$")?;
    let mut lines = rest.splitn(4, |&byte| byte == b'\n');
    let (_, cursor, count) = (lines.next()?, lines.next()?, lines.next()?);
    let number = |line: &[u8]| std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?.parse::<u64>().ok();
    Some((number(cursor)?, number(count.strip_prefix(b"*")?)? as usize, lines.next()?))
}

/// SCAN's COUNT when none is given.
const SCAN_COUNT: usize = 10;
