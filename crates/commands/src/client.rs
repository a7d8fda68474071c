//! Connections as commands see them: the table of one core's clients.

use crate::table::CommandRef;
use crate::transaction::Transaction;
use pubsub::{Reader, Subscriptions};
use replication::psync::Follower;
use resp::Proto;
use stdx::{ClientId, DbIndex, ShardId, UnixMs};

/// A client's place in its core's table; reused after the client has gone, so pair it with the id where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientSlot(pub u32);

/// A set of client flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClientFlags(pub u32);

impl ClientFlags {
    /// To be closed once the replies written so far have been sent (QUIT, protocol errors).
    pub const CLOSE_AFTER_REPLY: Self = Self(1);
    /// To be closed now.
    pub const CLOSE_NOW: Self = Self(1 << 1);
    /// CLIENT NO-EVICT on.
    pub const NO_EVICT: Self = Self(1 << 2);
    /// CLIENT NO-TOUCH on.
    pub const NO_TOUCH: Self = Self(1 << 3);
    /// Connected through the unix socket.
    pub const UNIX: Self = Self(1 << 4);
    /// CLIENT REPLY OFF.
    pub const REPLY_OFF: Self = Self(1 << 5);
    /// CLIENT REPLY SKIP: the next command's reply is not sent.
    pub const REPLY_SKIP_NEXT: Self = Self(1 << 6);
    /// CLIENT REPLY SKIP is in force for the command that runs now.
    pub const REPLY_SKIP: Self = Self(1 << 7);
    /// Connected from this machine, by loopback or a unix socket: set when it connects.
    pub const LOCAL: Self = Self(1 << 8);
    /// Has a command that CLIENT PAUSE holds back.
    pub const BLOCKED: Self = Self(1 << 9);
    /// The server's own, which runs again what was journalled: it is let in while data is loaded.
    pub const REPLAYS: Self = Self(1 << 10);
    /// The server's own, which runs what a master sends: no password, limit of memory or lack of replicas keeps it from that, and
    /// no key's time has come for it but when the master says so.
    pub const FOLLOWS: Self = Self(1 << 11);
    /// A replica's connection, which follows this node.
    pub const REPLICA: Self = Self(1 << 12);
    /// The link to the master that this node follows.
    pub const MASTER: Self = Self(1 << 13);
    /// Waits for a key (BLPOP and others).
    pub const WAITING: Self = Self(1 << 24);
    /// Subscribed to a channel, a pattern or a shard channel.
    pub const PUBSUB: Self = Self(1 << 16);
    /// CLIENT TRACKING on: has [`Client::tracking`].
    pub const TRACKING: Self = Self(1 << 17);
    /// The client that it wants told instead of itself has gone.
    pub const TRACKING_BROKEN: Self = Self(1 << 18);
    /// CLIENT TRACKING BCAST.
    pub const TRACKING_BCAST: Self = Self(1 << 19);
    /// MONITOR: it is shown all commands.
    pub const MONITOR: Self = Self(1 << 23);
    /// Has said MULTI: its commands are queued.
    pub const MULTI: Self = Self(1 << 20);
    /// A command could not be queued: EXEC will refuse the transaction.
    pub const DIRTY_EXEC: Self = Self(1 << 21);
    /// A watched key is known to have changed. Not kept: found out for CLIENT LIST.
    pub const DIRTY_CAS: Self = Self(1 << 22);

    /// Those with which a plain command is not simply run: the one thing that the hot path asks.
    pub const SPECIAL: Self = Self(Self::MULTI.0 | Self::TRACKING.0);

    /// Whether all of `other` is in this set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is the server's own, with itself: nobody is connected, so it is not shown, and not closed by clients.
    pub const fn is_own(self) -> bool {
        self.has(Self::REPLAYS) || self.has(Self::FOLLOWS)
    }

    /// Adds or takes away `other`.
    #[inline]
    pub fn set(&mut self, other: Self, on: bool) {
        if on { self.0 |= other.0 } else { self.0 &= !other.0 }
    }
}

