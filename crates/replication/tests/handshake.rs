//! A node and its master, with every cut of what the master says.

mod pair;

use pair::{Master, Node, id, meet, options, payload, talk};
use replication::Position;
use replication::role::{History, LinkState, Options, Reason};

const OLD: &[u8] = b"what the replica had";
const NEW: &[u8] = b"what the master has, and it is more than the other";

fn masters() -> impl Iterator<Item = Master> {
    [false, true].into_iter().map(|is_marked| Master { is_marked, ..Master::new(NEW) })
}

#[test]
fn a_replica_comes_to_have_what_its_master_has() {
    for mut master in masters() {
        let mut node = Node::new(OLD);
        node.replicaof();
        assert_eq!(node.data, OLD, "the old data is there while it connects");
        meet(&mut node, &mut master);
        master.write(b"more");
        talk(&mut node, &mut master, 3, usize::MAX);
        assert_eq!((&node.data, node.replaced), (&master.data, 1));
        assert_eq!(node.role.facts(node.now_ms).state, LinkState::Connected);
        node.wait();
        talk(&mut node, &mut master, 3, usize::MAX);
        assert_eq!(master.follower.acknowledged(), master.backlog.end());
        assert!(master.follower.is_online());
    }
}

#[test]
fn it_is_the_same_in_any_pieces() {
    for piece in 1..200 {
        for mut master in masters() {
            let mut node = Node::new(OLD);
            node.replicaof();
            master.accept();
            node.connect();
            talk(&mut node, &mut master, piece, usize::MAX);
            master.write(b"more");
            talk(&mut node, &mut master, piece, usize::MAX);
            assert_eq!((&node.data, node.replaced), (&master.data, 1), "pieces of {piece}");
        }
    }
}

/// Whatever is missing of what the master says, the old data is there, whole, and the next attempt brings the new.
#[test]
fn hazard_15_the_handshake_or_the_payload_ends_at_any_byte_and_the_old_data_stays() {
    for is_marked in [false, true] {
        let mut cut = 0;
        loop {
            let mut master = Master { is_marked, ..Master::new(NEW) };
            let mut node = Node::new(OLD);
            node.replicaof();
            master.accept();
            node.connect();
            let said = talk(&mut node, &mut master, 7, cut);
            if node.replaced > 0 {
                assert!(cut > payload(NEW).len());
                break;
            }
            assert_eq!((node.data.as_slice(), said), (OLD, cut));
            node.lose();
            assert_eq!((node.data.as_slice(), node.staged.as_ref()), (OLD, None));
            let facts = node.role.facts(node.now_ms);
            assert_eq!(facts.state, LinkState::Connect);
            assert!(facts.last_reason.is_some() && facts.down_since_ms.is_some());
            node.wait();
            meet(&mut node, &mut master);
            assert_eq!((node.data.as_slice(), node.replaced), (NEW, 1), "cut at {cut}");
            cut += 1;
        }
        assert!(cut > 150, "{cut}");
    }
}

#[test]
fn silence_at_any_byte_ends_the_attempt_in_bounded_time() {
    let mut cut = 0;
    loop {
        let mut master = Master::new(NEW);
        let mut node = Node::new(OLD);
        node.replicaof();
        master.accept();
        node.connect();
        talk(&mut node, &mut master, 1000, cut);
        if node.replaced > 0 {
            break;
        }
        let begun = node.now_ms;
        node.wait();
        assert_eq!(node.now_ms - begun, options().timeout_ms);
        assert!(!node.has_link && node.data == OLD);
        assert!(matches!(node.role.facts(0).last_reason, Some(Reason::TimedOut { .. })));
        cut += 1;
    }
}

