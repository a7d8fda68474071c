//! The task of one flow's connection: frames in, frames out, signs of life.

use super::payload::Payload;
use super::{Flow, Inner, Trouble};
use crate::node::Node;
use crate::replica::link;
use reactor::net::Socket;
use reactor::timer;
use replication::flow::frame::{Channel, Frame, Side};
use replication::flow::hello::Join;
use replication::flow::inflow::InflowError;
use replication::psync::{Greeting, Lines, ask, readable};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Serves a flow until it is over, or tells why it is not any more.
pub(super) async fn serve(node: Rc<Node>, flow: Rc<Flow>) {
    let ended = run(&node, &flow).await;
    flow.inner.borrow_mut().read_all();
    if let Err(trouble) = ended {
        flow.fail(&node, trouble);
    }
}

async fn run(node: &Rc<Node>, flow: &Rc<Flow>) -> Result<(), Trouble> {
    let order = &flow.order;
    let socket =
        link::attempt_all(&order.to, order.timeout).await.map_err(|error| lost(flow, error.to_string()))?;
    // Without them it is a connection all the same.
    let _ = socket.set_nodelay(order.is_prompt);
    let _ = socket.set_keepalive(link::KEEPALIVE_S);
    let mut wire = Wire {
        node,
        flow,
        socket,
        read: Vec::new(),
        taken: 0,
        chunk: vec![0; READ_BYTES],
        unsent: Vec::new(),
        sent: 0,
        frames: Channel::new(order.session.id.0, flow.index, Side::Master),
        payload: None,
        left: order.session.window.into(),
        heard: timer::now(),
        said: timer::now(),
    };
    wire.join().await?;
    loop {
        if wire.take_frames().await? {
            return Ok(());
        }
        match wire.next(true).await? {
            Woke::Over => return Ok(()),
            Woke::Read => {}
            Woke::Time => wire.say(),
        }
    }
}

struct Wire<'a> {
    node: &'a Rc<Node>,
    flow: &'a Rc<Flow>,
    socket: Socket,
    /// What was read; up to `taken` it was looked at.
    read: Vec<u8>,
    taken: usize,
    chunk: Vec<u8>,
    unsent: Vec<u8>,
    sent: usize,
    frames: Channel,
    payload: Option<Payload>,
    /// So many bytes are taken at most when nothing more is wanted than what is there.
    left: u64,
    heard: std::time::Instant,
    said: std::time::Instant,
}

enum Woke {
    Over,
    Read,
    Time,
}

