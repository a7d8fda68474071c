//! Histories written by hand: what must be accepted, and each anomaly by its name in the books.

mod random;

use super::*;

const X: Key = 1;
const Y: Key = 2;
const Z: Key = 3;

/// An operation that was sent and answered at these times.
fn op(invoked: u64, returned: u64) -> Op {
    Op { client: 0, invoked, returned: Some(returned), fate: Fate::Done, accesses: Vec::new() }
}

impl Op {
    fn with(mut self, access: Access) -> Self {
        self.accesses.push(access);
        self
    }

    fn append(self, key: Key, value: Value) -> Self {
        self.with(Access::Append(key, value))
    }

    fn list(self, key: Key, seen: &[Value]) -> Self {
        self.with(Access::List(key, seen.to_vec()))
    }

    fn set(self, key: Key, value: Value) -> Self {
        self.with(Access::Set(key, value))
    }

    fn get(self, key: Key, seen: Value) -> Self {
        self.with(Access::Get(key, Some(seen)))
    }

    fn get_nil(self, key: Key) -> Self {
        self.with(Access::Get(key, None))
    }

    fn unknown(self) -> Self {
        Self { returned: None, fate: Fate::Unknown, ..self }
    }

    fn failed(self) -> Self {
        Self { fate: Fate::Failed, ..self }
    }
}

fn history(ops: &[Op]) -> History {
    History { ops: ops.to_vec(), promised: Vec::new() }
}

/// The names of all that is found.
fn check_promised(ops: &[Op], promised: &[(usize, usize)], expected: &[&str]) {
    let history = History { ops: ops.to_vec(), promised: promised.to_vec() };
    let verdict = check(&history);
    let names: Vec<&str> = verdict.anomalies.iter().map(Anomaly::name).collect();
    assert_eq!(names, expected, "{}", verdict.explain(&history));
}

fn accepts(ops: &[Op]) {
    check_promised(ops, &[], &[]);
}

fn finds(ops: &[Op], expected: &[&str]) {
    check_promised(ops, &[], expected);
}

/// The operations of the only cycle, whichever comes first.
fn cycle_of(ops: &[Op]) -> Vec<usize> {
    let verdict = check(&history(ops));
    let [Anomaly::Cycle(steps)] = verdict.anomalies.as_slice() else { panic!("{:?}", verdict.anomalies) };
    let mut ops: Vec<usize> = steps.iter().map(|step| step.op).collect();
    ops.sort_unstable();
    ops
}

#[test]
fn honest_lists() {
    accepts(&[]);
    accepts(&[
        op(0, 10).append(X, 1).append(Y, 1),
        op(0, 10).append(X, 2),
        op(5, 7).list(X, &[]).list(Y, &[]),
        op(11, 12).list(X, &[1, 2]).list(Y, &[1]).append(Y, 3).list(Y, &[1, 3]),
        op(13, 14).list(X, &[1, 2]).list(Y, &[1, 3]),
    ]);
}

#[test]
fn honest_registers() {
    accepts(&[
        op(0, 10).set(X, 1).set(Y, 1),
        op(0, 10).set(X, 2),
        op(1, 9).get_nil(X).get_nil(Y),
        op(1, 9).get(X, 2).get_nil(Y),
        op(11, 12).get(X, 1).set(X, 3).get(X, 3),
        op(13, 14).get(X, 3).get(Y, 1),
    ]);
}

#[test]
fn operations_that_overlap_in_time_may_take_either_order() {
    accepts(&[op(0, 10).append(X, 1), op(1, 2).list(X, &[1]), op(3, 4).list(X, &[1])]);
    accepts(&[op(0, 10).append(X, 1), op(1, 2).list(X, &[]), op(3, 4).list(X, &[1])]);
    accepts(&[op(0, 10).set(X, 1), op(1, 2).get(X, 1), op(3, 4).get(X, 1)]);
    accepts(&[op(0, 10).set(X, 1), op(0, 10).set(X, 2), op(1, 2).get(X, 2), op(3, 4).get(X, 1)]);
}

