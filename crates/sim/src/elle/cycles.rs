//! Finds cycles, and of those that there are a simple one, of the gravest kind.

use super::anomaly::{Anomaly, Step};
use super::graph::{Edges, Why};

mod components;
mod search;

use components::components;
use search::Search;

/// Kinds of edges, as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

const WW: Kinds = Kinds(1);
const WR: Kinds = Kinds(2);
const RW: Kinds = Kinds(4);
const PIPELINE: Kinds = Kinds(8);
const TIME: Kinds = Kinds(16);

impl Kinds {
    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, why: Why) -> bool {
        let kind = match why {
            Why::Ww(_) => WW,
            Why::Wr(_) => WR,
            Why::Rw(_) => RW,
            Why::Pipeline => PIPELINE,
            Why::Time => TIME,
        };
        self.0 & kind.0 != 0
    }
}

/// A kind of cycle: made of these edges, and of one rw edge more if that is asked.
#[derive(Clone, Copy)]
struct Class {
    kinds: Kinds,
    plus_one_rw: bool,
}

/// From the gravest on: G0, G1c, G-single, G2; then with promised order, then with time.
fn classes() -> impl Iterator<Item = Class> {
    [Kinds(0), PIPELINE, PIPELINE.and(TIME)].into_iter().flat_map(|order| {
        let class = |kinds: Kinds, plus_one_rw| Class { kinds: kinds.and(order), plus_one_rw };
        let known = WW.and(WR);
        [class(WW, false), class(known, false), class(known, true), class(known.and(RW), false)]
    })
}

/// One cycle of each strongly connected component, up to [`SHOWN_MAX`] of them.
pub(super) fn find(edges: &Edges, anomalies: &mut Vec<Anomaly>) {
    let all = Kinds(u8::MAX);
    let found = components(edges, all, |_, _| true);
    if found.is_empty() {
        return;
    }
    let mut search = Search::new(edges);
    for component in found.iter().take(SHOWN_MAX) {
        let cycle = classes().find_map(|class| cycle_of(class, component, &mut search));
        let mut cycle = cycle.expect("every edge is of some class");
        let first = (0..cycle.len()).min_by_key(|&at| cycle[at].op).expect("it has operations");
        cycle.rotate_left(first);
        anomalies.push(Anomaly::Cycle(cycle));
    }
}

fn cycle_of(class: Class, component: &[u32], search: &mut Search<'_>) -> Option<Vec<Step>> {
    search.stay_within(component);
    let kinds = if class.plus_one_rw { class.kinds.and(RW) } else { class.kinds };
    let parts = components(search.edges(), kinds, |_, to| search.is_within(to));
    let parts: Vec<&Vec<u32>> = parts.iter().filter(|part| search.is_within(part[0] as usize)).collect();
    parts.into_iter().find_map(|part| {
        search.stay_within(part);
        if class.plus_one_rw { search.with_one_rw(class.kinds, part) } else { search.shortest(kinds, part) }
    })
}

/// So many cycles are shown of one history.
const SHOWN_MAX: usize = 10;