impl Wire<'_> {
    /// Says who this is, and which flow it wants.
    async fn join(&mut self) -> Result<(), Trouble> {
        let order = &self.flow.order;
        let mut answers = 1;
        if let Some(password) = &order.password {
            ask::auth(order.user.as_deref(), password, &mut self.unsent);
            answers += 1;
        }
        Join { session: order.session.id, flow: self.flow.index }.encode(&mut self.unsent);
        let mut lines = Lines::default();
        while answers > 0 {
            let bytes = &self.read[self.taken..];
            if bytes.is_empty() {
                if matches!(self.next(false).await?, Woke::Over) {
                    return Err(lost(self.flow, "it is not wanted any more".to_owned()));
                }
                continue;
            }
            let (used, is_line) = lines.take(bytes).map_err(|error| lost(self.flow, error.to_string()))?;
            self.taken += used;
            if !is_line {
                continue;
            }
            let line = lines.line();
            match Greeting::parse(&line) {
                Greeting::Well(_) => answers -= 1,
                _ if line.is_empty() => {}
                _ => return Err(lost(self.flow, format!("the master said '{}'", readable(&line)))),
            }
        }
        Ok(())
    }

    /// Takes what frames were read. True if nothing more is wanted.
    async fn take_frames(&mut self) -> Result<bool, Trouble> {
        let mut payload_bytes = Vec::new();
        loop {
            if self.flow.is_over() {
                return Ok(true);
            }
            let mut ends = None;
            while let Some((frame, len)) = self
                .frames
                .read(&self.read[self.taken..])
                .map_err(|error| lost(self.flow, error.to_string()))?
            {
                self.heard = timer::now();
                match frame {
                    Frame::Payload(bytes) => {
                        self.arrived(bytes.len())?;
                        payload_bytes.extend_from_slice(bytes);
                    }
                    Frame::PayloadEnd { bytes, crc64, generation, lsn } => {
                        ends = Some((bytes, crc64, generation, lsn));
                    }
                    frame => self.take(frame)?,
                }
                self.taken += len;
                if ends.is_some() || payload_bytes.len() >= STEP_BYTES {
                    break;
                }
            }
            if payload_bytes.is_empty() && ends.is_none() {
                break;
            }
            self.keep(std::mem::take(&mut payload_bytes)).await?;
            if let Some((bytes, crc64, generation, lsn)) = ends {
                let Some(payload) = self.payload.take() else {
                    return Err(Trouble::Rejected(format!("flow {} has an empty file", self.flow.index)));
                };
                payload.end(self.node, self.flow, (bytes, crc64), generation, lsn);
            }
        }
        self.read.drain(..self.taken);
        self.taken = 0;
        Ok(false)
    }

    /// Keeps or loads bytes of a payload, and has as many sent again.
    async fn keep(&mut self, bytes: Vec<u8>) -> Result<(), Trouble> {
        if bytes.is_empty() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        let payload = match &mut self.payload {
            Some(payload) => payload,
            None => self.payload.insert(Payload::begin(self.node, self.flow, &bytes).await?),
        };
        payload.take(bytes).await?;
        {
            let inner = &mut *self.flow.inner.borrow_mut();
            inner.inflow.kept(len);
            inner.wake_wire();
        }
        payload.tell(self.node, self.flow);
        Ok(())
    }

    fn arrived(&self, bytes: usize) -> Result<(), Trouble> {
        let arrived = self.flow.inner.borrow_mut().inflow.arrived(bytes);
        arrived.map_err(|error| self.trouble(error))
    }

    /// A frame that is no payload.
    fn take(&self, frame: Frame<'_>) -> Result<(), Trouble> {
        let inner = &mut *self.flow.inner.borrow_mut();
        let Inner { inflow, reader, .. } = inner;
        inflow.take(frame, |told| reader.whole(told)).map_err(|error| self.trouble(error))?;
        inner.wake_apply();
        Ok(())
    }

    fn trouble(&self, error: InflowError) -> Trouble {
        match error {
            InflowError::Lost(why) => lost(self.flow, why),
            InflowError::Stream(why) => Trouble::Stream(format!("flow {}: {why}", self.flow.index)),
        }
    }

    /// Signs of life, and how far it is.
    fn say(&mut self) {
        self.said = timer::now();
        self.flow.inner.borrow_mut().inflow.say();
    }

    /// Waits for something to read, or to be said.
    async fn next(&mut self, in_frames: bool) -> Result<Woke, Trouble> {
        let due = self.said + SAY_EACH;
        let mut timer = pin!(timer::sleep(due.saturating_duration_since(timer::now())));
        poll_fn(|cx| {
            if self.flow.is_over() || self.node.poll_stopping(cx).is_ready() {
                return Poll::Ready(Ok(Woke::Over));
            }
            self.flow.inner.borrow_mut().wire = Some(cx.waker().clone());
            if let Err(why) = self.poll_write(cx, in_frames) {
                return Poll::Ready(Err(lost(self.flow, why)));
            }
            let reads = !self.flow.inner.borrow().inflow.has_read_all();
            if reads && let Poll::Ready(read) = self.poll_read(cx) {
                return Poll::Ready(read.map(|()| Woke::Read).map_err(|why| lost(self.flow, why)));
            }
            let is_draining = self.flow.inner.borrow().inflow.is_draining();
            if reads && is_draining {
                // What the master has said, and is not there yet, is asked for again.
                self.flow.inner.borrow_mut().read_all();
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let reads = !self.flow.inner.borrow().inflow.has_read_all();
            let silent = timer::now().saturating_duration_since(self.heard);
            if reads && silent > self.flow.order.timeout {
                return Poll::Ready(Err(lost(
                    self.flow,
                    format!("nothing was heard for {} s", silent.as_secs()),
                )));
            }
            if !in_frames {
                self.said = timer::now();
            }
            Poll::Ready(Ok(Woke::Time))
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.socket.poll_read(cx, &mut self.chunk).map(|read| match read {
            Ok(0) => Err("it was closed".to_owned()),
            Ok(len) => {
                self.read.extend_from_slice(&self.chunk[..len]);
                let inner = &mut *self.flow.inner.borrow_mut();
                if inner.inflow.is_draining() {
                    self.left = self.left.saturating_sub(len as u64);
                    if self.left == 0 {
                        inner.read_all();
                    }
                }
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, in_frames: bool) -> Result<(), String> {
        loop {
            if self.sent == self.unsent.len() {
                self.sent = 0;
                self.unsent.clear();
                if in_frames {
                    self.flow.inner.borrow_mut().inflow.gather(&mut self.unsent);
                }
            }
            if self.unsent.is_empty() {
                return Ok(());
            }
            match self.socket.poll_write(cx, &self.unsent[self.sent..]) {
                Poll::Ready(Ok(len)) => self.sent += len,
                Poll::Ready(Err(error)) => return Err(error.to_string()),
                Poll::Pending => return Ok(()),
            }
        }
    }
}

fn lost(flow: &Flow, why: String) -> Trouble {
    Trouble::Lost(format!("flow {}: {why}", flow.index))
}

/// So much is read at a time.
const READ_BYTES: usize = 256 << 10;
/// A payload is written in steps of this.
const STEP_BYTES: usize = 1 << 20;
/// The master hears from each flow so often.
const SAY_EACH: Duration = Duration::from_millis(1000);
