use std::collections::VecDeque;

use stdx::rng::Rng;

use super::*;

type Table = LockTable<&'static str>;

const X: KeyName = key(1);
const Y: KeyName = key(2);
const A: ClientId = ClientId(1);
const B: ClientId = ClientId(2);

const fn key(fingerprint: u64) -> KeyName {
    KeyName { db: DbIndex(0), fingerprint }
}

const fn read(keys: &[KeyName]) -> Claim<'_> {
    Claim { scope: Scope::Keys(keys), mode: Mode::Shared }
}

const fn write(keys: &[KeyName]) -> Claim<'_> {
    Claim { scope: Scope::Keys(keys), mode: Mode::Exclusive }
}

const READ_ALL: Claim<'_> = Claim { scope: Scope::Whole, mode: Mode::Shared };
const WRITE_ALL: Claim<'_> = Claim { scope: Scope::Whole, mode: Mode::Exclusive };

/// Those whom the release of transaction `tx` lets go, in order.
fn released(table: &mut Table, tx: u64) -> Vec<Ready<&'static str>> {
    let mut ready = VecDeque::new();
    table.release(TxId(tx), &mut ready);
    ready.into()
}

fn admit(table: &mut Table, origin: ClientId, claim: Claim<'_>, token: &'static str) -> Admission {
    table.admit(origin, claim, || token)
}

#[test]
fn who_may_hold_locks_together() {
    let check = |held: Claim<'_>, asked: Claim<'_>, want: bool| {
        let mut table = Table::default();
        assert!(table.try_lock(TxId(1), held));
        assert_eq!(table.try_lock(TxId(2), asked), want, "{asked:?} beside {held:?}");
        assert_eq!(table.len(), 1 + usize::from(want), "a refused try leaves nothing");
        let mut table = Table::default();
        assert!(table.try_lock(TxId(1), held));
        let want = if want { Admission::Run } else { Admission::Parked };
        assert_eq!(admit(&mut table, A, asked, ""), want, "{asked:?} beside {held:?}");
    };
    check(read(&[X]), read(&[X]), true);
    check(read(&[X]), write(&[X]), false);
    check(write(&[X]), read(&[X]), false);
    check(write(&[X]), write(&[X]), false);
    check(write(&[X]), write(&[Y]), true);
    check(write(&[X]), write(&[KeyName { db: DbIndex(1), ..X }]), true);
    check(write(&[X, Y]), read(&[key(3), Y]), false);
    check(READ_ALL, read(&[X]), true);
    check(READ_ALL, READ_ALL, true);
    check(READ_ALL, write(&[X]), false);
    check(read(&[X]), READ_ALL, true);
    check(write(&[X]), READ_ALL, false);
    check(WRITE_ALL, read(&[X]), false);
    check(WRITE_ALL, READ_ALL, false);
    check(read(&[X]), WRITE_ALL, false);
    check(WRITE_ALL, write(&[]), false);
}

#[test]
fn an_idle_table_runs_everything_and_records_nothing() {
    let mut table = Table::default();
    assert!(table.is_idle());
    assert_eq!(admit(&mut table, A, WRITE_ALL, "a"), Admission::Run);
    assert!(table.is_idle());
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert!(!table.is_idle());
    assert_eq!(admit(&mut table, A, write(&[Y]), "b"), Admission::Run);
    assert_eq!(released(&mut table, 1), []);
    assert!(table.is_idle());
}

#[test]
fn a_refused_try_leaves_nothing() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert!(!table.try_lock(TxId(2), write(&[Y, X])));
    assert!(table.try_lock(TxId(3), write(&[Y])), "the refused try had locked half of its keys");
}

#[test]
fn a_try_overtakes_nobody() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), read(&[X])));
    assert_eq!(table.lock(TxId(2), write(&[X]), "w"), Grant::Queued);
    assert!(!table.try_lock(TxId(3), read(&[X])), "a stream of readers would starve the writer");
    assert_eq!(admit(&mut table, A, read(&[X]), "r"), Admission::Parked);
    assert_eq!(released(&mut table, 1), [Ready::Locked(TxId(2), "w")]);
    assert_eq!(released(&mut table, 2), [Ready::Command("r")]);
    assert!(table.is_idle());
}

