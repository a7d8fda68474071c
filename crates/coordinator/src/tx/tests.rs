//! A network of participants and transactions in memory: every message can be seen, held back and counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stdx::rng::Rng;
use stdx::{ClientId, DbIndex};

use super::*;
use crate::locks::{Admission, Claim, KeyName, Mode, Scope};
use crate::participant::{Deed, Participant};

/// What a test says of a transaction: the keys it claims on each shard (`None`: the whole shard).
#[derive(Clone, Debug)]
struct Spec {
    id: u64,
    home: u16,
    lends: bool,
    mode: Mode,
    claims: BTreeMap<ShardId, Option<Vec<KeyName>>>,
    /// Of a held one.
    stages: Option<Vec<Stage>>,
    /// How many parts its stages have.
    runs: usize,
    /// Whether its last stage releases; else it is told to after that.
    ends_with_stage: bool,
    /// Of a fan-out: whether it keeps its locks until all have run.
    keeps: bool,
}

enum Message {
    Order(TxId, Order),
    Notice(TxId, Notice),
    Command(&'static str, u64),
}

#[derive(Default)]
struct Net {
    shards: Vec<Participant<&'static str, ()>>,
    txs: BTreeMap<TxId, (Transaction, Spec)>,
    links: BTreeMap<(ShardId, ShardId), VecDeque<Message>>,
    /// Every message, as `from>to what`.
    sent: Vec<String>,
    /// Per shard: what was executed, in order.
    log: BTreeMap<ShardId, Vec<String>>,
    outcomes: BTreeMap<u64, Outcome>,
    /// Parts that ran when the transaction ended.
    ran: BTreeMap<TxId, usize>,
}

fn key(fingerprint: u64) -> KeyName {
    KeyName { db: DbIndex(0), fingerprint }
}

/// A fan-out that writes key 1 on each of `shards`.
fn fanout(id: u64, home: u16, shards: &[u16]) -> Spec {
    let claims = shards.iter().map(|&shard| (ShardId(shard), Some(vec![key(1)]))).collect();
    Spec {
        id,
        home,
        lends: false,
        mode: Mode::Exclusive,
        claims,
        stages: None,
        runs: 0,
        ends_with_stage: false,
        keeps: false,
    }
}

fn set(shards: &[u16]) -> ShardSet {
    shards.iter().copied().map(ShardId).collect()
}

/// A held transaction of these stages; the last releases.
fn hold(id: u64, home: u16, shards: &[u16], stages: &[Stage]) -> Spec {
    let parts = |stage: &Stage| if let Stage::Run(shards) = stage { shards.len() } else { 1 };
    let runs = stages.iter().map(parts).sum();
    Spec { stages: Some(stages.to_vec()), runs, ends_with_stage: true, ..fanout(id, home, shards) }
}

/// One that runs on all of `shards`, has all lent to home, and runs on all again.
fn hold_three(id: u64, home: u16, shards: &[u16]) -> Spec {
    let all = set(shards);
    hold(id, home, shards, &[Stage::Run(all), Stage::Lend(all), Stage::Run(all)])
}

/// One whose last stage is a loan.
fn hold_loan(id: u64, home: u16, shards: &[u16]) -> Spec {
    hold(id, home, shards, &[Stage::Run(set(&shards[..1])), Stage::Lend(set(&shards[1..]))])
}

/// One that is journalled.
fn keeping(id: u64, home: u16, shards: &[u16]) -> Spec {
    Spec { keeps: true, ..fanout(id, home, shards) }
}

fn loan(id: u64, home: u16, shards: &[u16]) -> Spec {
    Spec { lends: true, ..fanout(id, home, shards) }
}

fn whole(id: u64, home: u16, shards: &[u16]) -> Spec {
    let claims = shards.iter().map(|&shard| (ShardId(shard), None)).collect();
    Spec { claims, ..fanout(id, home, &[]) }
}

impl Net {
    fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Participant::default()).collect(), ..Self::default() }
    }

    fn start(&mut self, spec: Spec) {
        let parts: ShardSet = spec.claims.keys().copied().collect();
        let plan = match (&spec.stages, spec.lends) {
            (Some(_), _) => Plan::Hold(parts),
            (None, true) => Plan::Lend(parts),
            (None, false) => Plan::Fanout(parts),
        };
        let id = TxId(spec.id);
        let machine = Transaction::new(id, ShardId(spec.home), plan);
        let machine = if spec.keeps { machine.keeping() } else { machine };
        self.txs.insert(id, (machine, spec));
        self.drive(id);
    }

    fn cancel(&mut self, id: u64) {
        self.txs.get_mut(&TxId(id)).unwrap().0.cancel();
        self.drive(TxId(id));
    }

    fn drive(&mut self, id: TxId) {
        while let Some((tx, spec)) = self.txs.get_mut(&id) {
            let home = ShardId(spec.home);
            match tx.poll() {
                None => return,
                Some(Step::Home(order)) => self.order(home, id, order),
                Some(Step::Send { to, order }) => {
                    assert_ne!(to, home);
                    self.send(home, to, Message::Order(id, order), &format!("{order:?}"));
                }
                Some(Step::Ran) => {
                    assert_eq!(self.ran[&id], spec.claims.len(), "{id:?}: all have run");
                    assert!(
                        spec.claims.keys().all(|shard| self.shards[shard.index()].knows(id)),
                        "{id:?}: locked"
                    );
                    self.log.entry(home).or_default().push(format!("Journal {}", id.0));
                }
                Some(Step::Granted) => {
                    let stages = spec.stages.as_mut().expect("only a held one is granted");
                    if stages.is_empty() {
                        tx.release();
                    } else {
                        let stage = stages.remove(0);
                        tx.stage(stage, stages.is_empty() && spec.ends_with_stage);
                    }
                }
                Some(Step::Done(outcome)) => {
                    let want = match (outcome, spec.lends) {
                        (Outcome::Cancelled, _) => 0,
                        (Outcome::Executed, _) if spec.stages.is_some() => spec.runs,
                        (Outcome::Executed, true) => 1,
                        (Outcome::Executed, false) => spec.claims.len(),
                    };
                    assert_eq!(self.ran.remove(&id).unwrap_or(0), want, "{id:?}: parts that ran by the end");
                    self.outcomes.insert(id.0, outcome);
                    self.txs.remove(&id);
                }
            }
        }
    }

    fn send(&mut self, from: ShardId, to: ShardId, message: Message, what: &str) {
        self.sent.push(format!("{}>{} {what}", from.0, to.0));
        self.links.entry((from, to)).or_default().push_back(message);
    }

    fn order(&mut self, at: ShardId, id: TxId, order: Order) {
        let none = Some(Vec::new());
        // A transaction that is over has a release on its way: that needs no claim.
        let (mode, keys) = match self.txs.get(&id) {
            Some((_, spec)) => (spec.mode, spec.claims.get(&at).unwrap_or(&none)),
            None => (Mode::Exclusive, &none),
        };
        let scope = keys.as_ref().map_or(Scope::Whole, |keys| Scope::Keys(keys));
        self.shards[at.index()].order(id, order, Claim { scope, mode }, ());
        self.perform(at);
    }

    fn command(&mut self, at: ShardId, name: &'static str, fingerprint: u64) {
        let keys = [key(fingerprint)];
        let claim = Claim { scope: Scope::Keys(&keys), mode: Mode::Exclusive };
        let origin = ClientId(name.as_ptr() as u64);
        if self.shards[at.index()].admit(origin, claim, || name) == Admission::Run {
            self.log.entry(at).or_default().push(name.into());
        }
    }

    fn perform(&mut self, at: ShardId) {
        while let Some(deed) = self.shards[at.index()].poll() {
            let (tx, notice) = match deed {
                Deed::Command(name) => {
                    self.log.entry(at).or_default().push(name.into());
                    continue;
                }
                Deed::Long(..) => unreachable!("no command here takes long"),
                Deed::Answer { tx, notice, .. } => (tx, Some(notice)),
                Deed::Perform { tx, act, .. } => {
                    self.log.entry(at).or_default().push(format!("{act:?} {}", tx.0));
                    *self.ran.entry(tx).or_default() += usize::from(act == Act::Run);
                    (tx, act.notice())
                }
            };
            let Some(notice) = notice else { continue };
            let home = ShardId(self.txs[&tx].1.home);
            if at == home {
                self.txs.get_mut(&tx).unwrap().0.handle(at, notice);
                self.drive(tx);
            } else {
                self.send(at, home, Message::Notice(tx, notice), &format!("{notice:?}"));
            }
        }
    }

    /// Delivers the oldest message on the way from `from` to `to`.
    fn deliver(&mut self, from: ShardId, to: ShardId) {
        match self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front).expect("a message on this link") {
            Message::Order(id, order) => self.order(to, id, order),
            Message::Command(name, key) => self.command(to, name, key),
            Message::Notice(id, notice) => {
                self.txs.get_mut(&id).expect("no notice comes after the end").0.handle(from, notice);
                self.drive(id);
            }
        }
    }

    fn busy_links(&self) -> Vec<(ShardId, ShardId)> {
        self.links.iter().filter(|link| !link.1.is_empty()).map(|link| *link.0).collect()
    }

    fn settle(&mut self) {
        while let Some(&(from, to)) = self.busy_links().first() {
            self.deliver(from, to);
        }
    }

    fn assert_quiet(&self) {
        assert!(self.txs.is_empty(), "unfinished: {:?}", self.txs.keys());
        assert!(self.busy_links().is_empty());
        assert!(self.shards.iter().all(Participant::is_idle), "locks are left");
    }

    fn done(&mut self) -> Vec<String> {
        self.settle();
        self.assert_quiet();
        std::mem::take(&mut self.sent)
    }

    fn log(&self, shard: u16) -> Vec<&str> {
        self.log.get(&ShardId(shard)).map_or(Vec::new(), |log| log.iter().map(String::as_str).collect())
    }
}

