//! Histories written by hand: what the checker must accept, and planted anomalies, each by its name in the books.

use super::*;
use crate::history::Op;

const X: Key = 1;
const Y: Key = 2;

/// An operation that was sent and answered at these times.
fn op(invoked: u64, returned: u64) -> Op {
    Op { invoked, returned: Some(returned), fate: Fate::Done, reads: vec![], appends: vec![], after: vec![] }
}

impl Op {
    fn reads(mut self, key: Key, list: &[Value]) -> Self {
        self.reads.push((key, list.to_vec()));
        self
    }

    fn appends(mut self, key: Key, value: Value) -> Self {
        self.appends.push((key, value));
        self
    }

    fn after(mut self, earlier: usize) -> Self {
        self.after.push(earlier);
        self
    }

    fn unanswered(self) -> Self {
        Self { returned: None, fate: Fate::Unknown, ..self }
    }

    fn cancelled(self) -> Self {
        Self { fate: Fate::Never, ..self }
    }
}

fn verdict(ops: &[Op], last: &[(Key, &[Value])]) -> Result<(), Anomaly> {
    check(&History {
        ops: ops.to_vec(),
        last: last.iter().map(|(key, list)| (*key, list.to_vec())).collect(),
    })
}

/// The operations and edges of the cycle that is found; the operations must be `ops`, whichever comes first.
fn assert_cycle(found: Result<(), Anomaly>, ops: &[usize], edges: &[Edge]) {
    let Err(Anomaly::Cycle(cycle)) = &found else { panic!("no cycle: {found:?}") };
    let mut on_it: Vec<usize> = cycle.iter().map(|step| step.0).collect();
    on_it.sort_unstable();
    assert_eq!(on_it, ops, "{}", found.as_ref().unwrap_err());
    for edge in edges {
        assert!(cycle.iter().any(|step| step.1 == *edge), "no {edge:?} in {}", found.as_ref().unwrap_err());
    }
}

#[test]
fn honest_histories_pass() {
    assert_eq!(verdict(&[], &[]), Ok(()));
    let ops = [
        op(0, 10).appends(X, 1).appends(Y, 1),
        op(0, 10).appends(X, 2),
        op(5, 7).reads(X, &[]).reads(Y, &[]),
        op(11, 12).reads(X, &[1, 2]).reads(Y, &[1]).appends(Y, 3),
    ];
    assert_eq!(verdict(&ops, &[(X, &[1, 2]), (Y, &[1, 3])]), Ok(()));
}

#[test]
fn operations_that_overlap_in_time_may_take_either_order() {
    let ops = [op(0, 10).appends(X, 1), op(1, 2).reads(X, &[1]), op(3, 4).reads(X, &[1])];
    assert_eq!(verdict(&ops, &[(X, &[1])]), Ok(()));
    let ops = [op(0, 10).appends(X, 1), op(1, 2).reads(X, &[]), op(3, 4).reads(X, &[1])];
    assert_eq!(verdict(&ops, &[(X, &[1])]), Ok(()));
}

#[test]
fn lost_update_when_the_append_is_gone() {
    let ops = [op(0, 1).appends(X, 1), op(0, 1).appends(X, 2)];
    assert_eq!(verdict(&ops, &[(X, &[2])]), Err(Anomaly::Lost { op: 0, key: X }));
}

#[test]
fn lost_update_when_two_read_the_same_and_both_append() {
    let ops = [op(0, 9).reads(X, &[]).appends(X, 1), op(0, 9).reads(X, &[]).appends(X, 2)];
    assert_cycle(verdict(&ops, &[(X, &[1, 2])]), &[0, 1], &[Edge::Rw(X), Edge::Ww(X)]);
}

#[test]
fn half_visible_mset() {
    let ops = [op(0, 9).appends(X, 1).appends(Y, 1), op(0, 9).reads(X, &[1]).reads(Y, &[])];
    assert_cycle(verdict(&ops, &[(X, &[1]), (Y, &[1])]), &[0, 1], &[Edge::Wr(X), Edge::Rw(Y)]);
}

#[test]
fn two_msets_in_different_orders_on_two_keys() {
    let ops = [op(0, 9).appends(X, 1).appends(Y, 1), op(0, 9).appends(X, 2).appends(Y, 2)];
    assert_cycle(verdict(&ops, &[(X, &[1, 2]), (Y, &[2, 1])]), &[0, 1], &[Edge::Ww(X), Edge::Ww(Y)]);
}

#[test]
fn half_of_an_unanswered_mset_left_behind() {
    let ops = [op(0, 9).appends(X, 1).appends(Y, 1).unanswered()];
    assert_eq!(verdict(&ops, &[(X, &[1])]), Err(Anomaly::Half { op: 0 }));
    assert_eq!(verdict(&ops, &[]), Ok(()));
    assert_eq!(verdict(&ops, &[(X, &[1]), (Y, &[1])]), Ok(()));
}