#[test]
fn what_is_unanswered_may_have_happened_or_not() {
    let half = op(0, 9).append(X, 1).append(Y, 1).unknown();
    accepts(&[half.clone(), op(10, 11).list(X, &[]).list(Y, &[])]);
    accepts(&[half.clone(), op(10, 11).list(X, &[1]).list(Y, &[1])]);
    accepts(&[half.clone(), op(10, 11).list(X, &[]), op(12, 13).list(X, &[1])]);
    finds(&[half, op(10, 11).list(X, &[1]).list(Y, &[])], &["G-single (read skew)"]);
    let half = op(0, 9).set(X, 1).set(Y, 1).unknown();
    accepts(&[half.clone(), op(10, 11).get_nil(X).get_nil(Y)]);
    accepts(&[half.clone(), op(10, 11).get(X, 1).get(Y, 1)]);
    finds(&[half, op(10, 11).get(X, 1).get_nil(Y)], &["G-single (read skew)"]);
    // What it saw does not count, what it did does.
    accepts(&[
        op(0, 1).append(X, 1),
        op(2, 3).list(X, &[]).append(X, 2).unknown(),
        op(4, 5).list(X, &[1, 2]),
    ]);
    let late = [op(0, 1).append(X, 1), op(2, 3).append(X, 2).unknown(), op(4, 5).list(X, &[2, 1])];
    finds(&late, &["G0-realtime"]);
}

#[test]
fn g0_dirty_write() {
    let writes = [op(0, 9).append(X, 1).append(Y, 1), op(0, 9).append(X, 2).append(Y, 2)];
    let read = op(0, 9).list(X, &[1, 2]).list(Y, &[2, 1]);
    finds(&[writes[0].clone(), writes[1].clone(), read], &["G0 (dirty write)"]);
    let ops = [
        op(0, 9).set(X, 1).set(Y, 1),
        op(0, 9).set(X, 2).set(Y, 2),
        op(10, 11).get(X, 1).set(X, 3),
        op(10, 11).get(Y, 2).set(Y, 3),
        op(12, 13).get(X, 3).get(Y, 3),
    ];
    finds(&ops, &["G0 (dirty write)"]);
}

#[test]
fn g1a_aborted_read() {
    finds(&[op(0, 1).append(X, 1).failed(), op(2, 3).list(X, &[1])], &["G1a (aborted read)"]);
    finds(&[op(0, 1).set(X, 1).failed(), op(2, 3).get(X, 1)], &["G1a (aborted read)"]);
    accepts(&[op(0, 1).append(X, 1).failed(), op(2, 3).list(X, &[])]);
}

#[test]
fn g1b_intermediate_read() {
    let twice = op(0, 9).append(X, 1).append(X, 2);
    let named = ["G1b (intermediate read)", "G-single (read skew)"];
    // The reader comes after who appended the first, and before who appended the second: the same.
    finds(&[twice.clone(), op(0, 9).list(X, &[1]), op(10, 11).list(X, &[1, 2])], &named);
    accepts(&[twice, op(10, 11).list(X, &[1, 2])]);
    let twice = op(0, 9).set(X, 1).set(X, 2);
    finds(&[twice.clone(), op(0, 9).get(X, 1)], &["G1b (intermediate read)"]);
    accepts(&[twice, op(10, 11).get(X, 2)]);
}

#[test]
fn g1c_circular_information() {
    let ops = [op(0, 9).append(X, 1).list(Y, &[1]), op(0, 9).append(Y, 1).list(X, &[1])];
    finds(&ops, &["G1c (circular information)"]);
    let ops = [op(0, 9).set(X, 1).get(Y, 1), op(0, 9).set(Y, 1).get(X, 1)];
    finds(&ops, &["G1c (circular information)"]);
}

#[test]
fn g_single_half_visible() {
    let ops = [op(0, 9).append(X, 1).append(Y, 1), op(0, 9).list(X, &[1]).list(Y, &[])];
    finds(&ops, &["G-single (read skew)"]);
    assert_eq!(cycle_of(&ops), [0, 1]);
    let ops = [op(0, 9).set(X, 1).set(Y, 1), op(10, 19).set(X, 2).set(Y, 2), op(10, 19).get(X, 2).get(Y, 1)];
    finds(&ops, &["G-single (read skew)"]);
}