/// What CLIENT TRACKING was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// BCAST: it is told of all keys that begin with its prefixes, read or not.
    pub bcast: bool,
    /// OPTIN: what it reads is not remembered but after CLIENT CACHING YES.
    pub optin: bool,
    /// OPTOUT: what it reads is remembered but after CLIENT CACHING NO.
    pub optout: bool,
    /// NOLOOP: it is not told of what it changes itself.
    pub noloop: bool,
    /// CLIENT CACHING was given, for the next command or transaction.
    pub caching: bool,
    /// REDIRECT: who is told instead.
    pub redirect: Option<Reader>,
}

impl Tracking {
    /// Whether the keys that the next command reads are remembered.
    pub fn remembers(&self) -> bool {
        let is_chosen = if self.optin { self.caching } else { !(self.optout && self.caching) };
        is_chosen && !self.bcast
    }
}

/// One connection's state. The connection's task keeps the buffers; their sizes are copied here for CLIENT LIST.
#[derive(Debug, Clone)]
pub struct Client {
    /// CLIENT ID.
    pub id: ClientId,
    /// Remote end, as CLIENT LIST prints it.
    pub addr: String,
    /// Local end.
    pub laddr: String,
    /// File descriptor.
    pub fd: i32,
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: String,
    /// Selected database.
    pub db: DbIndex,
    /// Protocol version.
    pub proto: Proto,
    /// Whether AUTH succeeded or none is needed.
    pub authenticated: bool,
    /// See [`ClientFlags`].
    pub flags: ClientFlags,
    /// When it connected.
    pub created: UnixMs,
    /// When it last sent a command.
    pub last_active: UnixMs,
    /// The last command, full name in lower case (`client|list`), or "NULL" before the first.
    pub last_command: &'static str,
    /// Bytes of commands received.
    pub total_in: u64,
    /// Bytes of replies sent.
    pub total_out: u64,
    /// Bytes in the query buffer, and its free space.
    pub query_len: usize,
    /// While a command about connections is under way: bytes in the query buffer that it is a part of.
    pub running_len: usize,
    /// Free space of the query buffer.
    pub query_free: usize,
    /// Bytes of replies waiting to be sent.
    pub output_len: usize,
    /// Bytes of the output buffer's allocation.
    pub output_capacity: usize,
    /// Its bytes as they were last added up for maxmemory-clients.
    pub counted_bytes: usize,
    /// What it is subscribed to, in numbers.
    pub subscriptions: Subscriptions,
    /// What it has queued since MULTI and which keys it watches; none before the first time.
    pub transaction: Option<Box<Transaction>>,
    /// CLIENT TRACKING, while it is on.
    pub tracking: Option<Box<Tracking>>,
    /// What it has said with REPLCONF, if it has.
    pub replica: Option<Box<Follower>>,
    /// The core that it is connected to.
    pub home: ShardId,
}

impl Client {
    /// A new connection, which still has its defaults.
    pub fn new(id: ClientId, addr: String, laddr: String, fd: i32, now: UnixMs) -> Self {
        Self {
            id,
            addr,
            laddr,
            fd,
            name: String::new(),
            lib_name: String::new(),
            lib_ver: String::new(),
            db: DbIndex(0),
            proto: Proto::Resp2,
            authenticated: true,
            flags: ClientFlags::default(),
            created: now,
            last_active: now,
            last_command: "NULL",
            total_in: 0,
            total_out: 0,
            query_len: 0,
            running_len: 0,
            query_free: 0,
            output_len: 0,
            output_capacity: 0,
            counted_bytes: 0,
            subscriptions: Subscriptions::default(),
            transaction: None,
            tracking: None,
            replica: None,
            home: ShardId::default(),
        }
    }