#[test]
fn stale_read() {
    let ops = [op(0, 1).appends(X, 1), op(2, 3).reads(X, &[])];
    assert_cycle(verdict(&ops, &[(X, &[1])]), &[0, 1], &[Edge::Time, Edge::Rw(X)]);
}

#[test]
fn stale_read_across_a_chain_of_answers() {
    let ops =
        [op(0, 1).appends(X, 1), op(2, 3).appends(Y, 1), op(4, 5).reads(Y, &[1]), op(6, 7).reads(X, &[])];
    assert_cycle(verdict(&ops, &[(X, &[1]), (Y, &[1])]), &[0, 3], &[Edge::Time]);
}

#[test]
fn time_runs_backwards_between_two_keys() {
    // Serializable, but not strictly: the second write was sent after the first was answered.
    let ops = [op(0, 1).appends(X, 1), op(2, 3).appends(Y, 1), op(0, 9).reads(X, &[]).reads(Y, &[1])];
    assert_cycle(verdict(&ops, &[(X, &[1]), (Y, &[1])]), &[0, 1, 2], &[Edge::Time, Edge::Wr(Y), Edge::Rw(X)]);
}

#[test]
fn write_skew() {
    let ops = [
        op(0, 9).reads(X, &[]).reads(Y, &[]).appends(X, 1),
        op(0, 9).reads(X, &[]).reads(Y, &[]).appends(Y, 1),
    ];
    assert_cycle(verdict(&ops, &[(X, &[1]), (Y, &[1])]), &[0, 1], &[Edge::Rw(X), Edge::Rw(Y)]);
}

#[test]
fn long_fork() {
    let ops = [
        op(0, 9).appends(X, 1),
        op(0, 9).appends(Y, 1),
        op(0, 9).reads(X, &[1]).reads(Y, &[]),
        op(0, 9).reads(X, &[]).reads(Y, &[1]),
    ];
    assert_cycle(verdict(&ops, &[(X, &[1]), (Y, &[1])]), &[0, 1, 2, 3], &[]);
}

#[test]
fn a_pipeline_out_of_order() {
    let ops = [op(0, 9).appends(X, 1), op(0, 9).reads(X, &[])];
    assert_eq!(verdict(&ops, &[(X, &[1])]), Ok(()));
    let ops = [op(0, 9).appends(X, 1), op(0, 9).reads(X, &[]).after(0)];
    assert_cycle(verdict(&ops, &[(X, &[1])]), &[0, 1], &[Edge::Pipeline, Edge::Rw(X)]);
}

#[test]
fn values_from_nowhere_twice_or_from_the_cancelled() {
    let one = [op(0, 1).appends(X, 1)];
    assert_eq!(verdict(&one, &[(X, &[1, 7])]), Err(Anomaly::Invented { key: X, value: 7 }));
    assert_eq!(verdict(&one, &[(X, &[1, 1])]), Err(Anomaly::Invented { key: X, value: 1 }));
    assert_eq!(verdict(&one, &[(X, &[1]), (Y, &[1])]), Err(Anomaly::Invented { key: Y, value: 1 }));
    let ops = [op(0, 1).appends(X, 1).cancelled()];
    assert_eq!(verdict(&ops, &[(X, &[1])]), Err(Anomaly::Undead { op: 0, key: X }));
    assert_eq!(verdict(&ops, &[]), Ok(()));
}

#[test]
fn reads_that_saw_another_order_or_what_is_gone() {
    let writes = [op(0, 9).appends(X, 1), op(0, 9).appends(X, 2)];
    for seen in [&[2][..], &[2, 1], &[1, 2, 3]] {
        let ops = [writes[0].clone(), writes[1].clone(), op(0, 9).reads(X, seen)];
        assert_eq!(verdict(&ops, &[(X, &[1, 2])]), Err(Anomaly::NoPrefix { op: 2, key: X }));
    }
}

#[test]
fn what_an_unanswered_operation_saw_does_not_count_but_what_it_did_does() {
    let ops = [op(0, 1).appends(X, 1), op(2, 3).reads(X, &[]).appends(X, 2).unanswered()];
    assert_eq!(verdict(&ops, &[(X, &[1, 2])]), Ok(()));
    let ops = [op(0, 1).appends(X, 1), op(2, 3).appends(X, 2).unanswered()];
    assert_cycle(verdict(&ops, &[(X, &[2, 1])]), &[0, 1], &[Edge::Time, Edge::Ww(X)]);
}