/// `count` requests of this kind and their answers.
fn messages(sent: &[String], what: &str) -> usize {
    sent.iter().filter(|message| message.ends_with(what)).count()
}

#[test]
fn one_remote_shard_costs_one_request_and_one_reply() {
    let try_all = format!("{:?}", Order::TRY_LOCK_RUN_RELEASE);
    let wait_all = format!("{:?}", Order::LOCK_RUN_RELEASE);
    let check = |home: u16, shards: &[u16], want: [String; 2]| {
        let mut net = Net::new(4);
        net.start(fanout(1, home, shards));
        assert_eq!(net.done(), want, "home {home}, shards {shards:?}");
        assert_eq!(net.outcomes[&1], Outcome::Executed);
        assert!(shards.iter().all(|&shard| net.log(shard) == ["Run 1"]));
    };
    check(2, &[0, 2], [format!("2>0 {try_all}"), "0>2 Ran".into()]);
    // Waiting in line at the higher shard is the ordered path itself: a refusal would only cost.
    check(0, &[0, 2], [format!("0>2 {wait_all}"), "2>0 Ran".into()]);
    check(0, &[3], [format!("0>3 {wait_all}"), "3>0 Ran".into()]);
    check(3, &[0], [format!("3>0 {wait_all}"), "0>3 Ran".into()]);
}