#[test]
fn parked_commands_go_in_their_order_and_past_each_other_up_to_the_next_transaction() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&[X])));
    for (origin, token) in [(A, "a"), (B, "b")] {
        assert_eq!(admit(&mut table, origin, write(&[X]), token), Admission::Parked);
    }
    assert_eq!(table.lock(TxId(2), write(&[X, Y]), "t"), Grant::Queued);
    assert_eq!(admit(&mut table, ClientId(3), write(&[Y]), "c"), Admission::Parked);
    let want = [Ready::Command("a"), Ready::Command("b"), Ready::Locked(TxId(2), "t")];
    assert_eq!(released(&mut table, 1), want);
    assert_eq!(released(&mut table, 2), [Ready::Command("c")]);
}

#[test]
fn a_connections_commands_keep_their_order_on_a_shard() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert_eq!(admit(&mut table, A, write(&[X]), "a1"), Admission::Parked);
    assert_eq!(admit(&mut table, A, write(&[Y]), "a2"), Admission::Parked, "Y is free, but a1 waits");
    assert_eq!(admit(&mut table, B, write(&[key(3)]), "b1"), Admission::Run);
    assert_eq!(admit(&mut table, B, write(&[Y]), "b2"), Admission::Parked, "a2 was there first");
    let want = [Ready::Command("a1"), Ready::Command("a2"), Ready::Command("b2")];
    assert_eq!(released(&mut table, 1), want);
    assert_eq!(admit(&mut table, A, write(&[Y]), "a3"), Admission::Run);
}

#[test]
fn a_whole_shard_waits_for_keys_and_keys_that_come_later_wait_for_it() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert_eq!(table.lock(TxId(2), WRITE_ALL, "all"), Grant::Queued);
    assert_eq!(admit(&mut table, A, write(&[Y]), "y"), Admission::Parked);
    assert_eq!(released(&mut table, 1), [Ready::Locked(TxId(2), "all")]);
    assert_eq!(table.lock(TxId(3), READ_ALL, "keys"), Grant::Queued);
    assert_eq!(released(&mut table, 2), [Ready::Command("y"), Ready::Locked(TxId(3), "keys")]);
    assert_eq!(admit(&mut table, A, read(&[Y]), ""), Admission::Run);
    assert_eq!(released(&mut table, 3), []);
    assert!(table.is_idle());
}

#[test]
fn a_reader_passes_a_waiting_whole_shard_reader() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert_eq!(table.lock(TxId(2), READ_ALL, "keys"), Grant::Queued);
    assert_eq!(admit(&mut table, A, read(&[Y]), ""), Admission::Run);
    assert_eq!(admit(&mut table, A, write(&[Y]), "w"), Admission::Parked);
}

#[test]
fn a_name_that_comes_twice_is_one_lock() {
    let mut table = Table::default();
    assert_eq!(table.lock(TxId(1), write(&[X, Y, X]), "t"), Grant::Granted("t"));
    assert_eq!(admit(&mut table, A, write(&[X, X]), "a"), Admission::Parked);
    assert_eq!(released(&mut table, 1), [Ready::Command("a")]);
    assert!(table.is_idle());
}

#[test]
fn very_many_keys_are_the_whole_shard() {
    let many: Vec<KeyName> = (100..=100 + CLAIM_KEYS_MAX as u64).map(key).collect();
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&many)));
    assert!(!table.try_lock(TxId(2), read(&[X])));
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), write(&many[1..])));
    assert!(table.try_lock(TxId(2), read(&[X])));
}

#[test]
fn who_gives_up_lets_those_behind_it_go() {
    let mut table = Table::default();
    let mut ready = VecDeque::new();
    assert!(table.try_lock(TxId(1), read(&[X])));
    assert_eq!(table.lock(TxId(2), write(&[X, Y]), "t"), Grant::Queued);
    assert_eq!(admit(&mut table, A, read(&[X]), "a"), Admission::Parked);
    assert_eq!(admit(&mut table, B, read(&[Y]), "b"), Admission::Parked);
    assert_eq!(table.abandon(TxId(1), &mut ready), None, "it holds its locks");
    assert_eq!(table.abandon(TxId(9), &mut ready), None, "nobody knows it");
    assert_eq!(table.abandon(TxId(2), &mut ready), Some("t"));
    ready.make_contiguous().sort_by_key(|one| format!("{one:?}"));
    assert_eq!(ready, [Ready::Command("a"), Ready::Command("b")]);
    assert_eq!(released(&mut table, 1), []);
    assert!(table.is_idle());
}

