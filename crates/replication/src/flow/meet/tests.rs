use super::*;
use std::collections::BTreeMap;
use stdx::Rng;

/// A record of a toy log, one byte long each: what it does is append numbers to keys.
#[derive(Clone, Debug)]
enum Entry {
    Plain { key: u8, value: u32 },
    Whole { tx: TxNumber, touched: Vec<(u16, u8)> },
    Marker { tx: TxNumber, home: u16 },
    Border,
}

type Data = BTreeMap<(u16, u8), Vec<u32>>;

/// What a master has written, and the data that it leads to.
struct Written {
    logs: Vec<Vec<Entry>>,
    data: Data,
    /// What each transaction appends: those that are not here do nothing.
    values: BTreeMap<TxNumber, u32>,
}

/// Logs of so many shards as a master writes them: a transaction has all its locks when its whole record is written, and gives each back behind
/// the marker; markers come in any order.
fn written(rng: &mut Rng, shards: u16) -> Written {
    let mut values = BTreeMap::new();
    let mut logs = vec![Vec::new(); usize::from(shards)];
    let (mut data, mut open, mut last) = (Data::new(), Vec::<(u16, u8, TxNumber, u16)>::new(), 0);
    for value in 0..200 {
        let shard = rng.below(shards.into()) as u16;
        let key = rng.below(3) as u8;
        let is_locked =
            |open: &[(u16, u8, TxNumber, u16)], at: (u16, u8)| open.iter().any(|one| (one.0, one.1) == at);
        match rng.below(4) {
            0 if !open.is_empty() => {
                let (shard, _, tx, home) = open.swap_remove(rng.index(open.len()));
                logs[usize::from(shard)].push(Entry::Marker { tx, home });
            }
            1 if shards > 1 => {
                let mut touched = vec![(shard, key)];
                for other in (0..shards).filter(|other| *other != shard) {
                    if rng.below(2) == 0 {
                        touched.push((other, rng.below(3) as u8));
                    }
                }
                if touched.len() > 1 && !touched.iter().any(|at| is_locked(&open, *at)) {
                    last += 1;
                    let tx = TxNumber(last);
                    if !rng.one_in(5) {
                        touched.iter().for_each(|at| data.entry(*at).or_default().push(value));
                        values.insert(tx, value);
                    }
                    open.extend(touched[1..].iter().map(|(other, key)| (*other, *key, tx, shard)));
                    logs[usize::from(shard)].push(Entry::Whole { tx, touched });
                }
            }
            _ if !is_locked(&open, (shard, key)) => {
                data.entry((shard, key)).or_default().push(value);
                logs[usize::from(shard)].push(Entry::Plain { key, value });
            }
            _ => {}
        }
    }
    // A crash: some markers are not there any more.
    while !open.is_empty() && rng.below(4) > 0 {
        let (shard, _, tx, home) = open.swap_remove(rng.index(open.len()));
        logs[usize::from(shard)].push(Entry::Marker { tx, home });
    }
    logs.iter_mut().for_each(|log| log.push(Entry::Border));
    Written { logs, data, values }
}

/// A replica.
struct Replica<'a> {
    written: &'a Written,
    /// What it has run, and where that is: in its memory.
    data: Data,
    places: Vec<FlowPlace>,
    /// And in its own log.
    kept: Vec<Exec>,
    /// The batch that had most transactions.
    largest: usize,
    crossed: bool,
}

/// What a piece appends.
type Load = Vec<((u16, u8), u32)>;

/// What is run as one thing.
struct Exec {
    load: Load,
    places: Vec<(u16, FlowPlace)>,
}

/// The flows of one session: how far each has come, has lent, and was run.
struct Session {
    meet: Meet<Load>,
    /// So much has come over its connection; what is lent is of that.
    come: Vec<u64>,
    lent: Vec<u64>,
    /// A batch is run, and its places are those behind it.
    running: Option<Batch<Load>>,
}

impl<'a> Replica<'a> {
    fn new(written: &'a Written) -> Self {
        let places = vec![FlowPlace::default(); written.logs.len()];
        Self { written, data: Data::new(), places, kept: Vec::new(), largest: 0, crossed: false }
    }

    /// It is killed: what was not kept is gone. With its power it loses the last of that, too.
    fn crash(&mut self, lost: usize) {
        let kept = std::mem::take(&mut self.kept);
        self.data.clear();
        self.places.fill(FlowPlace::default());
        let left = kept.len().saturating_sub(lost);
        kept.into_iter().take(left).for_each(|exec| self.run_and_keep(exec));
    }