#[test]
fn a_journalled_one_is_released_when_all_have_run() {
    let check = |home: u16, shards: &[u16], messages: usize| {
        let mut net = Net::new(4);
        net.start(keeping(1, home, shards));
        let sent = net.done();
        assert_eq!(sent.len(), messages, "home {home}, shards {shards:?}: {sent:#?}");
        assert_eq!(net.outcomes[&1], Outcome::Executed);
        let runs = usize::from(shards.contains(&home));
        assert_eq!(net.log(home)[runs..], ["Journal 1"], "home {home}, shards {shards:?}");
    };
    check(2, &[0, 2], 3);
    check(0, &[0, 2], 3);
    check(3, &[0], 3);
    check(1, &[1], 0);
    check(1, &[0, 1, 2, 3], 3 * 5);
    check(3, &[0, 1], 2 * 5);
}

#[test]
fn nobody_sees_a_journalled_one_before_it_is_journalled() {
    let mut net = Net::new(2);
    net.start(keeping(1, 1, &[0, 1]));
    net.deliver(ShardId(1), ShardId(0));
    net.command(ShardId(0), "look 0", 1);
    net.command(ShardId(1), "look 1", 1);
    assert_eq!((net.log(0), net.log(1)), (vec!["Run 1"], vec![]));
    net.deliver(ShardId(0), ShardId(1));
    assert_eq!(net.log(1), ["Run 1", "Journal 1", "look 1"]);
    assert_eq!(net.log(0), ["Run 1"], "its release, and its marker, are on the way");
    net.done();
    assert_eq!(net.log(0), ["Run 1", "look 0"]);
}