#[test]
fn giving_up_in_the_middle_of_a_queue_frees_nobody_early() {
    let mut table = Table::default();
    let mut ready = VecDeque::new();
    assert!(table.try_lock(TxId(1), write(&[X])));
    for tx in 2..=4 {
        assert_eq!(table.lock(TxId(tx), write(&[X]), "t"), Grant::Queued);
    }
    assert_eq!(table.abandon(TxId(3), &mut ready), Some("t"));
    assert_eq!(ready, []);
    assert_eq!(released(&mut table, 1), [Ready::Locked(TxId(2), "t")]);
    assert_eq!(released(&mut table, 2), [Ready::Locked(TxId(4), "t")]);
}

#[test]
#[should_panic(expected = "claims twice")]
fn one_transaction_claims_once() {
    let mut table = Table::default();
    table.try_lock(TxId(1), write(&[X]));
    table.try_lock(TxId(1), write(&[Y]));
}

#[test]
fn memory_of_a_crowd_is_given_back() {
    let mut table = Table::default();
    assert!(table.try_lock(TxId(1), WRITE_ALL));
    for origin in 0..5000 {
        assert_eq!(admit(&mut table, ClientId(origin), write(&[X]), "c"), Admission::Parked);
    }
    assert_eq!(released(&mut table, 1).len(), 5000);
    assert!(table.is_idle());
    assert_eq!(table.claims.capacity(), 0);
}

/// A claim in the model, in order of arrival.
#[derive(Debug)]
struct Modelled {
    number: u64,
    origin: Option<u64>,
    keys: Option<Vec<u64>>,
    mode: Mode,
    holds: bool,
}

impl Modelled {
    fn conflicts_with(&self, other: &Modelled) -> bool {
        let overlap = match (&self.keys, &other.keys) {
            (Some(mine), Some(theirs)) => mine.iter().any(|key| theirs.contains(key)),
            _ => true,
        };
        (overlap && (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive))
            || (self.origin.is_some() && self.origin == other.origin)
    }
}

/// Random claims against a list that is searched from front to back: nobody holds with or overtakes an earlier
/// claim that conflicts, nobody waits who conflicts with nobody ahead (but for the queue of the whole shard), and
/// when all have released, nobody is left.
#[test]
fn random_claims_obey_the_order_of_arrival() {
    for seed in 0..400 {
        run_model(seed);
    }
}

fn run_model(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut random = |bound: u64| rng.below(bound);
    let mut table: LockTable<u64> = LockTable::default();
    let mut model: Vec<Modelled> = Vec::new();
    let mut ready = VecDeque::new();
    let uses_whole = seed.is_multiple_of(2);
    for number in 0..120 {
        let keys: Vec<u64> = (0..1 + random(3)).map(|_| random(5)).collect();
        let is_whole = uses_whole && random(8) == 0;
        let names: Vec<KeyName> = keys.iter().copied().map(key).collect();
        let mode = if random(2) == 0 { Mode::Shared } else { Mode::Exclusive };
        let scope = if is_whole { Scope::Whole } else { Scope::Keys(&names) };
        let claim = Claim { scope, mode };
        let is_command = random(2) == 0;
        let mut new = Modelled {
            number,
            origin: is_command.then(|| random(4)),
            keys: (!is_whole).then_some(keys),
            mode,
            holds: false,
        };
        let is_free = !model.iter().any(|earlier| earlier.conflicts_with(&new));
        match (is_command, random(2)) {
            (true, _) => {
                let admission = table.admit(ClientId(new.origin.unwrap()), claim, || number);
                assert_eq!(admission == Admission::Run, is_free, "seed {seed}: {new:?} in {model:?}");
                if !is_free {
                    model.push(new);
                }
            }
            (false, 0) => {
                assert_eq!(table.try_lock(TxId(number), claim), is_free, "seed {seed}: {new:?} in {model:?}");
                if is_free {
                    new.holds = true;
                    model.push(new);
                }
            }
            (false, _) => {
                let grant = table.lock(TxId(number), claim, number);
                assert_eq!(grant == Grant::Granted(number), is_free, "seed {seed}: {new:?} in {model:?}");
                new.holds = is_free;
                model.push(new);
            }
        }
        let leaving: Vec<&Modelled> = model.iter().filter(|one| one.origin.is_none()).collect();
        if !leaving.is_empty() && random(3) == 0 {
            let one = leaving[random(leaving.len() as u64) as usize];
            let (tx, holds) = (one.number, one.holds);
            if holds {
                table.release(TxId(tx), &mut ready);
            } else {
                assert_eq!(table.abandon(TxId(tx), &mut ready), Some(tx));
            }
            model.retain(|one| one.number != tx);
            follow(seed, &mut model, &mut ready, uses_whole);
        }
        assert_eq!(table.len(), model.len());
    }
    while let Some(holder) = model.iter().find(|one| one.holds) {
        let tx = holder.number;
        table.release(TxId(tx), &mut ready);
        model.retain(|one| one.number != tx);
        follow(seed, &mut model, &mut ready, uses_whole);
    }
    assert!(model.is_empty(), "seed {seed}: left waiting: {model:?}");
    assert!(table.is_idle());
}