    fn run_and_keep(&mut self, exec: Exec) {
        self.exec(&exec);
        self.kept.push(exec);
    }

    fn exec(&mut self, exec: &Exec) {
        exec.load.iter().for_each(|(at, value)| self.data.entry(*at).or_default().push(*value));
        for (flow, place) in &exec.places {
            let own = &mut self.places[usize::from(*flow)];
            assert!(place.lsn >= own.lsn && place.ran >= own.ran, "flow {flow} goes back");
            *own = *place;
        }
    }

    fn session(&self) -> Session {
        let lsns: Vec<u64> = self.places.iter().map(|place| place.lsn.0).collect();
        Session { meet: Meet::new(&self.places), come: lsns.clone(), lent: lsns, running: None }
    }

    /// One thing after the other, drawn by lot, until the session ends, which may be between any two, or to the border. One whose connections are
    /// cut runs what it has to its end. False if it is stuck.
    fn run(&mut self, rng: &mut Rng, steps: usize, is_cut: bool) -> bool {
        let mut session = self.session();
        for _ in 0..steps {
            self.step(rng, &mut session, true);
            self.check_whole();
        }
        if is_cut {
            while self.step(rng, &mut session, false) {}
            // Who has all the logs has no reason to stop.
            let is_all =
                session.come.iter().zip(&self.written.logs).all(|(come, log)| *come == log.len() as u64);
            return !is_all || self.crossed;
        }
        true
    }

    /// Whether anything was done.
    fn step(&mut self, rng: &mut Rng, session: &mut Session, comes: bool) -> bool {
        if self.crossed {
            return false;
        }
        let flow = rng.index(self.places.len());
        let len = self.written.logs[flow].len() as u64;
        if comes && session.come[flow] < len && rng.below(3) > 0 {
            session.come[flow] += 1 + rng.below(len - session.come[flow]);
            return true;
        }
        if session.running.is_some() && rng.below(2) == 0 {
            self.end_batch(session);
            return true;
        }
        let count = self.places.len();
        for flow in (flow..count).chain(0..flow) {
            if self.go_on(rng, session, flow) {
                return true;
            }
        }
        self.begin_batch(rng, session) || {
            let was_running = session.running.is_some();
            self.end_batch(session);
            was_running
        }
    }

    /// A flow takes what has come of it: plain records are run at once while nothing is lent, and all else is lent.
    fn go_on(&mut self, rng: &mut Rng, session: &mut Session, flow: usize) -> bool {
        let (from, come) = (session.lent[flow], session.come[flow]);
        if from == come {
            return false;
        }
        let to = from + 1 + rng.below(come - from);
        let entries = &self.written.logs[flow][from as usize..to as usize];
        let is_plain = entries.iter().all(|entry| matches!(entry, Entry::Plain { .. }));
        session.lent[flow] = to;
        if is_plain && self.places[flow].lsn.0 == from {
            let load = entries.iter().flat_map(|entry| self.load(flow as u16, entry)).collect();
            let place = FlowPlace { lsn: Lsn(to), ..self.places[flow] };
            self.run_and_keep(Exec { load, places: vec![(flow as u16, place)] });
            return true;
        }
        let pieces = (from..).zip(entries).map(|(at, entry)| Piece {
            head: head(entry),
            end: Lsn(at + u64::from(!matches!(entry, Entry::Border))),
            load: self.load(flow as u16, entry),
        });
        session.meet.lend(flow as u16, Lsn(from), pieces.collect::<Vec<_>>());
        true
    }

    fn begin_batch(&mut self, rng: &mut Rng, session: &mut Session) -> bool {
        let step = session.meet.next(|_| rng.below(8) == 0).expect("they fit");
        match step {
            Some(Step::Run(batch)) => {
                session.running = Some(batch);
                true
            }
            Some(Step::Cross { next, .. }) => {
                assert_eq!(next, Generation(2));
                session.meet.crossed();
                self.crossed = true;
                true
            }
            None => false,
        }
    }

    /// A batch and its places are there in one step.
    fn end_batch(&mut self, session: &mut Session) {
        let Some(batch) = session.running.take() else { return };
        self.largest = self.largest.max(batch.loads.iter().filter(|load| load.len() > 1).count());
        let exec = Exec { load: batch.loads.concat(), places: batch.places };
        if exec.load.is_empty() && !batch.has_transaction {
            self.exec(&exec);
        } else {
            self.run_and_keep(exec);
        }
        session.meet.ran();
    }