#[test]
fn a_command_at_home_alone_costs_no_message() {
    for spec in [fanout(1, 1, &[1]), loan(1, 1, &[1])] {
        let mut net = Net::new(2);
        net.start(spec);
        assert_eq!(net.outcomes[&1], Outcome::Executed);
        assert_eq!(net.done(), [""; 0]);
    }
}

#[test]
fn several_remote_shards_cost_two_requests_and_two_replies_each() {
    let mut net = Net::new(4);
    net.start(fanout(1, 1, &[0, 1, 2, 3]));
    let sent = net.done();
    assert_eq!(sent.len(), 3 * 4, "{sent:#?}");
    assert_eq!(messages(&sent, &format!("{:?}", Order::TRY_LOCK)), 3);
    assert_eq!(messages(&sent, &format!("{:?}", Order::RUN_RELEASE)), 3);
    // All are asked before any is answered, and all run before any reports: two round trips.
    assert!(sent[..3].iter().all(|message| message.starts_with("1>")));
    assert!(sent[6..9].iter().all(|message| message.starts_with("1>")));
}

#[test]
fn a_loan_costs_one_round_trip_and_one_message_back() {
    for (home, shards) in [(2, vec![0, 2]), (0, vec![0, 2]), (1, vec![0, 2, 3]), (1, vec![0, 1, 2, 3])] {
        let remotes = shards.iter().filter(|&&shard| shard != home).count();
        let mut net = Net::new(4);
        net.start(loan(1, home, &shards));
        let sent = net.done();
        assert_eq!(sent.len(), 3 * remotes, "{sent:#?}");
        assert!(sent[..remotes].iter().all(|message| message.starts_with(&format!("{home}>"))));
        assert_eq!(messages(&sent, "Lent"), remotes);
        assert_eq!(messages(&sent, &format!("{:?}", Order::RETURN_RELEASE)), remotes);
        for &shard in &shards {
            let want: &[&str] = if shard == home { &["Run 1"] } else { &["Lend 1", "Return 1"] };
            assert_eq!(net.log(shard), want);
        }
        assert_eq!(net.log(home), ["Run 1"], "the handler runs at home, with or without keys there");
    }
}

#[test]
fn a_busy_home_sends_nothing_before_it_has_its_turn() {
    let mut net = Net::new(3);
    net.start(fanout(1, 2, &[0, 2]));
    net.start(fanout(2, 2, &[1, 2]));
    assert_eq!(net.sent.len(), 2, "the second is refused at home, and waits in order: shard 1 first");
    assert_eq!(net.sent[1], format!("2>1 {:?}", Order::LOCK));
    net.done();
    assert_eq!(net.log(2), ["Run 1", "Run 2"]);
}