    /// Whether the reply of the command that has just run is to be sent (CLIENT REPLY). Called once after each command:
    /// it moves SKIP on to the next one.
    #[inline]
    pub fn takes_reply(&mut self) -> bool {
        const MUTE: u32 = ClientFlags::REPLY_OFF.0 | ClientFlags::REPLY_SKIP.0;
        if self.flags.0 & (MUTE | ClientFlags::REPLY_SKIP_NEXT.0) == 0 {
            return true;
        }
        let mute = self.flags.0 & MUTE != 0;
        let skip_next = self.flags.has(ClientFlags::REPLY_SKIP_NEXT);
        self.flags.set(ClientFlags::REPLY_SKIP, skip_next);
        self.flags.set(ClientFlags::REPLY_SKIP_NEXT, false);
        !mute
    }

    /// After a command of its: CLIENT CACHING was for that one, unless it was a CLIENT command. Says whether that changes
    /// what is remembered. A transaction counts as one command; none is one that was refused.
    pub fn forgets_caching(&mut self, command: Option<CommandRef>) -> bool {
        let container = command.and_then(|command| command.container);
        let is_client = container.is_some_and(|container| container.name == "client");
        let is_queueing = self.flags.has(ClientFlags::MULTI);
        match &mut self.tracking {
            Some(tracking) if !is_client && !is_queueing => std::mem::take(&mut tracking.caching),
            _ => false,
        }
    }

    /// Whether it is subscribed to something and has nothing but arrays for messages, which are replies to it too: then
    /// only a few commands are open to it.
    #[inline]
    pub fn is_resp2_subscriber(&self) -> bool {
        self.flags.has(ClientFlags::PUBSUB) && self.proto == Proto::Resp2
    }

    /// Bytes of memory that it takes with its buffers.
    pub fn memory(&self) -> usize {
        let texts =
            self.addr.len() + self.laddr.len() + self.name.len() + self.lib_name.len() + self.lib_ver.len();
        let transaction = self.transaction.as_ref().map_or(0, |transaction| transaction.memory());
        let buffers = self.query_len + self.query_free + self.output_capacity;
        size_of::<Self>() + texts + buffers + self.subscriptions.bytes + transaction
    }

    /// How many commands it has queued, or EXEC runs; `None` outside of MULTI (CLIENT LIST multi).
    pub fn queued(&self) -> Option<usize> {
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.queued());
        (queued > 0 || self.flags.has(ClientFlags::MULTI)).then_some(queued)
    }

    /// How many keys it watches (CLIENT LIST watch).
    pub fn watches(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.watched.len())
    }
}

/// The clients connected to one core.
#[derive(Debug, Default)]
pub struct Clients {
    slots: Vec<Option<Client>>,
    free: Vec<u32>,
}

impl Clients {
    /// Adds a client.
    pub fn insert(&mut self, client: Client) -> ClientSlot {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(client);
                ClientSlot(slot)
            }
            None => {
                self.slots.push(Some(client));
                ClientSlot(self.slots.len() as u32 - 1)
            }
        }
    }

    /// Takes a client out.
    pub fn remove(&mut self, slot: ClientSlot) -> Option<Client> {
        let gone = self.slots.get_mut(slot.0 as usize)?.take();
        if gone.is_some() {
            self.free.push(slot.0);
        }
        gone
    }

    /// The client at `slot`.
    #[inline]
    pub fn get(&self, slot: ClientSlot) -> Option<&Client> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    /// The client at `slot`, to change.
    #[inline]
    pub fn get_mut(&mut self, slot: ClientSlot) -> Option<&mut Client> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// All clients with their places, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (ClientSlot, &Client)> {
        let entries = self.slots.iter().enumerate();
        entries.filter_map(|(slot, client)| Some((ClientSlot(slot as u32), client.as_ref()?)))
    }

    /// The same, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ClientSlot, &mut Client)> {
        let entries = self.slots.iter_mut().enumerate();
        entries.filter_map(|(slot, client)| Some((ClientSlot(slot as u32), client.as_mut()?)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