    fn load(&self, flow: u16, entry: &Entry) -> Load {
        match entry {
            Entry::Plain { key, value } => vec![((flow, *key), *value)],
            Entry::Whole { tx, touched } => {
                let value = self.written.values.get(tx);
                value.map_or_else(Vec::new, |value| touched.iter().map(|at| (*at, *value)).collect())
            }
            Entry::Marker { .. } | Entry::Border => Vec::new(),
        }
    }

    /// A transaction is seen on all its keys or on none.
    fn check_whole(&self) {
        for entry in self.written.logs.iter().flatten() {
            if let Entry::Whole { tx, touched } = entry
                && let Some(value) = self.written.values.get(tx)
            {
                let has = |at: &&(u16, u8)| self.data.get(at).is_some_and(|key| key.contains(value));
                let count = touched.iter().filter(has).count();
                assert!(count == 0 || count == touched.len(), "a half of transaction {tx}");
            }
        }
    }
}

fn head(entry: &Entry) -> Option<Head> {
    match entry {
        Entry::Plain { .. } => None,
        Entry::Whole { tx, touched } => {
            let participants = touched[1..].iter().map(|(flow, _)| *flow).collect();
            Some(Head::Whole { tx: *tx, participants })
        }
        Entry::Marker { tx, home } => Some(Head::Marker { tx: *tx, home: *home }),
        Entry::Border => Some(Head::Border { next: Generation(2), birth: 0 }),
    }
}

#[test]
fn flows_lead_to_the_masters_data_however_they_come_and_wherever_they_begin_again() {
    let mut largest = 0;
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let shards = 1 + rng.below(4) as u16;
        let written = written(&mut rng, shards);
        let mut replica = Replica::new(&written);
        while !replica.crossed {
            let (steps, is_cut) = (1 + rng.index(60), rng.below(2) == 0);
            assert!(replica.run(&mut rng, steps, is_cut), "seed {seed}: it is stuck");
            if !is_cut && !replica.crossed {
                replica.crash(rng.index(8).saturating_sub(4));
                replica.check_whole();
            }
        }
        assert_eq!(replica.data, written.data, "seed {seed}");
        largest = largest.max(replica.largest);
    }
    assert!(largest > 5, "transactions go together: {largest}");
}

fn marker(tx: u64, home: u16) -> Head {
    Head::Marker { tx: TxNumber(tx), home }
}

fn whole(tx: u64, participants: &[u16]) -> Head {
    Head::Whole { tx: TxNumber(tx), participants: participants.into() }
}

fn at(lsn: u64, ran: u64) -> FlowPlace {
    FlowPlace { lsn: Lsn(lsn), ran: TxNumber(ran) }
}

/// Lends these, each of one byte, named as they are told of.
fn lend(meet: &mut Meet<&'static str>, flow: u16, from: u64, heads: Vec<(Option<Head>, &'static str)>) {
    let piece = |(at, (head, load))| Piece { head, end: Lsn(at), load };
    meet.lend(flow, Lsn(from), (from + 1..).zip(heads).map(piece).collect::<Vec<_>>());
}

/// What is run next: the loads, and the places behind them.
#[track_caller]
fn runs(meet: &mut Meet<&'static str>, loads: &[&str], places: &[(u16, FlowPlace)]) {
    let Ok(Some(Step::Run(batch))) = meet.next(|_| false) else { panic!("nothing is run: {meet:?}") };
    assert_eq!((&batch.loads[..], &batch.places[..]), (loads, places));
    meet.ran();
}

#[test]
fn transactions_that_all_flows_have_lent_are_one_batch_and_so_are_the_plain_records_between() {
    let mut meet = Meet::new(&[FlowPlace::default(); 2]);
    let log = vec![(Some(whole(1, &[1])), "one"), (None, "a"), (Some(marker(2, 1)), ""), (None, "b")];
    lend(&mut meet, 0, 10, log);
    assert_eq!(meet.next(|_| false), Ok(None), "flow 1 has not come");
    let log = vec![(None, "x"), (Some(whole(2, &[0])), "two"), (Some(marker(1, 0)), ""), (None, "y")];
    lend(&mut meet, 1, 20, log);
    let places = [(0, at(14, 1)), (1, at(24, 2))];
    runs(&mut meet, &["x", "one", "a", "two", "", "y", "", "b"], &places);
    assert_eq!(meet.next(|_| false), Ok(None));
}