#[test]
fn g2_write_skew_and_long_fork() {
    let ops = [
        op(0, 9).list(X, &[]).list(Y, &[]).append(X, 1),
        op(0, 9).list(X, &[]).list(Y, &[]).append(Y, 1),
        op(10, 11).list(X, &[1]).list(Y, &[1]),
    ];
    finds(&ops, &["G2 (write skew)"]);
    let ops = [
        op(0, 9).append(X, 1),
        op(0, 9).append(Y, 1),
        op(0, 9).list(X, &[1]).list(Y, &[]),
        op(0, 9).list(X, &[]).list(Y, &[1]),
    ];
    finds(&ops, &["G2 (write skew)"]);
    assert_eq!(cycle_of(&ops), [0, 1, 2, 3]);
    let ops = [op(0, 9).get_nil(X).get_nil(Y).set(X, 1), op(0, 9).get_nil(X).get_nil(Y).set(Y, 1)];
    finds(&ops, &["G2 (write skew)"]);
}

#[test]
fn lost_update_when_two_read_the_same_and_both_write() {
    let ops =
        [op(0, 9).list(X, &[]).append(X, 1), op(0, 9).list(X, &[]).append(X, 2), op(10, 11).list(X, &[1, 2])];
    finds(&ops, &["lost update"]);
    let ops = [op(0, 1).set(X, 1), op(2, 9).get(X, 1).set(X, 2), op(2, 9).get(X, 1).set(X, 3)];
    let history = history(&ops);
    assert_eq!(check(&history).anomalies[0], Anomaly::LostUpdate { ops: [1, 2], key: X });
}

#[test]
fn lost_append_although_it_was_acknowledged() {
    let ops = [op(0, 1).append(X, 1), op(0, 1).append(X, 2), op(2, 3).list(X, &[2])];
    let history = history(&ops);
    let lost = Anomaly::Lost { op: 0, key: X, value: 1, reader: 2 };
    assert_eq!(check(&history).anomalies[0], lost);
    accepts(&[op(0, 4).append(X, 1), op(0, 1).append(X, 2), op(2, 3).list(X, &[2])]);
}

#[test]
fn stale_reads_take_time_to_see() {
    finds(&[op(0, 1).append(X, 1), op(2, 3).list(X, &[]), op(4, 5).list(X, &[1])], &["G-single-realtime"]);
    finds(&[op(0, 1).set(X, 1), op(2, 3).get_nil(X)], &["G-single-realtime"]);
    finds(&[op(0, 1).set(X, 1), op(2, 3).set(X, 2), op(4, 5).get(X, 1)], &["cyclic versions"]);
    let ops = [op(0, 9).set(X, 1), op(0, 9).set(X, 2), op(10, 11).get(X, 1), op(12, 13).get(X, 2)];
    finds(&ops, &["cyclic versions"]);
}

#[test]
fn from_the_future() {
    finds(&[op(2, 3).append(X, 1), op(0, 1).list(X, &[1])], &["G1c-realtime"]);
    finds(&[op(2, 3).set(X, 1), op(0, 1).get(X, 1)], &["G1c-realtime"]);
    let ops = [op(2, 3).append(X, 1), op(0, 1).append(X, 2), op(4, 5).list(X, &[1, 2])];
    finds(&ops, &["G0-realtime"]);
}

#[test]
fn g2_realtime_across_a_chain_of_answers() {
    // Serializable, but not strictly: the second write was sent after the first was answered.
    let ops = [op(0, 1).append(X, 1), op(2, 3).append(Y, 1), op(0, 9).list(X, &[]).list(Y, &[1])];
    let with_end = [ops.to_vec(), vec![op(10, 11).list(X, &[1])]].concat();
    finds(&with_end, &["G-single-realtime"]);
    let ops = [
        op(0, 9).append(X, 1),
        op(0, 1).list(X, &[1]).list(Y, &[]),
        op(2, 3).append(Y, 1),
        op(4, 5).append(Z, 1),
        op(2, 9).list(Z, &[1]).list(X, &[]).list(Y, &[]),
        op(10, 11).list(X, &[1]).list(Y, &[1]).list(Z, &[1]),
    ];
    let verdict = check(&history(&ops));
    assert_eq!(verdict.anomalies.len(), 1);
    assert!(verdict.anomalies[0].name().ends_with("-realtime"), "{:?}", verdict.anomalies);
}

