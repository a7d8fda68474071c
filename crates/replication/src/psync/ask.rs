//! What a replica asks of its master, as commands.

use resp::encode_command;

use crate::flow::hello;
use crate::flow::place::Place;
use crate::ids::{Position, ReplId};

/// `PING`.
pub fn ping(out: &mut Vec<u8>) {
    encode_command(&["PING"], out);
}

/// `AUTH`, with a user if there is one.
pub fn auth(user: Option<&str>, password: &str, out: &mut Vec<u8>) {
    match user {
        Some(user) => encode_command(&["AUTH", user, password], out),
        None => encode_command(&["AUTH", password], out),
    }
}

/// Where clients reach this node, for the master's INFO and for Sentinel.
pub fn listening_port(port: u16, out: &mut Vec<u8>) {
    encode_command(&["REPLCONF", "listening-port", &port.to_string()], out);
}

/// The address of this node, where it cannot be seen from its connection.
pub fn ip_address(address: &str, out: &mut Vec<u8>) {
    encode_command(&["REPLCONF", "ip-address", address], out);
}

/// That payloads without a length are understood, and histories that continue others; and, if this node wants them, flows.
pub fn capabilities(wants_flows: bool, out: &mut Vec<u8>) {
    let words = ["REPLCONF", "capa", "eof", "capa", "psync2", "capa", hello::CAPABILITY];
    encode_command(&words[..if wants_flows { 7 } else { 5 }], out);
}

/// Which Valkey's payloads are understood: one of 9.1 writes its own format only to who says so, and has no words in the older one for
/// hash fields that expire. A Redis refuses the option, which is no harm.
pub fn version(out: &mut Vec<u8>) {
    encode_command(&["REPLCONF", "version", READS_AS], out);
}

/// Who this node is, for finding out whether it is about to follow itself.
pub fn lacewing_id(id: ReplId, out: &mut Vec<u8>) {
    encode_command(&["REPLCONF", "lacewing-id", id.as_str()], out);
}

/// `PSYNC`: what comes after `position`, or everything. `promotes`: whoever hears it is a replica that is to be the master
/// (`FAILOVER`).
pub fn psync(position: Option<Position>, promotes: bool, out: &mut Vec<u8>) {
    match position {
        Some(Position { replid, offset }) if promotes => {
            encode_command(&["PSYNC", replid.as_str(), &(offset + 1).to_string(), "FAILOVER"], out);
        }
        Some(Position { replid, offset }) => {
            encode_command(&["PSYNC", replid.as_str(), &(offset + 1).to_string()], out);
        }
        None => encode_command(&["PSYNC", "?", "-1"], out),
    }
}

/// `REPLCONF ACK`: how far this node has applied the stream, and how much of it is `safe`: on its disk, if it has a log (`FACK`). Of what
/// comes in flows an offset does not tell that; so places are said besides, which masters before this ignore. It is not answered.
pub fn ack(offset: u64, safe: Option<&Place>, out: &mut Vec<u8>) {
    let offset = offset.to_string();
    let Some(safe) = safe else { return encode_command(&["REPLCONF", "ACK", &offset], out) };
    let safe_offset = safe.at().offset.to_string();
    let words = ["REPLCONF", "ACK", &offset, "FACK", &safe_offset];
    match safe {
        Place::Stream(_) => encode_command(&words, out),
        Place::Flows(_) => {
            let place = safe.to_string();
            encode_command(&[&words[..], &[SAFE_PLACES, &place]].concat(), out);
        }
    }
}

/// The oldest Valkey that writes RDB 80, which is the newest of its formats that is read here.
const READS_AS: &str = "9.0.0";
/// The option of REPLCONF with which a Lacewing says what of the logs that it follows is on its disk.
pub const SAFE_PLACES: &str = "lacewing-safe";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StreamPosition;
    use stdx::DbIndex;

    #[track_caller]
    fn check(ask: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        ask(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('|', "\r\n"));
    }

    #[test]
    fn commands_are_those_of_redis() {
        let replid = ReplId::parse(&[b'b'; 40]).unwrap();
        check(ping, "*1|$4|PING|");
        check(version, "*3|$8|REPLCONF|$7|version|$5|9.0.0|");
        check(|out| auth(None, "x y", out), "*2|$4|AUTH|$3|x y|");
        check(|out| auth(Some("u"), "p", out), "*3|$4|AUTH|$1|u|$1|p|");
        check(|out| psync(None, false, out), "*3|$5|PSYNC|$1|?|$2|-1|");
        let psync_at = format!("*3|$5|PSYNC|$40|{replid}|$2|10|");
        check(|out| psync(Some(Position { replid, offset: 9 }), false, out), &psync_at);
        let promoting = format!("*4|$5|PSYNC|$40|{replid}|$2|10|$8|FAILOVER|");
        check(|out| psync(Some(Position { replid, offset: 9 }), true, out), &promoting);
        check(|out| ack(700, None, out), "*3|$8|REPLCONF|$3|ACK|$3|700|");
        let stream = Place::Stream(StreamPosition { at: Position { replid, offset: 650 }, db: DbIndex(1) });
        check(|out| ack(700, Some(&stream), out), "*5|$8|REPLCONF|$3|ACK|$3|700|$4|FACK|$3|650|");
    }
}
