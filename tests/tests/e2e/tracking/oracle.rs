//! The same scripts on redis-server and on Lacewing: every reply and every message must be the same.

use super::{arrived, server};
use lacewing_tests::{Client, RedisServer, show, until};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What one line brought: its reply, then what came to each client.
type Step = (String, BTreeMap<String, Vec<String>>);

/// Plays `name: command` lines, each name a client of its own, with RESP3 if it is in capitals. `{name}` in a command is that
/// client's id; `name: CLOSE` ends its connection. `expected` is what another server did.
struct Play<'a> {
    addr: SocketAddr,
    clients: BTreeMap<String, (Client, String)>,
    expected: Option<&'a [Step]>,
    /// On more than one core a client that is told in another's stead is told a little later.
    waits: bool,
    /// On more than one core there is no order between keys.
    is_unordered: bool,
    /// The ids of those that have gone.
    gone: Vec<(String, String)>,
}

impl Play<'_> {
    fn client(&mut self, name: &str) -> &mut Client {
        let addr = self.addr;
        let (client, _) = self.clients.entry(name.to_owned()).or_insert_with(|| {
            let mut client = Client::connect(addr);
            let id = client.line("CLIENT ID").trim_start_matches(':').to_owned();
            let is_modern = name.chars().all(|letter| letter.is_ascii_uppercase());
            (if is_modern { client.resp3() } else { client }, id)
        });
        client
    }

    fn step(&mut self, index: usize, line: &str) -> Step {
        let (name, command) = line.split_once(": ").expect("a name and a command");
        self.client(name);
        if command == "CLOSE" {
            self.close(name);
            return ("closed".to_owned(), BTreeMap::new());
        }
        let mut command = command.to_owned();
        for (other, (_, id)) in &self.clients {
            command = command.replace(&format!("{{{other}}}"), id);
        }
        let mut reply = if command.starts_with("SUBSCRIBE") {
            let client = self.client(name);
            client.send(&command.split(' ').collect::<Vec<_>>());
            show(&client.read_push())
        } else {
            self.client(name).line(&command)
        };
        let expected = self.expected.map(|steps| &steps[index].1);
        let names: Vec<String> = self.clients.keys().cloned().collect();
        let mut came = BTreeMap::new();
        for name in names {
            let wanted = expected.and_then(|came| came.get(&name)).map_or(0, Vec::len);
            let waits = self.waits;
            let client = self.client(&name);
            let mut messages = arrived(client);
            if waits {
                until(line, || {
                    messages.extend(arrived(client));
                    (messages.len() >= wanted).then_some(())
                });
            }
            if !messages.is_empty() {
                if self.is_unordered {
                    messages.sort();
                }
                let is_broken = |message: &str| message.contains("redir-broken");
                let anonymous = |message: &String| {
                    if is_broken(message) { self.anonymous(message) } else { message.clone() }
                };
                came.insert(name, messages.iter().map(anonymous).collect());
            }
        }
        if command.starts_with("HELLO") {
            reply = "versions differ".to_owned();
        }
        let names_clients = ["GETREDIR", "TRACKINGINFO"].iter().any(|word| command.ends_with(word));
        (if names_clients { self.anonymous(&reply) } else { reply }, came)
    }

    /// Ends a connection, and waits until the server knows.
    fn close(&mut self, name: &str) {
        let (client, number) = self.clients.remove(name).expect("it was there");
        drop(client);
        let id = format!("id={number} ");
        self.gone.push((name.to_owned(), number));
        let mut other = Client::connect(self.addr);
        until("the client has gone", || (!other.line("CLIENT LIST").contains(&id)).then_some(()));
    }

    /// Names instead of ids.
    fn anonymous(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let here = self.clients.iter().map(|(name, (_, id))| (name, id));
        for (name, id) in here.chain(self.gone.iter().map(|(name, id)| (name, id))) {
            for end in ["]", ",", "}"] {
                text = text.replace(&format!(":{id}{end}"), &format!(":{{{name}}}{end}"));
            }
            if text == format!(":{id}") {
                text = format!("{{{name}}}");
            }
        }
        text
    }
}

fn play(addr: SocketAddr, script: &str, expected: Option<&[Step]>, cores: &str) -> Vec<Step> {
    let waits = cores != "1" && script.contains("REDIRECT");
    let is_unordered = cores != "1";
    let mut play = Play { addr, clients: BTreeMap::new(), expected, waits, is_unordered, gone: Vec::new() };
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.enumerate().map(|(index, line)| play.step(index, line)).collect()
}

#[track_caller]
fn check(script: &str) {
    let Some(redis) = RedisServer::start() else { return };
    let mut expected = play(redis.addr(), script, None, "1");
    let news = expected.iter().map(|(_, came)| came.len()).sum::<usize>();
    assert!(news > 0, "a script that brings no message shows nothing");
    for cores in ["1", "4"] {
        let server = server(cores);
        let got = play(server.addr(), script, Some(&expected), cores);
        if cores != "1" {
            expected.iter_mut().flat_map(|(_, came)| came.values_mut()).for_each(|messages| messages.sort());
        }
        let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
        for ((line, got), expected) in lines.zip(got).zip(&expected) {
            assert_eq!(got, *expected, "{line}, on {cores} cores");
        }
    }
}