#[test]
fn a_refused_try_gives_back_what_is_out_of_order_and_then_waits_in_line() {
    for build in [fanout as fn(u64, u16, &[u16]) -> Spec, loan] {
        let mut net = Net::new(5);
        // Holds shard 2, and waits for its reply from shard 0.
        net.start(fanout(1, 2, &[0, 2]));
        net.start(build(2, 1, &[1, 2, 3, 4]));
        for shard in 2..=4 {
            net.deliver(ShardId(1), ShardId(shard));
            net.deliver(ShardId(shard), ShardId(1));
        }
        let lends = build(2, 1, &[1]).lends;
        let back = if lends { Order::RETURN_RELEASE } else { Order::RELEASE };
        let lock = if lends { Order::LOCK_LEND } else { Order::LOCK };
        let sent: Vec<&String> = net.sent.iter().rev().take(3).rev().collect();
        let want = [format!("1>3 {back:?}"), format!("1>4 {back:?}"), format!("1>2 {lock:?}")];
        assert_eq!(sent, want.iter().collect::<Vec<_>>(), "shard 1 is below the refusal: its lock is kept");
        let sent = net.done();
        let last = if lends { Order::LOCK_LEND } else { Order::LOCK_RUN_RELEASE };
        assert_eq!(messages(&sent, &format!("1>4 {last:?}")), 1, "the last in order needs no second message");
        assert_eq!(net.log(2)[0], "Run 1");
        assert_eq!(net.outcomes.len(), 2);
    }
}

#[test]
fn a_reader_never_sees_half() {
    let mut net = Net::new(2);
    net.start(fanout(1, 1, &[0, 1]));
    net.deliver(ShardId(1), ShardId(0));
    assert_eq!(net.log(0), ["Run 1"]);
    // Shard 0 has run; whoever sees that and then looks at shard 1 waits until it has run too.
    net.command(ShardId(0), "look 0", 1);
    net.command(ShardId(1), "look 1", 1);
    net.command(ShardId(1), "other", 2);
    net.done();
    assert_eq!(net.log(0), ["Run 1", "look 0"]);
    assert_eq!(net.log(1), ["other", "Run 1", "look 1"]);
}

#[test]
fn lent_keys_are_locked_until_they_are_back() {
    let mut net = Net::new(2);
    net.start(loan(1, 1, &[0, 1]));
    net.deliver(ShardId(1), ShardId(0));
    net.deliver(ShardId(0), ShardId(1));
    assert_eq!(net.outcomes[&1], Outcome::Executed, "the reply does not wait for the return");
    net.send(ShardId(1), ShardId(0), Message::Command("after the reply", 1), "");
    net.command(ShardId(0), "from elsewhere", 1);
    net.done();
    assert_eq!(net.log(0), ["Lend 1", "Return 1", "from elsewhere", "after the reply"]);
}

#[test]
fn whole_shards_and_keys_exclude_each_other() {
    let mut net = Net::new(3);
    net.start(whole(1, 0, &[0, 1, 2]));
    net.start(fanout(2, 1, &[0, 1]));
    net.command(ShardId(2), "before", 9);
    net.settle();
    net.command(ShardId(2), "after", 9);
    net.done();
    assert_eq!(net.log(2), ["before", "Run 1", "after"]);
    let order = |shard| net.log(shard).iter().position(|&entry| entry == "Run 1");
    assert_eq!(order(0), order(1), "both went the same way round on both shards");
}

/// Calls `body` with every sequence of choices that it can make; it calls its argument with the number of ways.
fn exhaust(mut body: impl FnMut(&mut dyn FnMut(usize) -> usize)) {
    let mut path: Vec<(usize, usize)> = Vec::new();
    for _ in 0..RUNS_MAX {
        let mut depth = 0;
        body(&mut |ways| {
            if depth == path.len() {
                path.push((0, ways));
            }
            assert_eq!(path[depth].1, ways, "the same choices lead to the same place");
            depth += 1;
            path[depth - 1].0
        });
        while path.last().is_some_and(|&(choice, ways)| choice + 1 == ways) {
            path.pop();
        }
        match path.last_mut() {
            Some(last) => last.0 += 1,
            None => return,
        }
    }
    panic!("more than {RUNS_MAX} interleavings: too many to try them all");
}

const RUNS_MAX: usize = 500_000;