#[test]
fn hazard_15_any_byte_of_the_payload_that_is_wrong_is_found() {
    for is_marked in [false, true] {
        for at in 0..payload(NEW).len() {
            let mut master = Master { is_marked, ..Master::new(NEW) };
            let mut node = Node::new(OLD);
            node.replicaof();
            master.accept();
            node.connect();
            // All but the last answer as it is.
            while !master.out.windows(11).any(|word| word == b"+FULLRESYNC") {
                let asked = std::mem::take(&mut node.out);
                let said = std::mem::take(&mut master.out);
                node.receive(&said);
                master.receive(&asked);
            }
            let mut said = std::mem::take(&mut master.out);
            let from = said.windows(NEW.len()).position(|part| part == NEW).unwrap() - 12;
            said[from + at] ^= 1;
            node.receive(&said);
            assert_eq!((node.data.as_slice(), node.replaced), (OLD, 0), "byte {at}");
            assert!(matches!(node.role.facts(0).last_reason, Some(Reason::Rejected(_))));
        }
    }
}

#[test]
fn a_link_that_ends_in_the_stream_is_resumed_at_the_last_whole_command() {
    for cut in 0..=12 {
        let mut master = Master::new(NEW);
        let mut node = Node::new(OLD);
        node.replicaof();
        meet(&mut node, &mut master);
        [b"one.", b"two.", b"tri."].iter().for_each(|command| master.write(command));
        talk(&mut node, &mut master, 5, cut);
        node.lose();
        let facts = node.role.facts(0);
        assert_eq!(facts.applied, Some(100 + cut as u64 / 4 * 4));
        master.write(b"four");
        node.wait();
        meet(&mut node, &mut master);
        assert_eq!((&node.data, node.replaced), (&master.data, 1), "cut at {cut}");
        assert_eq!(node.role.facts(0).partial_syncs, 1);
    }
}

#[test]
fn beyond_the_backlog_everything_is_sent_anew() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    meet(&mut node, &mut master);
    node.lose();
    (0..20).for_each(|_| master.write(b"lots"));
    node.wait();
    meet(&mut node, &mut master);
    assert_eq!((&node.data, node.replaced), (&master.data, 2));
}

#[test]
fn the_link_ends_after_the_payload_and_the_new_data_counts() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    meet(&mut node, &mut master);
    assert_eq!(node.role.history().current, Some(Position { replid: id(b'a'), offset: 100 }));
}

#[test]
fn hazard_13_a_wrong_password_leaves_the_old_data() {
    for password in [None, Some("wrong".to_owned())] {
        let mut master = Master { password: Some("right".to_owned()), ..Master::new(NEW) };
        let options = Options { password, ..options() };
        let mut node = Node::with(OLD, options.clone(), History::default());
        node.replicaof();
        meet(&mut node, &mut master);
        assert!(matches!(node.role.facts(0).last_reason, Some(Reason::Denied(_))), "{:?}", node.log);
        assert_eq!(node.data, OLD);
        node.role.set_options(Options { password: Some("right".to_owned()), ..options }, node.now_ms);
        node.wait();
        meet(&mut node, &mut master);
        assert_eq!(node.data, NEW);
    }
}

#[test]
fn hazard_13_a_closed_port_leaves_the_old_data() {
    let mut node = Node::new(OLD);
    node.replicaof();
    for _ in 0..10 {
        assert!(node.is_connecting);
        node.lose();
        assert!(matches!(node.role.facts(0).last_reason, Some(Reason::Unreachable(_))));
        node.wait();
    }
    assert_eq!((node.data.as_slice(), node.role.facts(0).attempts), (OLD, 11));
}

#[test]
fn hazard_13_a_node_that_follows_itself_or_those_that_follow_it_keeps_its_data() {
    for (names, expected) in
        [(vec![id(b'm')], Reason::Itself), (vec![id(b'x'), id(b'y'), id(b'm')], Reason::Cycle)]
    {
        let mut master = Master { names, ..Master::new(NEW) };
        let mut node = Node::new(OLD);
        node.replicaof();
        meet(&mut node, &mut master);
        assert_eq!(node.role.facts(0).last_reason, Some(expected));
        assert_eq!(node.data, OLD);
    }
}