/// Lets go in the model whom the table let go, and checks that they might, and that nobody was forgotten.
fn follow(seed: u64, model: &mut Vec<Modelled>, ready: &mut VecDeque<Ready<u64>>, uses_whole: bool) {
    for one in ready.drain(..) {
        let (Ready::Command(number) | Ready::Locked(_, number)) = one;
        let at = model.iter().position(|one| one.number == number).expect("it waited");
        assert!(!model[at].holds);
        let ahead = model[..at].iter().find(|ahead| ahead.conflicts_with(&model[at]));
        assert!(ahead.is_none(), "seed {seed}: {:?} overtook {ahead:?}", model[at]);
        match one {
            Ready::Command(_) => drop(model.remove(at)),
            Ready::Locked(..) => model[at].holds = true,
        }
    }
    for (at, waiter) in model.iter().enumerate().filter(|one| !one.1.holds) {
        let is_blocked = model[..at].iter().any(|ahead| ahead.conflicts_with(waiter));
        assert!(is_blocked || uses_whole, "seed {seed}: {waiter:?} was forgotten");
    }
}

#[test]
fn a_view_shows_what_is_locked_and_what_is_awaited() {
    let mut table = Table::default();
    let view = table.view();
    let check = |held: Held, free: [bool; 2]| {
        assert_eq!((view.held(), [X, Y].map(|key| view.is_free(key))), (held, free));
    };
    check(Held::Nothing, [true, true]);
    assert!(table.try_lock(TxId(1), read(&[X])));
    check(Held::Keys, [false, true]);
    assert_eq!(table.lock(TxId(2), write(&[X, Y]), "2"), Grant::Queued);
    check(Held::Keys, [false, false]);
    assert_eq!(table.lock(TxId(3), READ_ALL, "3"), Grant::Queued);
    check(Held::Whole, [false, false]);
    assert_eq!(released(&mut table, 1), [Ready::Locked(TxId(2), "2")]);
    assert_eq!(released(&mut table, 2), [Ready::Locked(TxId(3), "3")]);
    check(Held::Whole, [false, false]);
    assert!(released(&mut table, 3).is_empty());
    check(Held::Nothing, [true, true]);
}

#[test]
fn a_view_outlives_the_memory_of_a_busy_table() {
    let mut table = Table::default();
    let view = table.view();
    for tx in 0..KEPT_CLAIMS_MAX as u64 + 10 {
        assert!(table.try_lock(TxId(tx), read(&[X])));
    }
    for tx in 0..KEPT_CLAIMS_MAX as u64 + 10 {
        assert!(!view.is_free(X));
        assert!(released(&mut table, tx).is_empty());
    }
    assert!(table.claims.is_empty(), "its memory is given back");
    assert!(table.try_lock(TxId(1), write(&[X])));
    assert_eq!((view.held(), view.is_free(X), view.is_free(Y)), (Held::Keys, false, true));
}
