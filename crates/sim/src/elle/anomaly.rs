//! What can be wrong with a history.

use super::graph::Why;
use super::history::{Key, Value};

/// Why a history is not strictly serializable. Operations are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A read shows a value that nobody wrote to this key.
    Invented {
        /// Who read it.
        op: usize,
        /// Where.
        key: Key,
        /// What.
        value: Value,
    },
    /// A list shows a value twice.
    Duplicate {
        /// Who read it.
        op: usize,
        /// Where.
        key: Key,
        /// What.
        value: Value,
    },
    /// G1a: a read shows what an operation wrote that was promised not to have taken effect.
    AbortedRead {
        /// Who read it.
        op: usize,
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// Who did not write it.
        writer: usize,
    },
    /// G1b: a read shows what its writer overwrote, or appended to, in the same operation.
    IntermediateRead {
        /// Who read it.
        op: usize,
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// Who wrote it, and more after it.
        writer: usize,
    },
    /// An operation does not see what it did itself, or reads a key twice and sees others between.
    Internal {
        /// Whose.
        op: usize,
        /// Where.
        key: Key,
    },
    /// Two reads of a list neither of which is a prefix of the other.
    IncompatibleOrder {
        /// The two readers.
        ops: [usize; 2],
        /// Where.
        key: Key,
    },
    /// An append was acknowledged, and a read that was sent later does not show it, nor does any other.
    Lost {
        /// Whose append.
        op: usize,
        /// Where.
        key: Key,
        /// Which.
        value: Value,
        /// Who read too little.
        reader: usize,
    },
    /// Two operations read the same version of a register, and both overwrote it.
    LostUpdate {
        /// The two.
        ops: [usize; 2],
        /// Where.
        key: Key,
    },
    /// A register showed a value, then another, then the first again.
    CyclicVersions {
        /// Where.
        key: Key,
        /// Pairs (before, after) of an operation and the version that it saw or wrote, in a circle of versions.
        steps: Vec<[(usize, Option<Value>); 2]>,
    },
    /// Operations each of which must come before the next, and the last before the first.
    Cycle(Vec<Step>),
}

/// A part of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// An operation.
    pub op: usize,
    /// Why it must come before the next of the cycle.
    pub why: Why,
}

impl Anomaly {
    /// What it is called: for cycles after Adya ("Weak Consistency", 1999), with `-realtime` if it takes time to see
    /// it, and `-pipeline` if it takes the promised order of a connection.
    pub fn name(&self) -> &'static str {
        match self {
            Anomaly::Invented { .. } => "invented value",
            Anomaly::Duplicate { .. } => "duplicate",
            Anomaly::AbortedRead { .. } => "G1a (aborted read)",
            Anomaly::IntermediateRead { .. } => "G1b (intermediate read)",
            Anomaly::Internal { .. } => "internal inconsistency",
            Anomaly::IncompatibleOrder { .. } => "incompatible order",
            Anomaly::Lost { .. } => "lost append",
            Anomaly::LostUpdate { .. } => "lost update",
            Anomaly::CyclicVersions { .. } => "cyclic versions",
            Anomaly::Cycle(steps) => name_of_cycle(steps),
        }
    }

    /// Simple ones weigh less.
    pub(super) fn weight(&self) -> usize {
        match self {
            Anomaly::Cycle(steps) => 100 + steps.len(),
            Anomaly::CyclicVersions { .. } => 50,
            Anomaly::IncompatibleOrder { .. } => 20,
            _ => 10,
        }
    }
}

fn name_of_cycle(steps: &[Step]) -> &'static str {
    let count = |is: fn(&Why) -> bool| steps.iter().filter(|step| is(&step.why)).count();
    let (wr, rw) = (count(|why| matches!(why, Why::Wr(_))), count(|why| matches!(why, Why::Rw(_))));
    let (time, pipeline) = (count(|why| *why == Why::Time), count(|why| *why == Why::Pipeline));
    let names = match (rw, wr) {
        (0, 0) => ["G0 (dirty write)", "G0-pipeline", "G0-realtime"],
        (0, _) => ["G1c (circular information)", "G1c-pipeline", "G1c-realtime"],
        (1, _) if is_lost_update(steps) => ["lost update"; 3],
        (1, _) => ["G-single (read skew)", "G-single-pipeline", "G-single-realtime"],
        _ => ["G2 (write skew)", "G2-pipeline", "G2-realtime"],
    };
    names[if time > 0 { 2 } else { usize::from(pipeline > 0) }]
}

/// Read what another overwrote, and then overwrote the other's.
fn is_lost_update(steps: &[Step]) -> bool {
    match steps {
        [Step { why: Why::Rw(read), .. }, Step { why: Why::Ww(written), .. }]
        | [Step { why: Why::Ww(written), .. }, Step { why: Why::Rw(read), .. }] => read == written,
        _ => false,
    }
}
