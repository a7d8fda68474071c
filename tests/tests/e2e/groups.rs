//! Groups: Lacewings that follow each other, on whatever numbers of cores, chains with a redis-server at their end, and a real
//! sentinel that makes another node the master.

use lacewing_tests::{Client, Process, RedisServer, Server, show, until, until_within};
use resp::Value;
use std::time::Duration;

/// A sentinel that stood still for two seconds, because of a disk, does nothing for 30 (TILT).
const FAILOVER_MAX: Duration = Duration::from_secs(90);

/// A node whose data can be compared.
#[track_caller]
fn node(cores: &str, args: &[&str]) -> Server {
    let fixed = ["--cores", cores, "--pin", "no", "--enable-debug-command", "yes"];
    Server::with(&[&fixed, args].concat())
}

/// A field of INFO replication; empty if it is not there.
fn field(client: &mut Client, name: &str) -> String {
    in_info(&client.call(&["INFO", "replication"]), name)
}

/// The same of a node whose clients may be cut off, as a sentinel does when it changes what they are.
fn asked(node: &Process, name: &str) -> Option<String> {
    let mut client = node.client();
    client.send(&["INFO", "replication"]);
    let info = client.read_any().ok().flatten()?;
    Some(in_info(&info, name))
}

fn in_info(info: &Value, name: &str) -> String {
    let text = String::from_utf8_lossy(info.as_bytes().expect("INFO is text")).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().to_owned()
}

#[track_caller]
fn follow(replica: &Process, master: &Process) {
    let mut client = replica.client();
    assert_eq!(client.line(&format!("REPLICAOF 127.0.0.1 {}", master.port())), "+OK");
    until("the link is up", || (field(&mut client, "master_link_status") == "up").then_some(()));
}

/// Waits until both have the same data.
#[track_caller]
fn check_same(one: &Process, other: &Process) {
    let (mut one, mut other) = (one.client(), other.client());
    // Keys whose time has come are counted until their master has removed them.
    until("both have the same data", || {
        ["DEBUG DIGEST", "DBSIZE"].iter().all(|what| one.line(what) == other.line(what)).then_some(())
    });
}

