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

/// Logs of so many shards as a master writes them: a transaction has all its locks when its whole record is written, and gives each back behind
/// the marker; markers come in any order. With the data that they lead to.
fn written(rng: &mut Rng, shards: u16) -> (Vec<Vec<Entry>>, Data) {
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
                    touched.iter().for_each(|at| data.entry(*at).or_default().push(value));
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
    (logs, data)
}

/// A replica: what it has, and where it stands, which a crash leaves as they are.
struct Replica<'a> {
    logs: &'a [Vec<Entry>],
    places: Vec<FlowPlace>,
    data: Data,
    values: &'a BTreeMap<TxNumber, u32>,
    crossed: bool,
}

impl Replica<'_> {
    /// Runs on until a crash, or to the border. False if it is stuck.
    fn run(&mut self, rng: &mut Rng, steps: usize) -> bool {
        let mut meet = Meet::new(&self.places);
        let mut reads = vec![true; self.logs.len()];
        for _ in 0..steps {
            while let Some(step) = meet.next() {
                match step {
                    Step::Pass(flow) => {
                        let place = &mut self.places[usize::from(flow)];
                        // The place of who has run something is set with that.
                        place.lsn = place.lsn.max(meet.flows[usize::from(flow)].end);
                        reads[usize::from(flow)] = true;
                    }
                    Step::Run { home, places } => {
                        let at = self.places[usize::from(home)].lsn.0 as usize;
                        let Entry::Whole { tx, touched } = &self.logs[usize::from(home)][at] else {
                            panic!("home stands at a whole record")
                        };
                        let value = self.values[tx];
                        touched.iter().for_each(|key| self.data.entry(*key).or_default().push(value));
                        for (flow, place) in places {
                            self.places[usize::from(flow)] = place;
                        }
                        meet.ran(home).expect("they fit");
                    }
                    Step::Cross { next, .. } => {
                        assert_eq!(next, Generation(2));
                        self.crossed = true;
                        return true;
                    }
                }
            }
            let Some(flow) = pick(rng, &reads) else { return false };
            let place = &mut self.places[flow];
            let end = place.lsn.plus(1);
            let head = match &self.logs[flow][place.lsn.0 as usize] {
                Entry::Plain { key, value } => {
                    self.data.entry((flow as u16, *key)).or_default().push(*value);
                    place.lsn = end;
                    continue;
                }
                Entry::Whole { tx, touched } => {
                    let participants = touched[1..].iter().map(|(flow, _)| *flow).collect();
                    Head::Whole { tx: *tx, participants }
                }
                Entry::Marker { tx, home } => Head::Marker { tx: *tx, home: *home },
                Entry::Border => Head::Border { next: Generation(2), birth: 0 },
            };
            reads[flow] = false;
            meet.stand(flow as u16, end, head).expect("they fit");
        }
        true
    }
}

fn pick(rng: &mut Rng, reads: &[bool]) -> Option<usize> {
    let reading: Vec<usize> = (0..reads.len()).filter(|flow| reads[*flow]).collect();
    (!reading.is_empty()).then(|| reading[rng.index(reading.len())])
}

/// By number, what each transaction appends: taken from the master's data, where all is in the order of numbers.
fn values(logs: &[Vec<Entry>], data: &Data) -> BTreeMap<TxNumber, u32> {
    let plain: std::collections::BTreeSet<u32> = logs
        .iter()
        .flatten()
        .filter_map(|entry| if let Entry::Plain { value, .. } = entry { Some(*value) } else { None })
        .collect();
    let mut of_tx: Vec<u32> =
        data.values().flatten().copied().filter(|value| !plain.contains(value)).collect();
    of_tx.sort_unstable();
    of_tx.dedup();
    (1..).map(TxNumber).zip(of_tx).collect()
}

#[test]
fn flows_lead_to_the_masters_data_however_they_are_read_and_wherever_they_begin_again() {
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let shards = 1 + rng.below(4) as u16;
        let (logs, data) = written(&mut rng, shards);
        let values = values(&logs, &data);
        let places = vec![FlowPlace::default(); logs.len()];
        let mut replica = Replica { logs: &logs, places, data: Data::new(), values: &values, crossed: false };
        while !replica.crossed {
            let steps = 1 + rng.index(60);
            assert!(replica.run(&mut rng, steps), "seed {seed}: it is stuck");
        }
        assert_eq!(replica.data, data, "seed {seed}");
    }
}