#[test]
fn a_batch_has_a_bound_and_one_is_run_at_a_time() {
    let mut meet = Meet::new(&[FlowPlace::default(); 2]);
    lend(&mut meet, 0, 0, vec![(None, "a"), (None, "b"), (None, "c")]);
    lend(&mut meet, 1, 0, vec![(None, "x"), (None, "y")]);
    let Ok(Some(Step::Run(batch))) = meet.next(|load| *load == "b") else { panic!("there is something") };
    assert_eq!((batch.loads, batch.places), (vec!["a", "b"], vec![(0, at(2, 0))]));
    assert_eq!(meet.next(|_| false), Ok(None));
    meet.ran();
    // The other flow has its turn.
    runs(&mut meet, &["x", "y", "c"], &[(0, at(3, 0)), (1, at(2, 0))]);
}

#[test]
fn hazard_32_a_transaction_moves_all_who_take_part_in_one_step() {
    let mut meet = Meet::new(&[FlowPlace::default(); 3]);
    lend(&mut meet, 1, 50, vec![(Some(marker(7, 0)), "")]);
    assert_eq!(meet.next(|_| false), Ok(None));
    lend(&mut meet, 0, 90, vec![(Some(whole(7, &[1, 2])), "seven")]);
    assert_eq!(meet.next(|_| false), Ok(None), "flow 2 has not come");
    lend(&mut meet, 2, 10, vec![(Some(marker(9, 1)), "")]);
    // The marker of flow 2 comes behind the one that it stands at.
    runs(&mut meet, &["seven", ""], &[(0, at(91, 7)), (1, at(51, 0))]);
    lend(&mut meet, 1, 60, vec![(Some(whole(9, &[2])), "nine")]);
    runs(&mut meet, &["nine", ""], &[(1, at(61, 9)), (2, at(11, 0))]);
    lend(&mut meet, 2, 19, vec![(Some(marker(7, 0)), "")]);
    runs(&mut meet, &[""], &[(2, at(20, 0))]);
}

#[test]
fn a_marker_is_known_as_done_after_a_crash() {
    let mut meet = Meet::new(&[at(90, 7), at(0, 0)]);
    lend(&mut meet, 1, 19, vec![(Some(marker(7, 0)), "")]);
    let Ok(Some(Step::Run(batch))) = meet.next(|_| false) else { panic!("it is passed") };
    assert!(!batch.has_transaction && batch.places == [(1, at(20, 0))]);
}

#[test]
fn nobody_goes_over_a_border_before_all_stand_there() {
    let mut meet = Meet::new(&[at(9, 9); 2]);
    let border =
        || Piece { head: Some(Head::Border { next: Generation(5), birth: 3 }), end: Lsn(9), load: "" };
    meet.lend(0, Lsn(9), [border()]);
    assert_eq!(meet.next(|_| false), Ok(None));
    meet.lend(1, Lsn(9), [border()]);
    assert_eq!(meet.next(|_| false), Ok(Some(Step::Cross { next: Generation(5), birth: 3 })));
    assert_eq!(meet.next(|_| false), Ok(None), "it is under way");
    meet.crossed();
    // Numbers begin anew.
    lend(&mut meet, 0, 4, vec![(Some(whole(1, &[1])), "one")]);
    lend(&mut meet, 1, 4, vec![(Some(marker(1, 0)), "")]);
    runs(&mut meet, &["one", ""], &[(0, at(5, 1)), (1, at(5, 0))]);
}

#[test]
fn flows_that_do_not_fit_are_found() {
    let new = || Meet::new(&[at(0, 3), at(0, 0)]);
    let mut meet = new();
    lend(&mut meet, 0, 0, vec![(Some(whole(3, &[1])), "")]);
    assert!(matches!(meet.next(|_| false), Err(MeetError::Order { .. })));
    let mut meet = new();
    lend(&mut meet, 1, 0, vec![(Some(marker(5, 0)), "")]);
    lend(&mut meet, 0, 0, vec![(Some(whole(6, &[1])), "")]);
    assert!(matches!(meet.next(|_| false), Err(MeetError::NoWhole { .. })));
    let mut meet = new();
    lend(&mut meet, 0, 0, vec![(Some(whole(5, &[1])), "")]);
    lend(&mut meet, 1, 0, vec![(Some(whole(5, &[0])), "")]);
    assert!(matches!(meet.next(|_| false), Err(MeetError::Differs { .. })));
}
