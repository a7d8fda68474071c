//! CLIENT LIST and CLIENT INFO: one line per connection, as Redis 7.2 prints it.
//!
//! Each core answers the lines of its own clients as `[id, line, id, line...]`; home sorts and joins them.

use super::Kind;
use crate::client::{Client, ClientFlags};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::parts::Part;
use keyspace::{Key, Keyspace};
use resp::Proto;
use std::fmt::Write;
use stdx::{Args, Slot, UnixMs};

/// CLIENT LIST [TYPE type] [ID id...]: one core's part.
pub(super) fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = Wanted::parse(args)?;
    let shown = ctx.core.clients.iter().map(|(_, client)| client).filter(|client| !client.flags.is_own());
    let clients: Vec<&Client> = shown.filter(|client| wanted.has(client)).collect();
    ctx.out.array(clients.len() * 2);
    for client in clients {
        ctx.out.int(client.id.0 as i64);
        ctx.out.bulk(line(client, has_changed_keys(&ctx.core.keyspace, client), ctx.now).as_bytes());
    }
    Ok(Outcome::Done)
}

/// Puts the lines of all cores in order: by id, or as the ids were given.
pub(super) fn merge(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let mut lines: Vec<(i64, &[u8])> = Vec::new();
    for part in parts {
        let mut part = Part::new(part);
        for _ in 0..part.array() / 2 {
            lines.push((part.int(), part.bulk()));
        }
    }
    lines.sort_unstable_by_key(|(id, _)| *id);
    if let Wanted::Ids(ids) = Wanted::parse(args)? {
        let found = |id: &u64| lines.binary_search_by_key(&(*id as i64), |(id, _)| *id).ok();
        lines = ids.iter().filter_map(found).map(|at| lines[at]).collect();
    }
    ctx.out.verbatim("txt", &lines.iter().map(|(_, line)| *line).collect::<Vec<_>>().concat());
    Ok(())
}

/// CLIENT INFO
pub(super) fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let (now, slot) = (ctx.now, ctx.client_slot());
    let client = ctx.core.clients.get(slot).expect("the client is in the table while its command runs");
    let line = line(client, has_changed_keys(&ctx.core.keyspace, client), now);
    ctx.out.verbatim("txt", line.as_bytes());
    Ok(Outcome::Done)
}

/// A client's line, with its line feed.
/// `is_dirty`: whether a watched key of its is known to have changed.
pub fn line(client: &Client, is_dirty: bool, now: UnixMs) -> String {
    let seconds = |since: UnixMs| (now.0 - since.0).max(0) / 1000;
    let memory = client.memory();
    let resp = if client.proto == Proto::Resp3 { 3 } else { 2 };
    let events = if client.output_len > 0 { "rw" } else { "r" };
    // Redis has a fixed buffer, and a list of nodes of that size behind it.
    let obl = client.output_len.min(OUTPUT_NODE_BYTES);
    let omem = client.output_len - obl;
    let oll = omem.div_ceil(OUTPUT_NODE_BYTES);
    let redir = super::tracking::redirection(client.tracking.as_deref());
    let mut shown = client.flags;
    shown.set(ClientFlags::DIRTY_CAS, is_dirty);
    shown.set(ClientFlags::MULTI, client.queued().is_some());
    let is_in_transaction = client.queued().is_some() || client.watches() > 0;
    let mut line = String::with_capacity(384);
    writeln!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
         qbuf={} qbuf-free={} argv-mem=0 multi-mem={} rbs={} rbp={} obl={obl} oll={oll} omem={omem} tot-mem={memory} \
         events={events} cmd={} user={} redir={redir} resp={resp} lib-name={} lib-ver={} watch={}",
        client.id.0,
        client.addr,
        client.laddr,
        client.fd,
        client.name,
        seconds(client.created),
        seconds(client.last_active),
        flags(shown),
        client.db.0,
        client.subscriptions.channels,
        client.subscriptions.patterns,
        client.subscriptions.shards,
        client.queued().map_or(-1, |queued| queued as i64),
        client.query_len.max(client.running_len),
        client.query_free,
        client.transaction.as_ref().filter(|_| is_in_transaction).map_or(0, |transaction| transaction.memory()),
        client.output_capacity,
        client.output_capacity,
        client.last_command,
        crate::connection::DEFAULT_USER,
        client.lib_name,
        client.lib_ver,
        client.watches(),
    )
    .expect("a String takes what is written");
    line
}

/// Whether a key that the client watches has changed, as far as its own core knows: those of other shards are asked at
/// EXEC.
fn has_changed_keys(keyspace: &Keyspace, client: &Client) -> bool {
    let watched = client.transaction.iter().flat_map(|transaction| &transaction.watched);
    let mut here = watched.filter(|watched| keyspace.owns(Slot::of(&watched.key)));
    here.any(|watched| keyspace.version(watched.db, Key::new(&watched.key)) != watched.version)
}

/// What Redis keeps of replies in one piece.
const OUTPUT_NODE_BYTES: usize = 16 * 1024;

/// The letters of a client's flags, in Redis's order; `N` for none.
fn flags(flags: ClientFlags) -> String {
    let mut flags = flags;
    flags.set(ClientFlags::BLOCKED, flags.has(ClientFlags::BLOCKED) || flags.has(ClientFlags::WAITING));
    let letters: String =
        LETTERS.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, letter)| *letter).collect();
    if letters.is_empty() { "N".into() } else { letters }
}

