//! Whether the flows of a replica may go on where they stopped: all of them, or none.

use aof::{Generation, Lsn, NodeId};

/// Where a replica stands in its master's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Whose log.
    pub node: NodeId,
    /// Which generation.
    pub generation: Generation,
    /// What tells that generation from another with its number: a copy of the master that was put back begins the same numbers anew.
    pub birth: u64,
    /// By shard of that generation.
    pub lsns: Vec<Lsn>,
}

/// What a master still has of one generation of its log, in memory or in segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub generation: Generation,
    /// What tells it from another with its number.
    pub birth: u64,
    /// By shard: the first byte that is there, and where the log ends, so far or for good.
    pub ranges: Vec<(Lsn, Lsn)>,
}

/// What is known of a generation whose beginning is still there, whether or not the present one leads back to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Which.
    pub generation: Generation,
    /// What tells it from another with its number.
    pub birth: u64,
    /// By shard, where it ended, if another was begun behind that.
    pub ends: Option<Vec<Lsn>>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every flow goes on where it stands; these generations follow one another, the replica's first.
    Resume(Vec<Generation>),
    /// All is sent anew, for this reason.
    Full(WhyFull),
    /// The replica has more than this master ever wrote, or has kept: the master must not replace it unasked.
    Older(WhyOlder),
}

/// Why nothing is resumed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyFull {
    /// The replica has no position.
    #[error("the replica has nothing of this master's")]
    Nothing,
    /// It is of another node.
    #[error("the replica has the data of node {0}")]
    Other(NodeId),
    /// That generation, or one behind it, is no more.
    #[error("generation {0} of the log is no longer there")]
    Forgotten(Generation),
    /// One flow's next byte is no more.
    #[error("flow {flow} needs byte {needs} of generation {generation}, which begins at {begins}")]
    Behind {
        /// Which.
        flow: u16,
        /// In which generation.
        generation: Generation,
        /// What it needs.
        needs: Lsn,
        /// What there is.
        begins: Lsn,
    },
    /// Another number of flows than the generation has logs.
    #[error("the replica stands at {stands} places, and the generation has {logs} logs")]
    Count {
        /// Places.
        stands: usize,
        /// Logs.
        logs: usize,
    },
}

/// In what the replica is ahead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyOlder {
    /// It has more of a log than there is.
    #[error("flow {flow} has byte {has} of generation {generation}, which ends at {ends}")]
    Ahead {
        /// Which flow.
        flow: u16,
        /// In which generation.
        generation: Generation,
        /// Where the replica is.
        has: Lsn,
        /// Where the log ends.
        ends: Lsn,
    },
    /// It stands in a generation that is still to come.
    #[error("the replica has generation {has}, and the newest is {newest}")]
    Unborn {
        /// The replica's.
        has: Generation,
        /// The master's newest.
        newest: Generation,
    },
    /// It stands in another generation that had this number: the master was put back to a copy of before.
    #[error("the replica has another generation {0}, which this master has lost")]
    Another(Generation),
}

/// Decides. `kept` by rising generation, the last one the present; each is a continuation of the one before. `begun` are all that are known,
/// those too that lead nowhere any more.
pub fn decide(node: NodeId, kept: &[Kept], begun: &[Begun], stands: Option<&Stands>) -> Decision {
    let Some(stands) = stands else { return Decision::Full(WhyFull::Nothing) };
    if stands.node != node {
        return Decision::Full(WhyFull::Other(stands.node));
    }
    let newest = kept.last().map_or(Generation(0), |one| one.generation);
    if stands.generation > newest {
        return Decision::Older(WhyOlder::Unborn { has: stands.generation, newest });
    }
    let generation = stands.generation;
    if let Some(begun) = begun.iter().find(|begun| begun.generation == generation) {
        if begun.birth != stands.birth {
            return Decision::Older(WhyOlder::Another(generation));
        }
        if let Some(why) = begun.ends.as_ref().and_then(|ends| ahead(stands, ends.iter())) {
            return Decision::Older(why);
        }
    }
    let Some(first) = kept.iter().position(|one| one.generation == generation) else {
        return Decision::Full(WhyFull::Forgotten(generation));
    };
    let ranges = &kept[first].ranges;
    if ranges.len() != stands.lsns.len() {
        let (stands, logs) = (stands.lsns.len(), ranges.len());
        return Decision::Full(WhyFull::Count { stands, logs });
    }
    // Whoever is ahead anywhere has what this master lost, whatever else is forgotten.
    if let Some(why) = ahead(stands, ranges.iter().map(|(_, ends)| ends)) {
        return Decision::Older(why);
    }
    let mut flows = (0u16..).zip(ranges.iter().zip(&stands.lsns));
    if let Some((flow, ((begins, _), needs))) = flows.find(|(_, ((begins, _), needs))| *needs < begins) {
        return Decision::Full(WhyFull::Behind { flow, generation, needs: *needs, begins: *begins });
    }
    // What follows is needed from its first byte on.
    let cut = kept[first + 1..].iter().find(|one| one.ranges.iter().any(|(begins, _)| *begins > Lsn(0)));
    match cut {
        Some(one) => Decision::Full(WhyFull::Forgotten(one.generation)),
        None => Decision::Resume(kept[first..].iter().map(|one| one.generation).collect()),
    }
}