/// Runs `specs` with the messages delivered as `choose` says, the first being cancelled at some moment if `cancels`:
/// all end, no lock is left, and conflicting transactions took effect in the same order on every shard.
fn interleave(
    shards: usize,
    specs: &[Spec],
    cancels: bool,
    choose: &mut dyn FnMut(usize) -> usize,
) -> String {
    let mut net = Net::new(shards);
    for spec in specs {
        net.start(spec.clone());
    }
    let mut may_cancel = cancels;
    loop {
        let links = net.busy_links();
        may_cancel &= net.txs.contains_key(&TxId(specs[0].id));
        match links.len() + usize::from(may_cancel) {
            0 => break,
            ways => match links.get(choose(ways)) {
                Some(&(from, to)) => net.deliver(from, to),
                None => {
                    may_cancel = false;
                    net.cancel(specs[0].id);
                }
            },
        }
    }
    net.assert_quiet();
    assert_same_order_everywhere(&net, specs);
    format!("{:?}", net.outcomes.values().collect::<Vec<_>>())
}

/// The outcomes of all interleavings.
fn explore(specs: &[Spec], cancels: bool) -> BTreeSet<String> {
    let mut outcomes = BTreeSet::new();
    exhaust(|choose| {
        outcomes.insert(interleave(3, specs, cancels, choose));
    });
    outcomes
}

fn assert_same_order_everywhere(net: &Net, specs: &[Spec]) {
    for (at, one) in specs.iter().enumerate() {
        for other in &specs[at + 1..] {
            let firsts: Vec<u64> = one
                .claims
                .keys()
                .filter(|shard| other.claims.contains_key(shard))
                .filter_map(|shard| first_to_act(net, *shard, [one, other]))
                .collect();
            assert!(firsts.windows(2).all(|pair| pair[0] == pair[1]), "{:?}: {:?}", firsts, net.log);
        }
    }
}

/// Whose part counted first on `shard`, if both took effect there.
fn first_to_act(net: &Net, shard: ShardId, specs: [&Spec; 2]) -> Option<u64> {
    let log = net.log(shard.0);
    let acted = |spec: &Spec| {
        if spec.stages.is_some() {
            return (net.outcomes[&spec.id] == Outcome::Executed)
                .then(|| last_of_run(&log, spec.id))
                .flatten();
        }
        let act = if spec.lends && ShardId(spec.home) != shard { "Return" } else { "Run" };
        let entry = format!("{act} {}", spec.id);
        (net.outcomes[&spec.id] == Outcome::Executed)
            .then(|| log.iter().rposition(|&logged| logged == entry).expect("it took effect"))
    };
    let (one, other) = (acted(specs[0])?, acted(specs[1])?);
    Some(if one < other { specs[0].id } else { specs[1].id })
}

/// Where the last part of a held transaction is in the log of a shard, if it has any there: all its parts follow one another.
fn last_of_run(log: &[&str], id: u64) -> Option<usize> {
    let is_its = |logged: &&&str| logged.ends_with(&format!(" {id}"));
    let first = log.iter().position(|logged| is_its(&logged))?;
    let run = log[first..].iter().take_while(is_its).count();
    assert_eq!(run, log.iter().filter(is_its).count(), "somebody came between its stages: {log:?}");
    Some(first + run - 1)
}

const EXECUTED: &str = "[Executed, Executed]";

#[test]
fn two_that_collide_on_all_shards_in_every_interleaving() {
    for (left, right) in [(0, 1), (1, 0), (0, 0), (2, 0), (2, 1)] {
        for lends in [[false, false], [true, false], [false, true], [true, true]] {
            let specs = [
                Spec { lends: lends[0], ..fanout(1, left, &[0, 1]) },
                Spec { lends: lends[1], ..fanout(2, right, &[0, 1]) },
            ];
            assert_eq!(explore(&specs, false), BTreeSet::from([EXECUTED.to_string()]));
        }
    }
}