const LETTERS: [(ClientFlags, char); 15] = [
    (ClientFlags::REPLICA, 'S'),
    (ClientFlags::MONITOR, 'O'),
    (ClientFlags::MASTER, 'M'),
    (ClientFlags::PUBSUB, 'P'),
    (ClientFlags::MULTI, 'x'),
    (ClientFlags::BLOCKED, 'b'),
    (ClientFlags::TRACKING, 't'),
    (ClientFlags::TRACKING_BROKEN, 'R'),
    (ClientFlags::TRACKING_BCAST, 'B'),
    (ClientFlags::DIRTY_CAS, 'd'),
    (ClientFlags::CLOSE_AFTER_REPLY, 'c'),
    (ClientFlags::CLOSE_NOW, 'A'),
    (ClientFlags::UNIX, 'U'),
    (ClientFlags::NO_EVICT, 'e'),
    (ClientFlags::NO_TOUCH, 'T'),
];

/// Which clients are asked for.
enum Wanted {
    All,
    Kind(Kind),
    Ids(Vec<u64>),
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let Some(option) = args.get(2) else { return Ok(Self::All) };
        if option.eq_ignore_ascii_case(b"TYPE") && args.len() == 4 {
            return Kind::parse(args.at(3)).map(Self::Kind);
        }
        if option.eq_ignore_ascii_case(b"ID") && args.len() > 3 {
            let id = |arg: &[u8]| crate::ctx::parse_int(arg).and_then(|id| u64::try_from(id).ok());
            let ids: Option<Vec<u64>> = args.from(3).iter().map(id).collect();
            return ids.map(Self::Ids).ok_or(CommandError::CLIENT_ID);
        }
        Err(CommandError::Syntax)
    }

    fn has(&self, client: &Client) -> bool {
        match self {
            Self::All => true,
            Self::Kind(kind) => *kind == Kind::of(client),
            Self::Ids(ids) => ids.contains(&client.id.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::ClientFlags;
    use crate::testing::{World, check};

    fn ids(reply: &str) -> Vec<&str> {
        reply
            .lines()
            .map(|line| line.split("id=").nth(1).expect("an id").split(' ').next().expect("one"))
            .collect()
    }

    #[test]
    fn a_line_has_redis_fields_in_redis_order() {
        let mut world = World::new(1);
        world.run("CLIENT SETNAME me");
        world.run("SELECT 3");
        world.run("CLIENT NO-EVICT ON");
        world.run("CLIENT NO-TOUCH ON");
        world.client().running_len = 26;
        world.client().output_capacity = 1024;
        world.wait_ms(2500);
        let reply = world.run("CLIENT INFO");
        let line = reply.split_once(' ').expect("a bulk").1;
        let memory = world.client().memory();
        assert_eq!(
            line,
            format!(
                "id=1 addr=127.0.0.1:50001 laddr=127.0.0.1:7000 fd=8 name=me age=2 idle=0 flags=eT db=3 sub=0 psub=0 \
                 ssub=0 multi=-1 qbuf=26 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=1024 obl=0 oll=0 omem=0 \
                 tot-mem={memory} events=r cmd=client|info user=default redir=-1 resp=2 lib-name= lib-ver= watch=0\n"
            )
        );
    }

    #[test]
    fn the_clients_of_all_cores_are_sorted_by_id() {
        let mut world = World::new(3);
        for core in [2, 1, 0, 2] {
            world.connect(core);
        }
        assert_eq!(ids(&world.run("CLIENT LIST")), ["1", "2", "3", "4", "5"]);
        assert_eq!(ids(&world.run("CLIENT LIST TYPE normal")).len(), 5);
        assert_eq!(ids(&world.run("CLIENT LIST ID 4 2 99 2")), ["4", "2", "2"]);
        world.check(&["CLIENT LIST TYPE pubsub"], "$0 ");
        world.check(&["HELLO 3", "CLIENT LIST TYPE replica"], "=4 txt:");
    }

    #[test]
    fn the_link_to_the_master_is_shown_and_what_the_server_says_to_itself_is_not() {
        let mut world = World::new(1);
        world.connect(0);
        world.connect(0);
        let flags = [ClientFlags::MASTER, ClientFlags::FOLLOWS];
        for (id, flag) in [2, 3].into_iter().zip(flags) {
            let mut clients = world.cores[0].clients.iter_mut();
            let (_, client) = clients.find(|(_, client)| client.id.0 == id).expect("it has connected");
            client.flags.set(flag, true);
        }
        assert_eq!(ids(&world.run("CLIENT LIST")), ["1", "2"]);
        let master = world.run("CLIENT LIST TYPE master");
        assert!(ids(&master) == ["2"] && master.contains(" flags=M "), "{master}");
        world.check(&["CLIENT KILL TYPE normal"], ":0");
        world.check(&["CLIENT KILL TYPE master"], ":1");
    }

    #[test]
    fn wrong_filters_are_refused() {
        check(&["CLIENT LIST TYPE foo"], "-ERR Unknown client type 'foo'");
        check(&["CLIENT LIST ID a"], "-ERR Invalid client ID");
        for wrong in ["CLIENT LIST TYPE", "CLIENT LIST ID", "CLIENT LIST FOO", "CLIENT LIST TYPE normal a"] {
            check(&[wrong], "-ERR syntax error");
        }
    }
}