/// Writes of all kinds, over several shards too.
#[track_caller]
fn write(client: &mut Client, from: u64, to: u64) {
    for n in from..to {
        let lines = [
            format!("SET string:{n} {n}"),
            format!("INCRBY counter:{} {n}", n % 7),
            format!("MSET a:{n} 1 b:{n} 2 c:{n} 3"),
            format!("RPUSH list:{} {n} {n}", n % 5),
            format!("HSET hash:{} field:{n} {n}", n % 3),
            format!("ZADD sorted:{} {n} member:{n}", n % 4),
            format!("SADD set:{} {n}", n % 6),
            format!("XADD stream:{} * n {n}", n % 2),
            format!(
                "EVAL \"redis.call('SET', KEYS[1], 1) redis.call('LPOP', KEYS[2])\" 2 s:{n} list:{}",
                n % 5
            ),
            format!("SET gone:{n} 1 PX 1"),
            "MULTI".to_owned(),
            format!("DEL a:{n}"),
            format!("SPOP set:{}", n % 6),
            "EXEC".to_owned(),
        ];
        for line in &lines {
            let reply = client.line(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
    }
}

#[test]
fn lacewings_on_other_numbers_of_cores_follow_each_other() {
    for (cores, others) in [("2", "1"), ("1", "3")] {
        let (master, replica) = (node(cores, &[]), node(others, &["--appendonly", "yes"]));
        let mut client = master.client();
        write(&mut client, 0, 50);
        follow(&replica, &master);
        check_same(&master, &replica);
        let mut there = replica.client();
        let position =
            |client: &mut Client| ["master_replid", "master_repl_offset"].map(|name| field(client, name));
        until("the replica tells where it is", || {
            (position(&mut there) == position(&mut client)).then_some(())
        });
        assert!(there.line("WAIT 0 0").starts_with("-ERR WAIT cannot be used with replica instances."));
        write(&mut client, 50, 100);
        assert_eq!(client.line("WAIT 1 30000"), ":1");
        check_same(&master, &replica);
    }
}

#[test]
fn a_replica_that_is_killed_goes_on_where_it_was() {
    let master = node("2", &[]);
    let mut client = master.client();
    write(&mut client, 0, 30);
    let of = master.port().to_string();
    let args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &of];
    let mut replica = node("2", &args);
    for round in 1..4 {
        check_same(&master, &replica);
        let dir = replica.dir_handle();
        write(&mut client, 30 * round, 30 * round + 15);
        replica.kill();
        write(&mut client, 30 * round + 15, 30 * round + 30);
        let cores = ["1", "3", "2"][round as usize - 1];
        let fixed = ["--cores", cores, "--pin", "no", "--enable-debug-command", "yes"];
        replica = Server::on(dir, &[&fixed[..], &args].concat());
    }
    check_same(&master, &replica);
    // It had all data before the first of them.
    assert_eq!(field(&mut replica.client(), "master_full_syncs"), "0");
    assert_eq!(field(&mut replica.client(), "master_partial_syncs"), "1");
}

#[test]
fn a_chain_ends_with_a_redis_server() {
    let (first, second) = (node("2", &[]), node("2", &[]));
    let Some(third) = RedisServer::start() else { return };
    let mut client = first.client();
    write(&mut client, 0, 30);
    follow(&second, &first);
    follow(&third, &second);
    write(&mut client, 30, 60);
    check_same(&first, &second);
    check_same(&second, &third);
    // Other data comes into the middle, and goes on to the end.
    let other = node("1", &[]);
    write(&mut other.client(), 0, 10);
    follow(&second, &other);
    check_same(&other, &second);
    check_same(&other, &third);
}

#[test]
fn two_that_follow_each_other_keep_their_data() {
    let (one, other) = (node("1", &[]), node("1", &[]));
    let (mut first, mut second) = (one.client(), other.client());
    assert_eq!(first.line("SET of one"), "+OK");
    assert_eq!(second.line("SET of other"), "+OK");
    assert_eq!(first.line(&format!("REPLICAOF 127.0.0.1 {}", other.port())), "+OK");
    assert_eq!(second.line(&format!("REPLICAOF 127.0.0.1 {}", one.port())), "+OK");
    until("somebody has been refused", || {
        let refused = |client: &mut Client| !field(client, "master_link_last_error").is_empty();
        (refused(&mut first) || refused(&mut second)).then_some(())
    });
    // One of them may have had its sync before the other began to follow it.
    let data = [first.line("GET of"), second.line("GET of")];
    assert!(data.iter().all(|value| ["\"one\"", "\"other\""].contains(&value.as_str())), "{data:?}");
}

/// However long it is, a cycle is refused by whoever would close it, and all keep what they have.
#[test]
fn hazard_13_a_cycle_is_refused_and_undone_by_one_command() {
    for len in [2, 3] {
        let nodes: Vec<Server> = (0..len).map(|_| node("2", &[])).collect();
        let mut first = nodes[0].client();
        assert_eq!(first.line("SET a 1"), "+OK");
        nodes.windows(2).for_each(|pair| follow(&pair[1], &pair[0]));
        let last = &nodes[len - 1];
        check_same(last, &nodes[0]);
        assert_eq!(first.line(&format!("REPLICAOF 127.0.0.1 {}", last.port())), "+OK");
        until("it is refused", || {
            field(&mut first, "master_link_last_error").contains("the master follows this node").then_some(())
        });
        for node in &nodes {
            assert_eq!(node.client().line("GET a"), "\"1\"");
        }
        assert_eq!(first.line("REPLICAOF NO ONE"), "+OK");
        assert_eq!(first.line("SET a 2"), "+OK");
        until("all follow it again", || {
            nodes.iter().all(|node| node.client().line("GET a") == "\"2\"").then_some(())
        });
    }
}

/// The end of a chain says whom it follows now, and not whom its master followed before: the first may come behind the last.
#[test]
fn hazard_13_a_chain_that_is_turned_round_is_no_cycle() {
    for log in ["no", "yes"] {
        let nodes: Vec<Server> = (0..3).map(|_| node("2", &["--appendonly", log])).collect();
        let [first, middle, last] = &nodes[..] else { unreachable!("there are three") };
        write(&mut first.client(), 0, 30);
        follow(middle, first);
        follow(last, middle);
        check_same(last, first);
        assert_eq!(middle.client().line("REPLICAOF NO ONE"), "+OK");
        write(&mut middle.client(), 30, 40);
        follow(first, last);
        nodes.iter().for_each(|node| check_same(node, middle));
        assert_eq!(field(&mut last.client(), "master_full_syncs"), "1", "it goes on where it was");
    }
}

/// A node of a cycle: a Lacewing, or a redis-server.
enum Link {
    Lacewing(Server),
    Redis(RedisServer),
}

impl std::ops::Deref for Link {
    type Target = Process;

    fn deref(&self) -> &Process {
        match self {
            Self::Lacewing(server) => server,
            Self::Redis(server) => server,
        }
    }
}

/// The first of these is told to follow the last, where each follows the one before it; a letter for each: a Lacewing, or a redis-server.
/// Some Lacewing finds out, after at most one more full copy for any of them; nobody loses anything, and one command undoes it.
#[track_caller]
fn check_cycle(kinds: &str) {
    let nodes: Option<Vec<Link>> = kinds
        .chars()
        .map(|kind| match kind {
            'R' => RedisServer::with(&["--repl-diskless-sync-delay", "0"]).map(Link::Redis),
            _ => Some(Link::Lacewing(node("2", &["--repl-diskless-sync-delay", "0"]))),
        })
        .collect();
    let Some(nodes) = nodes else { return };
    let mut first = nodes[0].client();
    assert_eq!(first.line("SET a 1"), "+OK");
    nodes.windows(2).for_each(|pair| follow(&pair[1], &pair[0]));
    nodes[1..].iter().for_each(|node| check_same(node, &nodes[0]));
    let last = nodes.last().expect("there are several");
    assert_eq!(first.line(&format!("REPLICAOF 127.0.0.1 {}", last.port())), "+OK");
    until("it is refused", || {
        let has_refused = |node: &Link| {
            field(&mut node.client(), "master_link_last_error").contains("the master follows this node")
        };
        nodes.iter().any(has_refused).then_some(())
    });
    for node in &nodes {
        let mut client = node.client();
        until("it has its data", || (client.line("GET a") == "\"1\"").then_some(()));
        let full_syncs = field(&mut client, "master_full_syncs").parse().unwrap_or(0);
        assert!(full_syncs <= 2, "{kinds}: {full_syncs}");
    }
    assert_eq!(first.line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(first.line("SET a 2"), "+OK");
    until("all follow it again", || {
        nodes.iter().all(|node| node.client().line("GET a") == "\"2\"").then_some(())
    });
}

#[test]
fn hazard_13_a_cycle_through_a_redis_server_is_refused() {
    ["LR", "LRL", "LRR"].into_iter().for_each(check_cycle);
}

#[test]
fn hazard_13_a_cycle_that_a_redis_server_closes_is_refused() {
    ["LLR", "RLL", "RRL"].into_iter().for_each(check_cycle);
}

/// By whatever name the replica calls it.
#[test]
fn hazard_13_a_redis_server_gets_nothing_from_its_own_replica() {
    let Some(redis) = RedisServer::start() else { return };
    let replica = node("2", &[]);
    assert_eq!(redis.client().line("SET a 1"), "+OK");
    let mut client = replica.client();
    assert_eq!(client.line(&format!("REPLICAOF localhost {}", redis.port())), "+OK");
    until("the link is up", || (field(&mut client, "master_link_status") == "up").then_some(()));
    assert_eq!(redis.client().line(&format!("REPLICAOF 127.0.0.1 {}", replica.port())), "+OK");
    redis.wait_for_log("Can't SYNC with the master of this server");
    assert_eq!(field(&mut client, "master_full_syncs"), "1");
    assert_eq!(redis.client().line("REPLICAOF NO ONE"), "+OK");
    assert_eq!(redis.client().line("SET a 2"), "+OK");
    until("it is followed again", || (client.line("GET a") == "\"2\"").then_some(()));
}

#[test]
fn a_sentinel_makes_a_replica_the_master() {
    let master = node("2", &[]);
    let of = master.port().to_string();
    let replica_args = ["--appendonly", "yes", "--replicaof", "127.0.0.1", &of];
    let replica = node("1", &replica_args);
    let last = node("2", &["--replicaof", "127.0.0.1", &of, "--replica-priority", "0"]);
    let configuration = format!(
        "sentinel monitor group 127.0.0.1 {of} 1\nsentinel down-after-milliseconds group 1000\n\
         sentinel failover-timeout group 10000\n"
    );
    let Some(sentinel) = RedisServer::sentinel(&configuration) else { return };
    let (mut client, mut watcher) = (master.client(), sentinel.client());
    write(&mut client, 0, 20);
    assert_eq!(client.line("WAIT 2 30000"), ":2");
    until("the sentinel knows the replicas", || {
        let known = show(&watcher.call(&["SENTINEL", "REPLICAS", "group"]));
        let has = |node: &Process| known.contains(&format!("127.0.0.1:{}", node.port()));
        (has(&replica) && has(&last) && !known.contains("err")).then_some(())
    });
    let dir = {
        let mut master = master;
        master.kill();
        master.dir_handle()
    };
    let port = replica.port().to_string();
    until_within(FAILOVER_MAX, "another is the master", || {
        let address = show(&watcher.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "group"]));
        address.contains(&port).then_some(())
    });
    until("it says so", || (asked(&replica, "role")? == "master").then_some(()));
    let mut client = replica.client();
    assert_eq!(client.line("GET string:19"), "\"19\"");
    write(&mut client, 20, 30);
    until_within(FAILOVER_MAX, "the last follows it", || {
        let follows = asked(&last, "master_port")? == port && asked(&last, "master_link_status")? == "up";
        follows.then_some(())
    });
    check_same(&replica, &last);
    drop(dir);
}