#[test]
fn a_held_one_locks_first_and_releases_with_its_last_stage() {
    let mut net = Net::new(3);
    let (one, both) = (set(&[0]), set(&[0, 1]));
    net.start(hold(1, 1, &[0, 1, 2], &[Stage::Run(both), Stage::Run(one)]));
    let sent = net.done();
    let want = [
        format!("1>0 {:?}", Order::TRY_LOCK),
        format!("1>2 {:?}", Order::TRY_LOCK),
        "0>1 Locked".into(),
        "2>1 Locked".into(),
        format!("1>0 {:?}", Order::RUN),
        "0>1 Ran".into(),
        format!("1>2 {:?}", Order::RELEASE),
        format!("1>0 {:?}", Order::RUN_RELEASE),
        "0>1 Ran".into(),
    ];
    assert_eq!(sorted(sent), sorted(want.into()));
    assert_eq!((net.log(0), net.log(1), net.log(2)), (vec!["Run 1"; 2], vec!["Run 1"], vec![]));
}

fn sorted(mut sent: Vec<String>) -> Vec<String> {
    sent.sort();
    sent
}

#[test]
fn a_loan_between_stages_comes_back_and_the_locks_stay() {
    let mut net = Net::new(2);
    net.start(hold_three(1, 1, &[0, 1]));
    // Locked, ran, lent; home has run over the loan, and it is on its way back with the last stage behind it.
    for _ in 0..3 {
        net.deliver(ShardId(1), ShardId(0));
        net.deliver(ShardId(0), ShardId(1));
    }
    net.command(ShardId(0), "look", 1);
    net.command(ShardId(0), "elsewhere", 2);
    net.done();
    assert_eq!(net.log(0), ["Run 1", "Lend 1", "elsewhere", "Return 1", "Run 1", "look"]);
    assert_eq!(net.log(1), ["Run 1"; 3]);
}

#[test]
fn a_held_one_that_does_nothing_is_released_when_told() {
    let mut net = Net::new(3);
    net.start(Spec { ends_with_stage: false, ..hold(1, 2, &[0, 2], &[]) });
    let sent = net.done();
    assert_eq!(messages(&sent, &format!("{:?}", Order::RELEASE)), 1);
    assert_eq!((net.outcomes[&1], net.log(0)), (Outcome::Executed, vec![]));
}

#[test]
fn while_it_is_held_cancelling_is_for_the_driver() {
    let mut tx = Transaction::new(TxId(1), ShardId(0), Plan::Hold(ShardSet::one(ShardId(0))));
    assert_eq!(tx.poll(), Some(Step::Home(Order::LOCK)));
    tx.handle(ShardId(0), Notice::Locked);
    assert_eq!((tx.poll(), tx.poll()), (Some(Step::Granted), None));
    tx.cancel();
    assert_eq!(tx.poll(), None);
    tx.release();
    assert_eq!(tx.poll(), Some(Step::Home(Order::RELEASE)));
    assert_eq!(tx.poll(), Some(Step::Done(Outcome::Executed)));
}

#[test]
#[should_panic(expected = "which it did not lock")]
fn a_stage_on_a_shard_that_is_not_locked_panics() {
    let mut net = Net::new(2);
    net.start(hold(1, 0, &[0], &[Stage::Run(set(&[1]))]));
}

#[test]
fn held_ones_collide_with_all_kinds_in_every_interleaving() {
    let kinds = [fanout as fn(u64, u16, &[u16]) -> Spec, loan, whole, hold_three, hold_loan];
    for held in [hold_three as fn(u64, u16, &[u16]) -> Spec, hold_loan] {
        for kind in kinds {
            for (left, right) in [(0, 1), (1, 0)] {
                let specs = [held(1, left, &[0, 1]), kind(2, right, &[0, 1])];
                assert_eq!(explore(&specs, false), BTreeSet::from([EXECUTED.to_string()]));
            }
            // From a home without keys there are too many ways to try them all.
            for seed in 0..500 {
                let (mut rng, specs) = (Rng::new(seed), [held(1, 2, &[0, 1]), kind(2, 2, &[0, 1])]);
                assert_eq!(interleave(3, &specs, false, &mut |ways| rng.index(ways)), EXECUTED);
            }
        }
    }
}