#[test]
fn readers_are_told_once_of_each_key() {
    check(
        "A: CLIENT TRACKING ON
         A: GET a
         A: GET a
         B: SET a 1
         B: SET a 2
         A: MGET a b c
         B: MSET a 1 b 2 c 3
         A: MGET a b c
         B: DEL a missing c
         A: GET b
         B: GET b
         B: SETNX b 1
         B: APPEND b x
         A: GET a
         A: SET a 1
         A: SET a 2
         A: EXISTS a b
         B: EXPIRE a 100
         A: TTL a
         B: PERSIST a
         A: TYPE b
         B: RENAME b c
         A: GET c
         B: COPY a c REPLACE
         A: STRLEN c
         B: INCR c
         A: CLIENT TRACKING OFF
         B: SET a 3
         A: GET a
         B: SET a 4",
    );
}

#[test]
fn keys_of_every_type_are_tracked() {
    check(
        "A: CLIENT TRACKING ON
         A: LRANGE l 0 -1
         B: RPUSH l a b c
         A: LLEN l
         B: LPUSHX l d
         A: LLEN l
         B: LREM l 0 nobody
         B: LMOVE l m LEFT RIGHT
         A: HGETALL h
         B: HSET h f 1
         A: HGET h f
         B: HDEL h g
         B: HDEL h f
         A: SMEMBERS s
         B: SADD s a b
         A: SINTER s t
         B: SADD t b
         B: SREM s zzz
         A: SINTERCARD 2 s t
         B: SUNIONSTORE u s t
         B: SMOVE s t a
         A: ZRANGE z 0 -1
         B: ZADD z 1 a
         A: ZSCORE z a
         B: ZADD z 1 a
         B: ZADD z 2 a
         A: XLEN x
         B: XADD x 1-1 f v
         A: XRANGE x - +
         B: XDEL x 1-1
         A: GETBIT bits 3
         B: SETBIT bits 3 1
         A: PFCOUNT p q
         B: PFADD q a b
         A: GEOPOS g a
         B: GEOADD g 1 1 a
         A: OBJECT ENCODING g
         B: SORT l ALPHA STORE sorted
         A: SORT sorted ALPHA
         B: DEL sorted g",
    );
}

#[test]
fn caching_is_asked_for_or_declined() {
    check(
        "A: CLIENT TRACKING ON OPTIN
         A: GET a
         B: SET a 1
         A: CLIENT CACHING YES
         A: CLIENT TRACKINGINFO
         A: GET a
         A: GET b
         B: MSET a 2 b 2
         A: CLIENT CACHING NO
         A: CLIENT CACHING maybe
         A: CLIENT TRACKING ON OPTOUT
         A: CLIENT TRACKING OFF
         A: CLIENT CACHING YES
         A: CLIENT TRACKING ON OPTOUT NOLOOP
         A: CLIENT CACHING NO
         A: GET a
         A: GET b
         A: CLIENT CACHING YES
         B: MSET a 3 b 3
         A: MGET a b
         A: SET a 4
         B: SET b 4
         B: SET a 5",
    );
}

#[test]
fn prefixes_cover_their_keys() {
    check(
        "A: CLIENT TRACKING ON BCAST PREFIX a PREFIX b
         A: CLIENT TRACKINGINFO
         B: SET a:1 1
         B: SET ab 1
         B: SET c 1
         B: DEL ab c
         A: SET b 1
         A: CLIENT TRACKING ON BCAST PREFIX ab
         A: CLIENT TRACKING ON BCAST PREFIX x PREFIX x1
         A: CLIENT TRACKING ON BCAST PREFIX c NOLOOP
         A: CLIENT TRACKINGINFO
         A: SET b 2
         B: SET c 2
         C: CLIENT TRACKING ON BCAST
         C: CLIENT TRACKING ON
         B: SET d 2
         A: SET d 3
         C: SET a 3
         C: CLIENT TRACKING ON BCAST OPTIN
         A: CLIENT TRACKING OFF
         A: CLIENT TRACKING ON PREFIX a
         C: RESET
         C: HELLO 3
         B: SET a 4
         C: CLIENT TRACKINGINFO",
    );
}

#[test]
fn another_client_is_told() {
    check(
        "r: SUBSCRIBE __redis__:invalidate
         S: PING
         q: PING
         a: CLIENT TRACKING ON REDIRECT {r}
         a: CLIENT GETREDIR
         a: GET x
         B: SET x 1
         A: CLIENT TRACKING ON REDIRECT {r}
         A: MGET x y
         B: SET y 1
         A: CLIENT TRACKING ON REDIRECT {S}
         A: GET x
         B: SET x 2
         B: FLUSHALL
         b: CLIENT TRACKING ON BCAST REDIRECT {S} PREFIX pre
         B: MSET pre1 1 other 2
         c: CLIENT TRACKING ON REDIRECT {q}
         c: GET x
         B: SET x 3
         A: CLIENT TRACKING ON REDIRECT {A}
         A: GET x
         B: SET x 4
         A: CLIENT TRACKING ON REDIRECT 0
         A: CLIENT TRACKING ON REDIRECT 999999
         A: CLIENT TRACKING ON REDIRECT 1x
         A: CLIENT GETREDIR",
    );
}

#[test]
fn a_client_is_told_when_the_other_has_gone() {
    check(
        "R: PING
         A: CLIENT TRACKING ON REDIRECT {R}
         A: GET x
         B: SET x 1
         A: GET x
         R: CLOSE
         A: CLIENT TRACKINGINFO
         B: SET x 2
         A: GET x
         B: FLUSHALL
         A: CLIENT TRACKING ON
         A: CLIENT TRACKINGINFO
         A: GET x
         B: SET x 3",
    );
}

#[test]
fn messages_come_although_replies_are_off() {
    check(
        "A: CLIENT TRACKING ON
         A: GET x
         B: SET x 1
         A: HELLO 2
         A: GET x
         B: SET x 2
         A: GET x
         A: HELLO 3
         B: SET x 3",
    );
}
