//! Core 0's task that runs what flows have lent: batch after batch, each as one transaction with the places behind it.

use super::line::{Line, Setback};
use super::{Message, Order, Trouble, server_of, session, tell};
use crate::follow::{self, Unit};
use crate::node::Node;
use aof::Generation;
use commands::following::{flow_words, words};
use replication::flow::meet::{Batch, Step};
use replication::flow::place::{FlowLog, FlowPlace, Place};
use std::rc::Rc;
use std::sync::Arc;
use stdx::{DbIndex, ShardId};

/// Runs what the flows of an order lend, until nobody wants it any more.
pub(super) async fn conduct(node: Rc<Node>, order: Arc<Order>, log: FlowLog) {
    let line = Line::new(&node);
    let mut task = Conducting { node, order, log, line };
    let setback = loop {
        if let Err(setback) = task.step().await {
            break setback;
        }
    };
    let attempt = task.order.attempt;
    let failed = |why| tell(&task.node, ShardId(0), Message::Failed(attempt, Trouble::Stream(why)));
    match setback {
        Setback::Over => {}
        Setback::Failed(why) => failed(why),
        Setback::Astray(why) => {
            task.line.forget(0, task.order.session.flows).await;
            failed(why);
        }
    }
    session::rest(&task.node, attempt);
}

struct Conducting {
    node: Rc<Node>,
    order: Arc<Order>,
    log: FlowLog,
    line: Line,
}

impl Conducting {
    async fn step(&mut self) -> Result<(), Setback> {
        match session::next_step(&self.node, self.order.attempt).await? {
            Step::Run(batch) => self.run(batch).await,
            Step::Cross { next, birth } => self.cross(next, birth).await,
        }
    }

    /// Runs a batch, and tells those whose places it moves.
    async fn run(&mut self, Batch { loads, places, has_transaction }: Batch<Unit>) -> Result<(), Setback> {
        let (log, flows) = (self.log, self.order.session.flows);
        let mut unit = Unit::new(DbIndex(0));
        loads.iter().for_each(|load| unit.append(load));
        if !unit.is_empty() || has_transaction {
            if unit.is_empty() {
                unit.select(DbIndex(0));
            }
            let words = places.iter().map(|(flow, place)| flow_words(*flow, flows, Some((log, *place))));
            unit.close(&words.collect::<Vec<_>>());
            let (flow, place) = places[0];
            self.carry_out(&unit, (flow, log, place)).await?;
        }
        session::ran(&self.node, self.order.attempt);
        for (flow, place) in places {
            // Where there was nothing to run, what is on the disk is as right as this.
            self.node.state.borrow().core.shared.following.set_flow(flow, flows, Some((log, place)));
            tell(&self.node, server_of(&self.node, flow), Message::Ran(self.order.attempt, flow, log, place));
        }
        Ok(())
    }

    /// All places become the beginning of the next generation, in one step.
    async fn cross(&mut self, next: Generation, birth: u64) -> Result<(), Setback> {
        let Some(Place::Flows(places)) = follow::place(&self.node) else {
            return Err(Setback::Failed("it is not known where the data is".to_owned()));
        };
        let places = places.crossed(next, birth);
        let mut unit = Unit::new(DbIndex(0));
        unit.select(DbIndex(0));
        unit.close(&words(&Place::Flows(places.clone())));
        self.carry_out(&unit, (0, places.log, places.flows[0])).await?;
        self.log = places.log;
        session::crossed(&self.node, self.order.attempt, next);
        for flow in 0..self.order.session.flows {
            let crossed = Message::Crossed(self.order.attempt, flow, self.log);
            tell(&self.node, server_of(&self.node, flow), crossed);
        }
        Ok(())
    }

    async fn carry_out(&mut self, unit: &Unit, place: (u16, FlowLog, FlowPlace)) -> Result<(), Setback> {
        let (node, attempt) = (Rc::clone(&self.node), self.order.attempt);
        self.line.run(unit, place, || session::wanted(&node, attempt)).await
    }
}