/// Where a replica has more of its generation than there is, which ends so.
fn ahead<'a>(stands: &Stands, ends: impl Iterator<Item = &'a Lsn>) -> Option<WhyOlder> {
    let mut flows = (0u16..).zip(ends.zip(&stands.lsns));
    let (flow, (ends, has)) = flows.find(|(_, (ends, has))| has > ends)?;
    Some(WhyOlder::Ahead { flow, generation: stands.generation, has: *has, ends: *ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 20]);

    fn kept(generation: u64, ranges: &[(u64, u64)]) -> Kept {
        let ranges = ranges.iter().map(|(from, to)| (Lsn(*from), Lsn(*to))).collect();
        Kept { generation: Generation(generation), birth: generation * 10, ranges }
    }

    fn stands(generation: u64, lsns: &[u64]) -> Stands {
        let lsns = lsns.iter().map(|lsn| Lsn(*lsn)).collect();
        Stands { node: NODE, generation: Generation(generation), birth: generation * 10, lsns }
    }

    fn begun(generation: u64, ends: &[u64]) -> Begun {
        let ends = ends.iter().map(|lsn| Lsn(*lsn)).collect();
        Begun { generation: Generation(generation), birth: generation * 10, ends: Some(ends) }
    }

    #[test]
    fn hazard_19_all_flows_resume_or_none() {
        let kept = [kept(3, &[(100, 500), (0, 900)]), kept(4, &[(0, 50), (0, 60), (0, 70)])];
        let begun = [begun(2, &[7, 9]), begun(3, &[500, 900]), Begun { ends: None, ..begun(4, &[]) }];
        let check = |at: Option<Stands>, expected: Decision| {
            assert_eq!(decide(NODE, &kept, &begun, at.as_ref()), expected, "{at:?}");
        };
        let resume = |generations: &[u64]| {
            Decision::Resume(generations.iter().map(|generation| Generation(*generation)).collect())
        };
        let full = Decision::Full;
        check(None, full(WhyFull::Nothing));
        check(Some(stands(4, &[0, 60, 1])), resume(&[4]));
        check(Some(stands(3, &[100, 0])), resume(&[3, 4]));
        check(Some(stands(3, &[500, 900])), resume(&[3, 4]));
        check(Some(stands(2, &[1, 1])), full(WhyFull::Forgotten(Generation(2))));
        check(Some(stands(4, &[1, 1])), full(WhyFull::Count { stands: 2, logs: 3 }));
        let behind = WhyFull::Behind { flow: 0, generation: Generation(3), needs: Lsn(99), begins: Lsn(100) };
        check(Some(stands(3, &[99, 900])), full(behind));
        let older = WhyOlder::Ahead { flow: 1, generation: Generation(3), has: Lsn(901), ends: Lsn(900) };
        check(Some(stands(3, &[99, 901])), Decision::Older(older));
        let unborn = WhyOlder::Unborn { has: Generation(5), newest: Generation(4) };
        check(Some(stands(5, &[0, 0, 0])), Decision::Older(unborn));
        let another = Stands { birth: 41, ..stands(4, &[0, 0, 0]) };
        check(Some(another), Decision::Older(WhyOlder::Another(Generation(4))));
        let older = WhyOlder::Ahead { flow: 1, generation: Generation(2), has: Lsn(10), ends: Lsn(9) };
        check(Some(stands(2, &[7, 10])), Decision::Older(older));
        let another = Stands { birth: 21, ..stands(2, &[0, 0]) };
        check(Some(another), Decision::Older(WhyOlder::Another(Generation(2))));
        let other = NodeId([2; 20]);
        check(Some(Stands { node: other, ..stands(4, &[0, 0, 0]) }), full(WhyFull::Other(other)));
    }

    #[test]
    fn a_generation_that_has_lost_its_beginning_cannot_be_gone_over() {
        let kept = [kept(3, &[(0, 5)]), kept(4, &[(64, 128)])];
        let decision = decide(NODE, &kept, &[], Some(&stands(3, &[5])));
        assert_eq!(decision, Decision::Full(WhyFull::Forgotten(Generation(4))));
    }
}
