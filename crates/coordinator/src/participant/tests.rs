use stdx::DbIndex;

use super::*;
use crate::locks::{KeyName, Mode, Scope};

type Shard = Participant<&'static str, &'static str>;

const KEYS: [KeyName; 2] =
    [KeyName { db: DbIndex(0), fingerprint: 1 }, KeyName { db: DbIndex(0), fingerprint: 2 }];

fn write(keys: &[KeyName]) -> Claim<'_> {
    Claim { scope: Scope::Keys(keys), mode: Mode::Exclusive }
}

/// All deeds, as short text.
fn deeds(shard: &mut Shard) -> Vec<String> {
    std::iter::from_fn(|| shard.poll())
        .map(|deed| match deed {
            Deed::Command(name) => name.to_string(),
            Deed::Long(tx, name) => format!("long {} {name}", tx.0),
            Deed::Perform { tx, act, part } => format!("{act:?} {} {part}", tx.0),
            Deed::Answer { tx, notice, part } => format!("{notice:?} {} {part}", tx.0),
        })
        .collect()
}

fn admit(shard: &mut Shard, origin: u64, name: &'static str) -> Admission {
    shard.admit(ClientId(origin), write(&KEYS[..1]), || name)
}

#[test]
fn each_order_does_its_acts_in_order() {
    let check = |orders: &[Order], want: &[&str], idle: bool| {
        let mut shard = Shard::default();
        for &order in orders {
            shard.order(TxId(1), order, write(&KEYS), "p");
        }
        assert_eq!(deeds(&mut shard), want, "{orders:?}");
        assert_eq!(shard.is_idle(), idle, "{orders:?}");
    };
    check(&[Order::TRY_LOCK], &["Locked 1 p"], false);
    check(&[Order::LOCK], &["Locked 1 p"], false);
    check(&[Order::TRY_LOCK, Order::RELEASE], &["Locked 1 p"], true);
    check(&[Order::TRY_LOCK, Order::RUN_RELEASE], &["Locked 1 p", "Run 1 p"], true);
    check(&[Order::TRY_LOCK_RUN_RELEASE], &["Run 1 p"], true);
    check(&[Order::LOCK_RUN_RELEASE], &["Run 1 p"], true);
    check(&[Order::TRY_LOCK_LEND], &["Lend 1 p"], false);
    check(&[Order::LOCK_LEND, Order::RETURN_RELEASE], &["Lend 1 p", "Return 1 p"], true);
    check(&[Order::RUN], &["Run 1 p"], true);
    check(&[Order::LOCK, Order::ABANDON], &["Locked 1 p"], false);
    check(&[Order::ABANDON], &[], true);
}

#[test]
fn whoever_is_set_free_comes_after_what_sets_it_free() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::LOCK, write(&KEYS[..1]), "a");
    assert_eq!(admit(&mut shard, 7, "first"), Admission::Parked);
    shard.order(TxId(2), Order::LOCK_RUN_RELEASE, write(&KEYS), "b");
    assert_eq!(admit(&mut shard, 8, "second"), Admission::Parked);
    shard.order(TxId(3), Order::LOCK_LEND, write(&KEYS[1..]), "c");
    shard.order(TxId(4), Order::TRY_LOCK_LEND, write(&KEYS[1..]), "d");
    assert_eq!(deeds(&mut shard), ["Locked 1 a", "Refused 4 d"]);
    shard.order(TxId(1), Order::RUN_RELEASE, write(&[]), "e");
    assert_eq!(deeds(&mut shard), ["Run 1 e", "first", "Run 2 b", "second", "Lend 3 c"]);
    assert!(!shard.is_idle());
    shard.order(TxId(3), Order::RETURN_RELEASE, write(&[]), "f");
    assert_eq!(deeds(&mut shard), ["Return 3 f"]);
    assert!(shard.is_idle());
}

#[test]
fn a_command_that_comes_before_the_deeds_are_done_lines_up_behind_them() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::LOCK, write(&KEYS[..1]), "a");
    assert_eq!(admit(&mut shard, 7, "first"), Admission::Parked);
    assert_eq!(deeds(&mut shard), ["Locked 1 a"]);
    shard.order(TxId(1), Order::RUN_RELEASE, write(&[]), "b");
    // The table is idle by now, yet `first` has not been executed.
    assert!(!shard.is_idle());
    assert_eq!(admit(&mut shard, 7, "second"), Admission::Parked);
    assert_eq!(deeds(&mut shard), ["Run 1 b", "first", "second"]);
    assert_eq!(admit(&mut shard, 7, "third"), Admission::Run);
}

#[test]
fn giving_up_is_answered_with_the_part_that_waited() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::LOCK, write(&KEYS[..1]), "a");
    shard.order(TxId(2), Order::LOCK_RUN_RELEASE, write(&KEYS), "waits");
    shard.order(TxId(3), Order::LOCK, write(&KEYS[1..]), "behind");
    shard.order(TxId(2), Order::ABANDON, write(&[]), "");
    assert_eq!(deeds(&mut shard), ["Locked 1 a", "Abandoned 2 waits", "Locked 3 behind"]);
}