fn marker(tx: u64, home: u16) -> Head {
    Head::Marker { tx: TxNumber(tx), home }
}

fn whole(tx: u64, participants: &[u16]) -> Head {
    Head::Whole { tx: TxNumber(tx), participants: participants.into() }
}

fn steps(meet: &mut Meet) -> Vec<Step> {
    std::iter::from_fn(|| meet.next()).collect()
}

#[test]
fn hazard_32_a_transaction_moves_all_who_stand_at_it_in_one_step() {
    let mut meet = Meet::new(&[FlowPlace::default(); 3]);
    meet.stand(1, Lsn(50), marker(7, 0)).unwrap();
    assert_eq!(steps(&mut meet), []);
    meet.stand(0, Lsn(90), whole(7, &[1, 2])).unwrap();
    assert_eq!(steps(&mut meet), [], "flow 2 has not come");
    meet.stand(2, Lsn(10), marker(9, 1)).unwrap();
    let at = |lsn, ran| FlowPlace { lsn: Lsn(lsn), ran: TxNumber(ran) };
    assert_eq!(steps(&mut meet), [Step::Run { home: 0, places: vec![(0, at(90, 7)), (1, at(50, 0))] }]);
    meet.ran(0).unwrap();
    assert_eq!(steps(&mut meet), [Step::Pass(0), Step::Pass(1)]);
    // The marker of flow 2 comes behind the one that it stands at.
    meet.stand(1, Lsn(60), whole(9, &[2])).unwrap();
    assert_eq!(steps(&mut meet), [Step::Run { home: 1, places: vec![(1, at(60, 9)), (2, at(10, 0))] }]);
    meet.ran(1).unwrap();
    assert_eq!(steps(&mut meet), [Step::Pass(1), Step::Pass(2)]);
    meet.stand(2, Lsn(20), marker(7, 0)).unwrap();
    assert_eq!(steps(&mut meet), [Step::Pass(2)]);
}

#[test]
fn a_marker_is_known_as_done_after_a_crash() {
    let places = [FlowPlace { lsn: Lsn(90), ran: TxNumber(7) }, FlowPlace::default()];
    let mut meet = Meet::new(&places);
    meet.stand(1, Lsn(20), marker(7, 0)).unwrap();
    assert_eq!(steps(&mut meet), [Step::Pass(1)]);
}

#[test]
fn nobody_goes_over_a_border_before_all_stand_there() {
    let mut meet = Meet::new(&[FlowPlace { lsn: Lsn(9), ran: TxNumber(9) }; 2]);
    let border = || Head::Border { next: Generation(5), birth: 3 };
    meet.stand(0, Lsn(9), border()).unwrap();
    assert_eq!(steps(&mut meet), []);
    meet.stand(1, Lsn(9), border()).unwrap();
    assert_eq!(steps(&mut meet), [Step::Cross { next: Generation(5), birth: 3 }]);
    meet.crossed();
    assert_eq!(steps(&mut meet), [Step::Pass(0), Step::Pass(1)]);
    // Numbers begin anew.
    meet.stand(0, Lsn(5), whole(1, &[1])).unwrap();
    meet.stand(1, Lsn(5), marker(1, 0)).unwrap();
    assert_eq!(steps(&mut meet).len(), 1);
}

#[test]
fn flows_that_do_not_fit_are_found() {
    let new = || Meet::new(&[FlowPlace { lsn: Lsn(0), ran: TxNumber(3) }, FlowPlace::default()]);
    let mut meet = new();
    assert!(matches!(meet.stand(0, Lsn(1), whole(3, &[1])), Err(MeetError::Order { .. })));
    let mut meet = new();
    meet.stand(1, Lsn(1), marker(5, 0)).unwrap();
    assert!(matches!(meet.stand(0, Lsn(1), whole(6, &[1])), Err(MeetError::NoWhole { .. })));
    let mut meet = new();
    meet.stand(0, Lsn(1), whole(5, &[1])).unwrap();
    assert!(matches!(meet.stand(1, Lsn(1), whole(5, &[0])), Err(MeetError::Differs { .. })));
}
