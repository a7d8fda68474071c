//! What masters say, and what becomes of it.

use super::*;

fn id(byte: u8) -> ReplId {
    ReplId::parse(&[byte; 40]).unwrap()
}

fn role() -> Role {
    let options = Options {
        me: id(b'm'),
        gives: id(b'9'),
        listening_port: 6380,
        announce_ip: None,
        user: None,
        password: None,
        timeout_ms: 60_000,
        accepts_less: false,
    };
    Role::new(options, History::default(), Rng::new(1))
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { host: "::1".to_owned(), port }
}

/// One that has connected and hears these lines.
fn hears(said: &[&str]) -> (Role, Vec<Output>) {
    let mut role = role();
    role.replicaof(endpoint(1), History::default(), 0);
    role.connected(role.attempt, 0);
    let mut outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    for line in said {
        outputs.extend(hear(&mut role, format!("{line}\r\n").as_bytes()));
    }
    (role, outputs)
}

fn hear(role: &mut Role, bytes: &[u8]) -> Vec<Output> {
    assert_eq!(role.receive(role.attempt, bytes, &mut |_| {}, 5), bytes.len());
    std::iter::from_fn(|| role.poll()).collect()
}

const GREETING: [&str; 5] = [
    "+PONG",
    "+OK",
    "+OK",
    "-ERR Unrecognized REPLCONF option: version",
    "-ERR Unrecognized REPLCONF option: lacewing-id",
];

/// With a redis-server between the two, or several.
#[test]
fn hazard_13_who_is_in_the_history_that_this_node_gives_follows_it() {
    let history = "9".repeat(40);
    let lacewing = format!("+LACEWING {} {} {history}", "a".repeat(40), "b".repeat(40));
    let full = format!("+FULLRESYNC {history} 5000");
    for said in [vec!["+PONG", "+OK", "+OK", "+OK", &lacewing], [&GREETING[..], &[&full]].concat()] {
        let (role, outputs) = hears(&said);
        assert_eq!(role.facts(5).last_reason, Some(Reason::Cycle));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Stage { .. })));
        assert_eq!(role.facts(5).full_syncs, 0);
    }
}