fn admit_long(shard: &mut Shard, (origin, tx): (u64, u64), name: &'static str) -> Admission {
    shard.admit_long((ClientId(origin), TxId(tx)), write(&KEYS[..1]), || name)
}

#[test]
fn a_parked_command_that_may_take_long_has_locks_until_it_is_over() {
    let mut shard = Shard::default();
    assert_eq!(admit_long(&mut shard, (7, 1), "free"), Admission::Run);
    assert!(shard.is_idle());
    shard.order(TxId(2), Order::LOCK, write(&KEYS[..1]), "a");
    assert_eq!(admit_long(&mut shard, (7, 3), "first"), Admission::Parked);
    assert_eq!(admit(&mut shard, 8, "second"), Admission::Parked);
    shard.order(TxId(2), Order::RELEASE, write(&[]), "");
    assert_eq!(deeds(&mut shard), ["Locked 2 a", "long 3 first"]);
    // Another key, but the same connection.
    assert_eq!(shard.admit(ClientId(7), write(&KEYS[1..]), || "third"), Admission::Parked);
    shard.release(TxId(3));
    assert_eq!(deeds(&mut shard), ["third", "second"]);
    assert!(shard.is_idle());
}

#[test]
fn a_command_that_takes_long_keeps_its_connections_commands_in_order() {
    let mut shard = Shard::default();
    assert_eq!(admit_long(&mut shard, (7, 1), "long"), Admission::Run);
    shard.hold((ClientId(7), TxId(1)), write(&KEYS[..1]));
    assert_eq!(shard.admit(ClientId(8), write(&KEYS[1..]), || "other"), Admission::Run);
    assert_eq!(shard.admit(ClientId(7), write(&KEYS[1..]), || "next"), Admission::Parked);
    shard.release(TxId(1));
    assert_eq!(deeds(&mut shard), ["next"]);
    assert!(shard.is_idle());
}

#[test]
fn a_command_that_may_take_long_lines_up_behind_the_deeds() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::TRY_LOCK_RUN_RELEASE, write(&KEYS[..1]), "a");
    assert_eq!(admit_long(&mut shard, (7, 2), "long"), Admission::Parked);
    assert_eq!(admit(&mut shard, 8, "next"), Admission::Parked);
    assert_eq!(deeds(&mut shard), ["Run 1 a", "long 2 long"]);
    shard.release(TxId(2));
    assert_eq!(deeds(&mut shard), ["next"]);
}

#[test]
fn parked_commands_are_taken_out_and_orders_stay() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::LOCK, write(&KEYS[..1]), "a");
    assert_eq!(admit(&mut shard, 7, "first"), Admission::Parked);
    assert_eq!(admit_long(&mut shard, (8, 2), "long"), Admission::Parked);
    shard.order(TxId(3), Order::LOCK, write(&KEYS), "b");
    assert_eq!(admit(&mut shard, 9, "kept"), Admission::Parked);
    assert_eq!(shard.admit(ClientId(7), write(&KEYS[1..]), || "behind"), Admission::Parked);
    let taken = shard.take_parked(|name| *name != "kept");
    assert_eq!(taken, ["first", "long", "behind"]);
    assert_eq!(deeds(&mut shard), ["Locked 1 a"]);
    shard.order(TxId(1), Order::RELEASE, write(&[]), "");
    shard.order(TxId(3), Order::RELEASE, write(&[]), "");
    assert_eq!(deeds(&mut shard), ["Locked 3 b", "kept"]);
    assert!(shard.is_idle());
}

#[test]
fn a_guard_keeps_those_waiting_who_came_after_it() {
    let reads = Claim { scope: Scope::Keys(&KEYS[..1]), mode: Mode::Shared };
    for waits in [false, true] {
        let mut shard = Shard::default();
        if waits {
            shard.order(TxId(1), Order::LOCK, write(&KEYS), "t");
            assert_eq!(deeds(&mut shard), ["Locked 1 t"]);
        }
        shard.guard(TxId(2), reads);
        assert_eq!(shard.may_run(ClientId(6), reads), !waits, "readers go on");
        assert_eq!(admit(&mut shard, 7, "writer"), Admission::Parked);
        assert!(deeds(&mut shard).is_empty());
        if waits {
            shard.release(TxId(1));
        }
        assert!(deeds(&mut shard).is_empty(), "it waits for the guard");
        assert!(shard.has_guards());
        shard.end_guard(TxId(2));
        assert!(!shard.has_guards());
        assert_eq!(deeds(&mut shard), ["writer"]);
        assert!(shard.is_idle());
    }
}

#[test]
fn a_guard_may_end_before_it_has_its_locks() {
    let mut shard = Shard::default();
    shard.order(TxId(1), Order::LOCK, write(&KEYS), "t");
    shard.guard(TxId(2), write(&KEYS[..1]));
    shard.order(TxId(3), Order::LOCK, write(&KEYS[..1]), "u");
    assert_eq!(deeds(&mut shard), ["Locked 1 t"]);
    shard.end_guard(TxId(2));
    assert!(deeds(&mut shard).is_empty());
    shard.release(TxId(1));
    assert_eq!(deeds(&mut shard), ["Locked 3 u"]);
    shard.release(TxId(3));
    assert!(shard.is_idle());
}