#[test]
fn a_pipeline_out_of_order() {
    let ops = [op(0, 9).append(X, 1), op(0, 9).list(X, &[]), op(10, 11).list(X, &[1])];
    accepts(&ops);
    check_promised(&ops, &[(0, 1)], &["G-single-pipeline"]);
    let ops = [op(0, 9).set(X, 1), op(0, 9).get_nil(X)];
    check_promised(&ops, &[(0, 1)], &["G-single-pipeline"]);
    let ops = [op(0, 9).append(X, 1), op(0, 9).list(X, &[1])];
    check_promised(&ops, &[(1, 0)], &["G1c-pipeline"]);
    let ops = [op(0, 9).append(X, 1), op(0, 9).append(X, 2), op(10, 11).list(X, &[2, 1])];
    check_promised(&ops, &[(0, 1)], &["G0-pipeline"]);
}

#[test]
fn internal_inconsistency() {
    finds(&[op(0, 1).append(X, 1).list(X, &[])], &["internal inconsistency"]);
    let ops = [op(0, 9).append(X, 1), op(0, 9).list(X, &[]).list(X, &[1])];
    finds(&ops, &["internal inconsistency"]);
    finds(&[op(0, 1).set(X, 1).get_nil(X)], &["internal inconsistency"]);
    let ops = [op(0, 9).set(X, 1), op(0, 9).get_nil(X).get(X, 1)];
    finds(&ops, &["internal inconsistency"]);
}

#[test]
fn values_from_nowhere_and_twice() {
    finds(&[op(0, 1).append(X, 1), op(2, 3).list(X, &[1, 7])], &["invented value"]);
    finds(&[op(0, 1).append(X, 1), op(2, 3).list(X, &[1, 1])], &["duplicate"]);
    finds(&[op(0, 1).append(X, 1), op(2, 3).list(X, &[1]).list(Y, &[1])], &["invented value"]);
    finds(&[op(0, 1).get(X, 1)], &["invented value"]);
}

#[test]
fn incompatible_orders() {
    let writes = [op(0, 9).append(X, 1), op(0, 9).append(X, 2), op(10, 11).list(X, &[1, 2])];
    for seen in [&[2][..], &[2, 1]] {
        let ops = [writes.to_vec(), vec![op(10, 11).list(X, seen)]].concat();
        finds(&ops, &["incompatible order"]);
    }
}

#[test]
fn time_on_one_key_tells_the_order_of_another() {
    // Nobody overwrote what he had read: only time says that 1 came before 2 in X, and after it in Y.
    let ops = [
        op(0, 100).set(X, 1).set(Y, 1),
        op(0, 100).set(X, 2).set(Y, 2),
        op(10, 11).get(X, 1),
        op(12, 13).get(X, 2),
        op(14, 15).get(Y, 2),
        op(16, 17).get(Y, 1),
    ];
    finds(&ops, &["G0 (dirty write)"]);
    assert_eq!(cycle_of(&ops), [0, 1]);
}

#[test]
#[should_panic(expected = "nothing can be told")]
fn a_value_written_twice_is_no_history() {
    check(&history(&[op(0, 1).append(X, 1), op(2, 3).append(X, 1)]));
}

#[test]
#[should_panic(expected = "both a list and a register")]
fn a_key_of_two_kinds_is_no_history() {
    check(&history(&[op(0, 1).append(X, 1), op(2, 3).set(X, 2)]));
}

#[test]
fn a_cycle_is_told_in_words() {
    let ops = [
        op(0, 1_500_000).append(X, 1),
        op(2_000_000, 3_000_000).list(X, &[]),
        op(4_000_000, 5_000_000).list(X, &[1]),
    ];
    let history = history(&ops);
    let expected = "\
G-single-realtime
  op 0: client 0, 0.000000 ms to 1.500000 ms: appends 1 to key 1
  op 1: client 0, 2.000000 ms to 3.000000 ms: sees key 1 = []
  op 0 before op 1: time, answered at 1.500000 ms and sent at 2.000000 ms
  op 1 before op 0: rw, op 1 did not yet see what op 0 wrote to key 1
  so op 0 would come before itself
";
    assert_eq!(check(&history).explain(&history), expected);
}