#[test]
fn a_handshake_asks_in_the_order_of_redis() {
    let (role, outputs) = hears(&GREETING);
    let sent: Vec<u8> = outputs
        .iter()
        .flat_map(|output| match output {
            Output::Send { bytes, .. } => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    let words: Vec<String> = String::from_utf8(sent)
        .unwrap()
        .split("\r\n")
        .filter(|word| !word.is_empty() && !word.starts_with(['*', '$']))
        .map(str::to_owned)
        .collect();
    let me = id(b'm').to_string();
    let expected = [
        "PING",
        "REPLCONF",
        "listening-port",
        "6380",
        "REPLCONF",
        "capa",
        "eof",
        "capa",
        "psync2",
        "REPLCONF",
        "version",
        "9.0.0",
        "REPLCONF",
        "lacewing-id",
        &me,
        "PSYNC",
        "?",
        "-1",
    ];
    assert_eq!(words, expected);
    assert_eq!(role.facts(0).state, LinkState::Handshake);
}

#[test]
fn what_ends_a_handshake_and_why() {
    #[track_caller]
    fn check(said: &[&str], expected: &str) {
        let (role, outputs) = hears(said);
        let reason = role.facts(0).last_reason.expect("it has failed");
        assert!(reason.to_string().contains(expected), "{reason}");
        assert!(matches!(role.state, State::Waiting { .. }));
        assert!(outputs.iter().any(|output| matches!(output, Output::Close { .. })));
        assert!(!outputs.iter().any(|output| matches!(output, Output::Replace(_))));
    }
    fn after<'a>(mut said: Vec<&'a str>, last: &'a str) -> Vec<&'a str> {
        said.push(last);
        said
    }
    check(&["SSH-2.0-OpenSSH_9.2"], "what answers is no master");
    check(&["-NOAUTH Authentication required."], "masterauth");
    check(&[""], "what answers is no master");
    check(&["-LOADING loading"], "cannot give its data now: -LOADING");
    check(&["-ERR unknown command 'PING'"], "the master refuses");
    let greeted = || GREETING.to_vec();
    check(&after(greeted(), "-NOMASTERLINK Can't SYNC"), "cannot give its data now");
    check(&after(greeted(), "-ERR unknown command 'PSYNC'"), "the master refuses");
    check(&after(greeted(), "-NOPERM no permissions"), "masterauth");
    check(&after(greeted(), "+CONTINUE"), "all was asked for");
    check(&after(greeted(), "+FULLRESYNC x 1"), "no master");
    let full = format!("+FULLRESYNC {} 1", id(b'a'));
    let full = after(greeted(), &full);
    check(&after(full.clone(), "-ERR no room"), "the master gave up: -ERR no room");
    check(&after(full, "*1"), "announced its data with '*1'");
    let itself = format!("+LACEWING {}", id(b'm'));
    check(&after(greeted()[..4].to_vec(), &itself), "this node itself");
}

#[test]
fn the_same_master_again_changes_nothing() {
    let (mut role, _) = hears(&GREETING);
    role.replicaof(endpoint(1), History::default(), 9);
    assert!(role.poll().is_none());
    assert_eq!(role.attempt, Attempt(1));
    role.replicaof(endpoint(2), History::default(), 9);
    assert!(matches!(role.poll(), Some(Output::Close { attempt: Attempt(1) })));
    assert!(matches!(role.poll(), Some(Output::Connect { attempt: Attempt(2), .. })));
}

#[test]
fn what_comes_late_is_nobodys() {
    let (mut role, _) = hears(&GREETING);
    role.replicaof(endpoint(2), History::default(), 9);
    while role.poll().is_some() {}
    let old = Attempt(1);
    role.connected(old, 10);
    role.lost(old, "late", 10);
    role.rejected(old, "late", 10);
    role.verified(old, Report { keys: 1, own_keys: 0, ..Report::default() }, 10);
    assert_eq!(role.receive(old, b"+PONG\r\n", &mut |_| {}, 10), 0);
    assert!(role.poll().is_none());
    assert!(matches!(role.state, State::Connecting));
}

/// A role that was granted a replacement.
fn granted() -> (Role, ResyncGrant) {
    let full = format!("+FULLRESYNC {} 1000", id(b'a'));
    let (mut role, _) = hears(&[&GREETING[..], &[&full, "$3"]].concat());
    let attempt = role.attempt;
    assert_eq!(role.receive(attempt, b"abcSTREAM", &mut |_| {}, 10), 3, "the stream waits");
    assert!(!role.reads());
    role.verified(attempt, Report { keys: 1, own_keys: 0, ..Report::default() }, 10);
    let grant = std::iter::from_fn(|| role.poll()).find_map(|output| match output {
        Output::Replace(grant) => Some(grant),
        _ => None,
    });
    (role, grant.expect("a grant"))
}

#[test]
fn what_is_granted_is_carried_out_before_anything_else() {
    for to_another in [false, true] {
        let (mut role, grant) = granted();
        if to_another {
            role.replicaof(endpoint(2), History::default(), 20);
        } else {
            role.no_one(20);
        }
        assert!(role.poll().is_none(), "nothing happens while data is replaced");
        assert_eq!(role.facts(20).state, LinkState::Sync);
        role.replaced(grant.attempt(), 30);
        assert!(matches!(role.poll(), Some(Output::Close { .. })));
        let current = role.history().current.expect("it has a history");
        match role.poll() {
            Some(Output::Connect { to, .. }) => {
                assert!(to_another && to == endpoint(2));
                assert_eq!(current, Position { replid: id(b'a'), offset: 1000 });
            }
            Some(Output::Promoted { replid, .. }) => {
                assert!(!to_another && current == Position { replid, offset: 1000 });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_link_that_ends_meanwhile_does_not_stop_a_replacement() {
    let (mut role, grant) = granted();
    role.lost(grant.attempt(), "gone", 20);
    assert!(role.poll().is_none());
    role.replaced(grant.attempt(), 30);
    assert!(matches!(role.state, State::Waiting { .. }));
    role.tick(100_000);
    role.connected(role.attempt, 100_000);
    while role.poll().is_some() {}
    let said = GREETING.map(|line| hear(&mut role, format!("{line}\r\n").as_bytes()));
    let last = said.into_iter().flatten().last();
    let Some(Output::Send { bytes, .. }) = last else { panic!("{last:?}") };
    assert!(String::from_utf8(bytes).unwrap().contains("1001"), "it asks for what comes next");
}

#[test]
fn a_replacement_that_did_not_happen_leaves_everything_as_it_was() {
    let (mut role, grant) = granted();
    role.not_replaced(grant.attempt(), "no room on the disk", 20);
    let outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    assert!(matches!(outputs[..], [Output::Failed { .. }, Output::Discard { .. }, Output::Close { .. }]));
    assert_eq!(role.history(), History::default());
    assert!(matches!(role.state, State::Waiting { .. }));
}

#[test]
fn the_master_hears_that_a_busy_replica_lives() {
    let (mut role, grant) = granted();
    role.tick(role.deadline().expect("a time to say so"));
    assert!(matches!(role.poll(), Some(Output::Send { bytes, .. }) if bytes == b"\n"));
    role.replaced(grant.attempt(), 30);
    assert!(matches!(role.poll(), Some(Output::Follow { is_resumed: false, .. })));
    assert!(matches!(role.poll(), Some(Output::Send { .. })), "the first ACK, which begins the stream");
}

#[test]
fn a_stream_that_makes_no_sense_is_not_resumed() {
    let (mut role, grant) = granted();
    role.replaced(grant.attempt(), 30);
    role.stream_failed(grant.attempt(), "expected '$', got 'x'", 40);
    role.drained(grant.attempt(), 1000, 41);
    assert_eq!(role.position_to_ask(), None);
    assert_eq!(role.history().current.map(|current| current.offset), Some(1000), "what it has is known");
    role.replicaof(endpoint(9), History::default(), 50);
    assert!(role.position_to_ask().is_some(), "another master may know it");
}

/// A full sync, and then a stream that fails after this long. How long it waits before it tries again.
fn fails_after(role: &mut Role, followed_ms: u64, now_ms: &mut u64) -> u64 {
    let attempt = role.attempt;
    role.connected(attempt, *now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    // Its master goes on meanwhile.
    let offset = 1000 * attempt.0;
    let full = format!("+FULLRESYNC {} {offset}", id(b'a'));
    for line in GREETING.iter().chain(&[full.as_str(), "$3"]) {
        hear(role, format!("{line}\r\n").as_bytes());
    }
    role.receive(attempt, b"abc", &mut |_| {}, *now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    role.verified(attempt, Report { keys: 1, own_keys: 0, ..Report::default() }, *now_ms);
    role.replaced(attempt, *now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    role.receive(attempt, b"STREAM", &mut |_| {}, *now_ms);
    *now_ms += followed_ms;
    // Some of it could be applied, each time.
    role.applied(attempt, offset + 3);
    role.stream_failed(attempt, "'lpush' was answered: WRONGTYPE", *now_ms);
    role.drained(attempt, offset + 3, *now_ms);
    let wait_ms = role.deadline().expect("it tries again") - *now_ms;
    *now_ms += wait_ms;
    role.tick(*now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    wait_ms
}

/// Has it fetch a payload that is refused for what is in it. How long it waits before it tries again.
fn is_rejected(role: &mut Role, now_ms: &mut u64) -> u64 {
    let attempt = role.attempt;
    role.connected(attempt, *now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    let full = format!("+FULLRESYNC {} 1000", id(b'a'));
    for line in GREETING.iter().chain(&[full.as_str(), "$3"]) {
        hear(role, format!("{line}\r\n").as_bytes());
    }
    role.receive(attempt, b"abc", &mut |_| {}, *now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    role.rejected(attempt, &format!("at byte {}", attempt.0), *now_ms);
    waits(role, now_ms)
}

/// Waits until it tries again. How long that was.
fn waits(role: &mut Role, now_ms: &mut u64) -> u64 {
    let wait_ms = role.deadline().expect("it tries again") - *now_ms;
    assert_eq!(role.facts(*now_ms + 10).next_attempt_ms, Some(wait_ms - 10));
    *now_ms += wait_ms;
    role.tick(*now_ms);
    assert_eq!(role.facts(*now_ms).next_attempt_ms, None);
    let _ = std::iter::from_fn(|| role.poll()).count();
    wait_ms
}

#[test]
fn a_payload_that_is_no_dataset_each_time_is_fetched_seldom_until_something_else_happens() {
    let (mut role, mut now_ms) = (role(), 0);
    role.replicaof(endpoint(1), History::default(), 0);
    let _ = std::iter::from_fn(|| role.poll()).count();
    let check = |role: &mut Role, now_ms: &mut u64, waits_s: &[u64]| {
        for seconds in waits_s {
            let wait_ms = is_rejected(role, now_ms);
            assert!((seconds * 1000..seconds * 1250).contains(&wait_ms), "{wait_ms} for {seconds}");
        }
    };
    check(&mut role, &mut now_ms, &[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    // Its master was started again, maybe with other data.
    role.lost(role.attempt, "refused", now_ms);
    waits(&mut role, &mut now_ms);
    check(&mut role, &mut now_ms, &[1, 2]);
}

#[test]
fn who_says_so_again_does_not_wait() {
    let (mut role, outputs) = hears(&["-ERR not today"]);
    assert!(matches!(outputs.last(), Some(Output::Close { .. })));
    role.hurry(6);
    assert_eq!(role.deadline(), Some(6));
    role.tick(6);
    assert!(matches!(role.poll(), Some(Output::Connect { .. })));
    // What is under way goes on.
    role.hurry(7);
    assert_eq!(role.facts(7).state, LinkState::Connecting);
}

#[test]
fn a_stream_that_makes_no_sense_each_time_is_asked_for_less_and_less_often() {
    let (mut role, mut now_ms) = (role(), 0);
    role.replicaof(endpoint(1), History::default(), 0);
    let _ = std::iter::from_fn(|| role.poll()).count();
    for (followed_ms, seconds) in
        [(10, 1), (5000, 2), (10, 4), (59_999, 8), (10, 16), (10, 16), (60_000, 1), (10, 2)]
    {
        let wait_ms = fails_after(&mut role, followed_ms, &mut now_ms);
        assert!((seconds * 1000..seconds * 1250).contains(&wait_ms), "{wait_ms} for {seconds}");
    }
    let facts = role.facts(now_ms);
    assert_eq!((facts.stream_failures, facts.full_syncs), (8, 8));
}

#[test]
fn a_stream_that_made_no_sense_is_told_of_until_one_has_gone_well_for_a_while() {
    let (mut role, mut now_ms) = (role(), 0);
    role.replicaof(endpoint(1), History::default(), 0);
    let _ = std::iter::from_fn(|| role.poll()).count();
    fails_after(&mut role, 10, &mut now_ms);
    let full = format!("+FULLRESYNC {} 5000", id(b'a'));
    role.connected(role.attempt, now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    for line in GREETING.iter().chain(&[full.as_str(), "$3"]) {
        hear(&mut role, format!("{line}\r\n").as_bytes());
    }
    role.receive(role.attempt, b"abc", &mut |_| {}, now_ms);
    role.verified(role.attempt, Report { keys: 1, own_keys: 0, ..Report::default() }, now_ms);
    role.replaced(role.attempt, now_ms);
    assert!(role.is_following());
    assert!(matches!(role.facts(now_ms + 59_999).last_reason, Some(Reason::Stream(_))));
    assert_eq!(role.facts(now_ms + 60_000).last_reason, None);
}

#[test]
fn a_link_that_ends_before_anything_was_applied_counts_as_a_failure() {
    let (mut role, grant) = granted();
    role.replaced(grant.attempt(), 30);
    let attempt = grant.attempt();
    role.receive(attempt, b"S", &mut |_| {}, 30);
    role.lost(attempt, "gone", 40);
    role.drained(attempt, 1000, 40);
    let first_ms = role.deadline().expect("it tries again") - 40;
    assert!((1000..1250).contains(&first_ms));
    for (applied, from_ms) in [(1000, 2000), (1001, 1000)] {
        let now_ms = role.deadline().expect("it tries again");
        role.tick(now_ms);
        let attempt = role.attempt;
        role.connected(attempt, now_ms);
        let _ = std::iter::from_fn(|| role.poll()).count();
        for line in GREETING.iter().chain(&["+CONTINUE"]) {
            hear(&mut role, format!("{line}\r\n").as_bytes());
        }
        role.receive(attempt, b"S", &mut |_| {}, now_ms);
        role.applied(attempt, applied);
        role.lost(attempt, "gone", now_ms);
        role.drained(attempt, applied, now_ms);
        let wait_ms = role.deadline().expect("it tries again") - now_ms;
        assert!((from_ms..from_ms * 5 / 4).contains(&wait_ms), "{wait_ms} after {applied}");
    }
}

#[test]
#[should_panic(expected = "applied 999, after 1000")]
fn a_position_does_not_go_back() {
    let (mut role, grant) = granted();
    role.replaced(grant.attempt(), 30);
    role.applied(grant.attempt(), 999);
}

/// One that hands over, and hears these lines.
fn hands_over(said: &[&str]) -> (Role, Vec<Output>) {
    let mut role = role();
    role.hand_over(endpoint(1), Position { replid: id(b'a'), offset: 99 }, 0);
    role.connected(role.attempt, 0);
    let mut outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    for line in said {
        outputs.extend(hear(&mut role, format!("{line}\r\n").as_bytes()));
    }
    (role, outputs)
}

fn sends(outputs: &[Output], words: &str) -> bool {
    outputs.iter().any(|output| match output {
        Output::Send { bytes, .. } => String::from_utf8_lossy(bytes).contains(words),
        _ => false,
    })
}

#[test]
fn a_replica_that_agrees_is_followed_from_where_this_node_has_stopped() {
    let replid = id(b'b');
    let agrees = format!("+CONTINUE {replid}");
    let (role, outputs) = hands_over(&[&GREETING[..], &[&agrees]].concat());
    assert!(sends(&outputs, "\r\n100\r\n$8\r\nFAILOVER\r\n"), "{outputs:?}");
    let is_told = |output: &Output| matches!(output, Output::HandedOver);
    let at = outputs.iter().position(is_told).expect("it is told");
    assert!(matches!(outputs[at + 1], Output::Follow { is_resumed: true, is_renamed: true, .. }));
    assert_eq!(role.history().current, Some(Position { replid, offset: 99 }));
    let full = format!("+FULLRESYNC {replid} 7");
    let (role, outputs) = hands_over(&[&GREETING[..], &[&full]].concat());
    assert!(outputs.iter().any(is_told));
    assert_eq!(role.facts(0).state, LinkState::Sync);
}

#[test]
fn a_replica_that_does_not_agree_leaves_this_node_the_master() {
    let said = [&GREETING[..], &["-ERR PSYNC FAILOVER replid must match my replid."]].concat();
    let (role, outputs) = hands_over(&said);
    assert!(role.is_master());
    let told = outputs.iter().position(|output| matches!(output, Output::NotHandedOver { .. }));
    let promoted = outputs.iter().position(|output| matches!(output, Output::Promoted { .. }));
    assert!(told.expect("it is told") < promoted.expect("it is a master"), "{outputs:?}");
}

#[test]
fn what_is_handed_over_is_offered_again_when_the_link_breaks_and_no_more_when_it_is_taken_back() {
    let (mut role, _) = hands_over(&GREETING);
    role.lost(role.attempt, "reset", 10);
    let mut outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    let until = role.deadline().expect("it tries again");
    role.tick(until);
    role.connected(role.attempt, until);
    outputs.extend(std::iter::from_fn(|| role.poll()));
    for line in GREETING {
        outputs.extend(hear(&mut role, format!("{line}\r\n").as_bytes()));
    }
    assert!(sends(&outputs, "FAILOVER"));
    role.no_one(until);
    assert!(role.is_master());
    let _ = std::iter::from_fn(|| role.poll()).count();
    role.replicaof(endpoint(2), History::default(), until);
    role.connected(role.attempt, until);
    let _ = std::iter::from_fn(|| role.poll()).count();
    let outputs: Vec<Output> =
        GREETING.iter().flat_map(|line| hear(&mut role, format!("{line}\r\n").as_bytes())).collect();
    assert!(sends(&outputs, "PSYNC") && !sends(&outputs, "FAILOVER"));
}

/// One that wants flows, has these places, and hears these lines.
fn wants_flows(from: Option<Sync>, accepts_less: bool, said: &[&str]) -> (Role, Vec<Output>) {
    let mut role = role();
    role.set_options(Options { accepts_less, ..role.options().clone() }, 0);
    role.replicaof(endpoint(1), History::default(), 0);
    role.want_flows(from);
    let outputs = connects(&mut role, said);
    (role, outputs)
}

/// The same of one that has a connection, to a master that can.
fn connects(role: &mut Role, said: &[&str]) -> Vec<Output> {
    role.connected(role.attempt, 0);
    let mut outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    let greeting = ["+PONG", "+OK", "+OK lacewing-flows", "+OK", &format!("+LACEWING {}", "a".repeat(40))];
    for line in greeting.iter().chain(said) {
        outputs.extend(hear(role, format!("{line}\r\n").as_bytes()));
    }
    outputs
}

fn asks(outputs: &[Output], for_what: &str) -> usize {
    let sent = |output: &Output| match output {
        Output::Send { bytes, .. } => String::from_utf8_lossy(bytes).matches(for_what).count(),
        _ => 0,
    };
    outputs.iter().map(sent).sum()
}

fn stands(generation: u64) -> Option<Sync> {
    let lsns = vec![aof::Lsn(5), aof::Lsn(7)];
    let generation = aof::Generation(generation);
    let stands = crate::flow::resume::Stands { node: aof::NodeId([0x1f; 20]), generation, birth: 3, lsns };
    Some(Sync { stands: Some(stands), offset: 12 })
}

const NOTHING: Option<Sync> = Some(Sync { stands: None, offset: 0 });
const SESSION: &str = "abababababababababababababababab 2 1000 1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f 12";

#[test]
fn flows_are_asked_for_where_both_sides_can() {
    let (_, outputs) = wants_flows(NOTHING, false, &[]);
    assert_eq!((asks(&outputs, "LACEWING.SYNC"), asks(&outputs, "PSYNC")), (1, 0));
    let (_, outputs) = wants_flows(None, false, &[]);
    assert_eq!((asks(&outputs, "LACEWING.SYNC"), asks(&outputs, "PSYNC")), (0, 1));
    let (_, outputs) = wants_flows(NOTHING, false, &["-NOFLOWS there is no log"]);
    assert_eq!((asks(&outputs, "LACEWING.SYNC"), asks(&outputs, "PSYNC")), (1, 1));
}

#[test]
fn a_payload_that_comes_in_flows_is_granted_when_it_is_whole() {
    let (mut role, outputs) =
        wants_flows(NOTHING, false, &[&format!("+FULL {SESSION} 4 3 1 99 nothing there")]);
    assert!(matches!(outputs[..], [.., Output::Stage { .. }, Output::Open { payload: Some(_), .. }]));
    let attempt = role.attempt;
    role.gathered(attempt, 50, false, 6);
    assert_eq!(role.facts(6).transfer.map(|transfer| transfer.received), Some(50));
    role.gathered(attempt, 99, true, 7);
    assert!(matches!(role.poll(), Some(Output::Verify { .. })));
    role.verified(attempt, Report { keys: 1, own_keys: 0, ..Report::default() }, 8);
    let Some(Output::Replace(grant)) = role.poll() else { panic!("a grant") };
    assert_eq!((grant.position().replid.as_str(), grant.position().offset), (&*"1f".repeat(20), 12));
    role.replaced(attempt, 9);
    assert!(matches!(role.poll(), Some(Output::Follow { is_resumed: false, .. })));
    role.applied(attempt, 1000);
    assert_eq!(role.facts(9).applied, Some(1000));
}

#[test]
fn flows_that_end_before_the_payload_does_leave_the_old_data() {
    let (mut role, _) = wants_flows(NOTHING, false, &[&format!("+FULL {SESSION} 4 3 1 99 nothing there")]);
    role.lost(role.attempt, "closed", 6);
    let outputs: Vec<Output> = std::iter::from_fn(|| role.poll()).collect();
    assert!(matches!(outputs[..], [Output::Failed { .. }, Output::Discard { .. }]), "{outputs:?}");
}

#[test]
fn flows_go_on_where_this_node_stands_and_nowhere_else() {
    let resume = format!("+RESUME {SESSION}");
    let (role, outputs) = wants_flows(stands(4), false, &[&resume]);
    assert!(role.is_following() && role.has_flows());
    assert!(outputs.iter().any(|output| matches!(output, Output::Open { payload: None, .. })));
    let (role, _) = wants_flows(NOTHING, false, &[&resume]);
    assert!(matches!(role.facts(6).last_reason, Some(Reason::Garbage(_))));
}

#[test]
fn hazard_16_a_master_with_less_of_its_log_does_not_replace_it_unasked() {
    let older = "-OLDER the replica has generation 9";
    let full = format!("+FULL {SESSION} 4 3 1 99 forgotten");
    for said in [older, &full] {
        let (role, outputs) = wants_flows(stands(9), false, &[said]);
        assert!(matches!(role.facts(6).last_reason, Some(Reason::OlderLog(_))), "{said}");
        assert!(!outputs.iter().any(|output| matches!(output, Output::Stage { .. })));
    }
    // Its data is asked for on another connection at once: this one ends with the answer.
    let (mut role, outputs) = wants_flows(stands(9), true, &[older]);
    assert!(matches!(outputs[..], [.., Output::Failed { .. }, Output::Close { .. }]), "{outputs:?}");
    role.tick(6);
    assert!(matches!(role.poll(), Some(Output::Connect { .. })));
    let outputs = connects(&mut role, &[&full]);
    assert_eq!(asks(&outputs, "LACEWING.SYNC\r\n$1\r\n?"), 1, "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::Stage { .. })));
}

/// Has it look at its master, whose full sync is of this history and has so many keys; it has 100. Returns whether they are taken.
fn takes(role: &mut Role, history: u8, keys: u64) -> bool {
    let mut now_ms = 0;
    if let State::Waiting { until_ms } = role.state {
        now_ms = until_ms;
        role.tick(now_ms);
    }
    role.connected(role.attempt, now_ms);
    let _ = std::iter::from_fn(|| role.poll()).count();
    let full = format!("+FULLRESYNC {} 5000", id(history));
    for line in GREETING.iter().chain(&[full.as_str(), "$3"]) {
        hear(role, format!("{line}\r\n").as_bytes());
    }
    role.receive(role.attempt, b"abc", &mut |_| {}, now_ms);
    role.verified(role.attempt, Report { keys, own_keys: 100, ..Report::default() }, now_ms);
    let is_granted = std::iter::from_fn(|| role.poll()).any(|output| matches!(output, Output::Replace(_)));
    if is_granted {
        role.replaced(role.attempt, now_ms);
        role.lost(role.attempt, "gone", now_ms);
        role.drained(role.attempt, 5000, now_ms);
    }
    let _ = std::iter::from_fn(|| role.poll()).count();
    is_granted
}

#[test]
fn hazard_16_a_master_that_began_anew_does_not_replace_it_unasked() {
    let named = || {
        let mut role = role();
        role.replicaof(endpoint(1), History::default(), 0);
        role
    };
    // What an operator names is taken, and may go on with much less in the same history.
    let mut role = named();
    assert!(takes(&mut role, b'a', 1) && takes(&mut role, b'a', 1));
    // It was started again, and clients came before this node did.
    assert!(!takes(&mut role, b'b', 49));
    assert!(matches!(role.facts(9).last_reason, Some(Reason::Fewer { keys: 49, own_keys: 100, .. })));
    assert!(takes(&mut role, b'b', 50), "it has about what it had");

    // It was seen empty: what it has since is no more than what was written since.
    let mut role = named();
    assert!(!takes(&mut role, b'a', 0) && !takes(&mut role, b'a', 90));
    assert!(takes(&mut role, b'b', 90), "it has found its data");

    // A start is no word of an operator.
    let mut role = named();
    role.goes_on();
    assert!(!takes(&mut role, b'a', 1));
    role.set_options(Options { accepts_less: true, ..role.options().clone() }, 0);
    assert!(takes(&mut role, b'a', 1));

    let mut role = named();
    role.goes_on();
    role.replicaof(endpoint(2), History::default(), 0);
    assert!(takes(&mut role, b'a', 1), "it was named anew");
}
