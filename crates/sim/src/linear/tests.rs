//! Histories of a queue: what is possible is accepted, and what is not is refused.

use std::collections::VecDeque;

use super::*;
use crate::between;
use stdx::rng::Rng;

/// A queue of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Queue(VecDeque<u32>);

#[derive(Clone, Debug)]
enum Op {
    Push(u32),
    /// And what it gave; of an unanswered one that does not count.
    Pop(Option<u32>),
    /// Everything.
    Look(Vec<u32>),
}

impl Model for Queue {
    type Op = Op;

    fn step(&self, call: &Call<Op>, next: &mut Vec<Self>) {
        let mut queue = self.clone();
        let fits = match &call.op {
            Op::Push(value) => {
                queue.0.push_back(*value);
                true
            }
            Op::Pop(answer) => queue.0.pop_front() == *answer || call.returned.is_none(),
            Op::Look(answer) => queue.0 == *answer,
        };
        if fits {
            next.push(queue);
        }
    }

    fn is_read(op: &Op) -> bool {
        matches!(op, Look(_))
    }
}

fn call(invoked: u64, returned: u64, op: Op) -> Call<Op> {
    Call { client: 0, invoked, returned: Some(returned), after: Vec::new(), op }
}

fn unanswered(invoked: u64, op: Op) -> Call<Op> {
    Call { returned: None, ..call(invoked, 0, op) }
}

fn is_possible(history: &[Call<Op>]) -> bool {
    check(Queue::default(), history).is_ok()
}

use Op::{Look, Pop, Push};

#[test]
fn first_in_first_out() {
    assert!(is_possible(&[]));
    assert!(is_possible(&[call(0, 1, Push(1)), call(2, 3, Push(2)), call(4, 5, Pop(Some(1)))]));
    assert!(!is_possible(&[call(0, 1, Push(1)), call(2, 3, Push(2)), call(4, 5, Pop(Some(2)))]));
    assert!(!is_possible(&[call(0, 1, Push(1)), call(2, 3, Pop(None))]));
    assert!(!is_possible(&[call(0, 1, Push(1)), call(2, 3, Pop(Some(1))), call(4, 5, Pop(Some(1)))]));
}

#[test]
fn what_overlaps_takes_either_order() {
    let pushes = [call(0, 9, Push(1)), call(0, 9, Push(2))];
    for first in [1, 2] {
        let pops = [call(10, 11, Pop(Some(first))), call(12, 13, Pop(Some(3 - first)))];
        assert!(is_possible(&[pushes.as_slice(), &pops].concat()));
    }
    assert!(is_possible(&[call(0, 9, Push(1)), call(0, 2, Pop(None)), call(3, 4, Pop(Some(1)))]));
    assert!(!is_possible(&[call(0, 9, Push(1)), call(0, 2, Pop(Some(1))), call(3, 4, Pop(Some(1)))]));
}

#[test]
fn what_is_sent_when_another_is_answered_overlaps_it() {
    assert!(is_possible(&[call(0, 5, Push(1)), call(5, 6, Pop(None))]));
    assert!(!is_possible(&[call(0, 5, Push(1)), call(6, 7, Pop(None))]));
}

#[test]
fn an_unanswered_call_takes_effect_at_any_time_or_never() {
    let push = unanswered(0, Push(1));
    assert!(is_possible(&[push.clone(), call(1, 2, Pop(None)), call(3, 4, Pop(None))]));
    assert!(is_possible(&[push.clone(), call(1, 2, Pop(None)), call(3, 4, Pop(Some(1)))]));
    assert!(!is_possible(&[push, call(1, 2, Pop(Some(1))), call(3, 4, Pop(Some(1)))]));
    let pop = unanswered(2, Pop(None));
    assert!(is_possible(&[call(0, 1, Push(1)), pop.clone(), call(3, 4, Pop(None))]));
    assert!(is_possible(&[call(0, 1, Push(1)), pop, call(3, 4, Pop(Some(1)))]));
}

#[test]
fn a_promised_order_is_kept() {
    let after = |call: Call<Op>, other: usize| Call { after: vec![other], ..call };
    let ops = [call(0, 9, Push(1)), call(0, 9, Push(2)), call(10, 11, Pop(Some(2)))];
    assert!(is_possible(&ops));
    let [one, two, pop] = ops;
    assert!(!is_possible(&[one, after(two, 0), pop]));
    // Whoever comes after one that did not happen does not happen either.
    let ops = [unanswered(0, Push(1)), after(unanswered(0, Push(2)), 0), call(10, 11, Pop(Some(2)))];
    assert!(!is_possible(&ops));
}

#[test]
fn random_serial_histories_are_accepted_and_wrong_answers_refused() {
    let (mut refused, runs) = (0, 300);
    for seed in 0..runs {
        let mut rng = Rng::new(seed);
        let (mut queue, mut history) = (Queue::default(), Vec::new());
        let spread = between(&mut rng, 1, 25);
        for number in 0..100 {
            let point = 100 + 10 * number;
            let op = match rng.below(3) {
                0 => {
                    queue.0.push_back(number as u32);
                    Push(number as u32)
                }
                1 => Pop(queue.0.pop_front()),
                _ => Look(queue.0.iter().copied().collect()),
            };
            let (early, late) = (between(&mut rng, 1, spread), between(&mut rng, 1, spread));
            history.push(call(point - early, point + late, op));
        }
        assert!(is_possible(&history), "seed {seed}");
        let pops: Vec<usize> =
            (0..history.len()).filter(|&at| matches!(history[at].op, Pop(Some(_)))).collect();
        if let [first, .., last] = *pops.as_slice() {
            // Given twice.
            history[last].op = history[first].op.clone();
            assert!(!is_possible(&history), "seed {seed}: {first} again at {last}");
            refused += 1;
        }
    }
    assert!(refused > runs / 2);
}

#[test]
fn a_refusal_is_told_in_words() {
    let history =
        [call(0, 1_000_000, Push(1)), call(2_000_000, 3_000_000, Pop(None)), unanswered(2_500_000, Push(7))];
    let refused = check(Queue::default(), &history).expect_err("it was there");
    let expected = "\
a call that can have taken effect nowhere:
  call 1: client 0, 2.000000 ms to 3.000000 ms: Pop(None)
answered before it was sent, the last 1:
  call 0: client 0, 0.000000 ms to 1.000000 ms: Push(1)
unanswered when it was answered:
  call 2: client 0, 2.500000 ms to unanswered: Push(7)
states that were possible then:
  Queue([1])
all before it that touch its keys:
  call 0: client 0, 0.000000 ms to 1.000000 ms: Push(1)
  call 1: client 0, 2.000000 ms to 3.000000 ms: Pop(None)
";
    assert_eq!(explain(&refused, &history, |at| format!("{:?}", history[at].op)), expected);
}
