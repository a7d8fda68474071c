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