#[test]
fn hazard_16_a_master_that_restarted_empty_does_not_empty_its_replica() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    meet(&mut node, &mut master);
    node.lose();
    let mut empty = Master { backlog: replication::Backlog::new(id(b'e'), 0, 64), ..Master::new(b"") };
    node.wait();
    meet(&mut node, &mut empty);
    assert_eq!(node.data, NEW);
    let reason = node.role.facts(0).last_reason.expect("it was refused");
    assert_eq!(reason, Reason::Empty { over: 0, own_keys: NEW.len() as u64, own_libraries: 0 });
    assert!(reason.to_string().contains("CONFIG SET replica-accept-less yes"));
    // An operator insists; the next attempt is at once.
    node.role.set_options(Options { accepts_less: true, ..options() }, node.now_ms);
    let now_ms = node.now_ms;
    node.wait();
    assert_eq!(node.now_ms, now_ms);
    meet(&mut node, &mut empty);
    assert_eq!((node.data.as_slice(), node.replaced), (&b""[..], 2));
}

#[test]
fn hazard_16_a_master_that_has_lost_its_newest_writes_does_not_take_them_from_its_replica() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    meet(&mut node, &mut master);
    let older = Master::new(NEW);
    master.write(b"more");
    talk(&mut node, &mut master, 100, usize::MAX);
    node.lose();
    master = older;
    node.wait();
    meet(&mut node, &mut master);
    assert_eq!(node.data, [NEW, b"more"].concat());
    assert!(matches!(node.role.facts(0).last_reason, Some(Reason::Older { .. })));
    assert_eq!(node.staged, None, "it is refused before anything is sent");
}

#[test]
fn no_one_at_any_byte_keeps_what_was_there() {
    let mut cut = 0;
    loop {
        let mut master = Master::new(NEW);
        let mut node = Node::new(OLD);
        node.replicaof();
        master.accept();
        node.connect();
        talk(&mut node, &mut master, 7, cut);
        let before = node.data.clone();
        node.role.no_one(node.now_ms);
        node.settle();
        assert!(node.role.is_master() && !node.has_link);
        assert_eq!((&node.data, node.staged.as_ref()), (&before, None));
        assert_eq!(node.role.deadline(), None);
        if node.replaced > 0 {
            break;
        }
        cut += 1;
    }
    assert!(cut > 150);
}

#[test]
fn a_promoted_replica_goes_on_with_a_history_of_its_own() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    meet(&mut node, &mut master);
    node.role.no_one(node.now_ms);
    node.settle();
    let history = node.role.history();
    assert_eq!(history.second, Some(Position { replid: id(b'a'), offset: 100 }));
    assert_ne!(history.current.unwrap().replid, id(b'a'));
    assert_eq!(history.current.unwrap().offset, 100);
    assert_eq!(node.log, ["promoted"]);
}

#[test]
fn a_master_that_was_replaced_resumes_from_its_own_replica() {
    // The old master has the new one's history up to where it stopped.
    let mut new = Master::new(NEW);
    new.backlog.append(b"shared..");
    new.data.extend_from_slice(b"shared..");
    new.backlog.shift(id(b'n'));
    new.write(b"more");
    let history = History { current: Some(Position { replid: id(b'a'), offset: 108 }), second: None };
    let mut old = Node::with(&[NEW, b"shared.."].concat(), options(), history);
    old.replicaof();
    meet(&mut old, &mut new);
    assert_eq!((&old.data, old.replaced), (&new.data, 0));
    let history = old.role.history();
    assert_eq!(history.current, Some(Position { replid: id(b'n'), offset: 112 }));
    assert_eq!(history.second, Some(Position { replid: id(b'a'), offset: 108 }));
}

#[test]
fn hazard_14_the_master_dies_before_the_first_byte_of_the_payload() {
    let mut master = Master::new(NEW);
    let mut node = Node::new(OLD);
    node.replicaof();
    master.accept();
    node.connect();
    node.receive(b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: lacewing-id\r\n");
    node.receive(format!("+FULLRESYNC {} 100\r\n", id(b'a')).as_bytes());
    assert_eq!(node.role.facts(0).state, LinkState::Sync);
    node.lose();
    assert_eq!((node.data.as_slice(), node.staged.as_ref()), (OLD, None));
    let reason = node.role.facts(0).last_reason.expect("it failed").to_string();
    assert!(reason.contains("before the first byte of the full sync"), "{reason}");
    node.wait();
    meet(&mut node, &mut master);
    assert_eq!(node.data, NEW);
}