#[test]
fn three_on_three_shards_in_random_interleavings() {
    for build in [fanout as fn(u64, u16, &[u16]) -> Spec, loan, whole, hold_three, hold_loan] {
        let specs = [build(1, 0, &[0, 1, 2]), build(2, 2, &[0, 1, 2]), fanout(3, 1, &[0, 1])];
        for seed in 0..5000 {
            let mut rng = Rng::new(seed);
            let cancels = rng.one_in(2);
            let outcomes = interleave(3, &specs, cancels, &mut |ways| rng.index(ways));
            assert!(outcomes.ends_with(", Executed, Executed]"), "seed {seed}: {outcomes}");
        }
    }
}

#[test]
fn cancelled_at_every_moment_it_runs_whole_or_not_at_all() {
    // Home and shards of the one that is cancelled, and of the other.
    let ways: [(u16, &[u16], u16, &[u16]); 5] = [
        (0, &[0, 1], 1, &[0, 1]),
        (1, &[0, 1], 0, &[0, 1]),
        (2, &[0, 1], 0, &[0, 1]),
        (1, &[0, 1, 2], 2, &[1, 2]),
        (0, &[1, 2], 0, &[1]),
    ];
    for build in [fanout as fn(u64, u16, &[u16]) -> Spec, loan, hold_loan] {
        for (home, shards, other_home, other_shards) in ways {
            let specs = [build(1, home, shards), build(2, other_home, other_shards)];
            let outcomes = explore(&specs, true);
            assert!(outcomes.contains("[Cancelled, Executed]"), "{specs:?}: {outcomes:?}");
            assert!(outcomes.contains(EXECUTED), "{specs:?}: {outcomes:?}");
        }
    }
}

#[test]
fn the_single_remote_shard_was_told_to_run_so_cancelling_comes_too_late() {
    let specs = [fanout(1, 1, &[0, 1]), fanout(2, 1, &[0, 1])];
    assert_eq!(explore(&specs, true), BTreeSet::from([EXECUTED.to_string()]));
}

#[test]
fn cancelled_before_the_first_step_nothing_is_sent() {
    let mut tx = Transaction::new(TxId(1), ShardId(1), Plan::Whole(4));
    tx.cancel();
    assert_eq!(tx.poll(), Some(Step::Done(Outcome::Cancelled)));
    assert_eq!(tx.poll(), None);
}

#[test]
fn cancelled_while_it_waits_in_line_it_leaves_the_line_at_once() {
    let mut net = Net::new(3);
    net.start(fanout(1, 1, &[0, 1]));
    net.start(fanout(2, 1, &[1, 2]));
    assert_eq!(net.log(1), [""; 0], "the first holds home, and waits for shard 0");
    net.command(ShardId(1), "behind", 1);
    net.cancel(2);
    assert_eq!(net.outcomes[&2], Outcome::Cancelled, "it waited at home: no message is needed");
    net.done();
    assert_eq!(net.log(1), ["Run 1", "behind"]);
    assert_eq!(net.log(2), [""; 0]);
}

#[test]
fn a_waiting_transaction_is_not_overtaken_by_a_stream_of_tries() {
    let mut net = Net::new(2);
    net.start(fanout(1, 1, &[0, 1]));
    net.start(fanout(2, 0, &[0, 1]));
    // Shard 1 is held by the first; the second now waits for it, holding shard 0 or waiting there too.
    net.settle();
    for id in 3..50 {
        net.start(fanout(id, (id % 2) as u16, &[0, 1]));
    }
    net.done();
    assert_eq!(net.outcomes.len(), 49);
    assert_eq!(net.log(0)[..2], net.log(1)[..2]);
}

#[test]
#[should_panic(expected = "which owes none")]
fn an_answer_that_nobody_awaits_panics() {
    let mut tx = Transaction::new(TxId(1), ShardId(0), Plan::Whole(2));
    tx.handle(ShardId(1), Notice::Locked);
}
