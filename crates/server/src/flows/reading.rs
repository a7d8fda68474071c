//! What a flow is sent next: its file of the snapshot, then its log, generation by generation.
//!
//! ```text
//!   file ── pieces, by a thread, one ahead ──► Payload .. PayloadEnd
//!   log  ── segments, by a thread ───────────► Log .. NextGeneration ─► Log ..
//!       └── what is in memory ───────────────►
//!  what is published ── behind what is sent of the log ──► Told
//! ```

use super::session::Session;
use crate::connection::Link;
use crate::node::Node;
use aof::{Generation, Lsn};
use durable::log::LogReader;
use durable::read_full_at;
use reactor::task::offload;
use replication::flow::course::{Course, room};
use replication::flow::credit::Sender;
use replication::flow::frame::Channel;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use stdx::ShardId;

/// Where a flow is.
pub(super) struct Reading {
    session: Arc<Session>,
    /// Its connection, by which the journal knows it.
    link: Rc<Link>,
    flow: u16,
    course: Course,
    /// What was read, and how much of it is sent.
    piece: (Vec<u8>, usize),
    /// What is told beside the log, and how much of it is sent.
    message: (Rc<[u8]>, usize),
    /// What is being read.
    work: Option<Work>,
    /// What has come of it.
    done: Option<Done>,
    reader: Option<LogReader>,
}

type Work = Pin<Box<dyn Future<Output = Done>>>;
type Done = Result<(Vec<u8>, Option<LogReader>), String>;

impl Reading {
    /// From the beginning of the session on.
    pub(super) fn new(session: Arc<Session>, link: Rc<Link>, flow: u16, start: Lsn) -> Self {
        let course = Course::new(flow, Arc::clone(session.legs()), start, session.payload().is_some());
        Self {
            session,
            link,
            flow,
            course,
            piece: (Vec::new(), 0),
            message: (Rc::default(), 0),
            work: None,
            done: None,
            reader: None,
        }
    }

    /// Whether all before this was sent.
    pub(super) fn has_sent(&self, generation: Generation, lsn: Lsn) -> bool {
        self.course.has_sent(generation, lsn)
    }

    /// Writes a frame to `out`, if there is something to send and credit for it. Errors: why it cannot go on.
    pub(super) fn poll_next(
        &mut self,
        node: &Node,
        cx: &mut Context<'_>,
        (channel, credit): (&mut Channel, &mut Sender),
        out: &mut Vec<u8>,
    ) -> Poll<Result<(), String>> {
        self.poll_work(cx);
        if self.piece.1 == self.piece.0.len()
            && let Some(done) = self.done.take()
        {
            match done {
                Ok((bytes, reader)) => (self.piece, self.reader) = ((bytes, 0), reader),
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
        if self.piece.1 < self.piece.0.len() {
            return self.send_piece(cx, channel, credit, out).map(Ok);
        }
        match self.course.payload() {
            Some(sent) => self.poll_payload(cx, sent, channel, out).map(Ok),
            None => self.poll_log(node, cx, channel, credit, out).map(Ok),
        }
    }

    /// Has the thread's work go on, if there is any.
    fn poll_work(&mut self, cx: &mut Context<'_>) {
        if let Some(work) = &mut self.work
            && let Poll::Ready(done) = work.as_mut().poll(cx)
        {
            self.work = None;
            self.done = Some(done);
        }
    }

    /// Sends of the piece what may be sent, and has the next one read meanwhile.
    fn send_piece(
        &mut self,
        cx: &mut Context<'_>,
        channel: &mut Channel,
        credit: &mut Sender,
        out: &mut Vec<u8>,
    ) -> Poll<()> {
        let (bytes, used) = &self.piece;
        let sent = self.course.send(&bytes[*used..], (channel, credit), out);
        if sent == 0 {
            return Poll::Pending;
        }
        self.piece.1 += sent;
        if let Some(sent) = self.course.payload()
            && self.work.is_none()
            && self.done.is_none()
        {
            self.read_payload(sent + (self.piece.0.len() - self.piece.1) as u64);
            self.poll_work(cx);
        }
        Poll::Ready(())
    }

    fn poll_payload(
        &mut self,
        cx: &mut Context<'_>,
        sent: u64,
        channel: &mut Channel,
        out: &mut Vec<u8>,
    ) -> Poll<()> {
        let files = Arc::clone(self.session.payload().expect("a file is sent of a session that has some"));
        let file = &files.manifest.files[usize::from(self.flow)];
        if sent == file.bytes {
            self.course.end_payload(file.crc64, channel, out);
            self.session.sent_payload(self.flow);
            return Poll::Ready(());
        }
        if self.work.is_none() {
            self.read_payload(sent);
        }
        self.wait_for_work(cx)
    }

    /// Has the file read from here on, if there is more of it.
    fn read_payload(&mut self, at: u64) {
        let files = Arc::clone(self.session.payload().expect("a file is sent of a session that has some"));
        let flow = usize::from(self.flow);
        let bytes = files.manifest.files[flow].bytes;
        if at >= bytes {
            return;
        }
        let len = (bytes - at).min(PIECE_BYTES as u64) as usize;
        let read = move || -> Done {
            let mut piece = vec![0; len];
            let read = read_full_at(files.sources[flow].as_ref(), at, &mut piece);
            match read {
                Ok(read) if read == len => Ok((piece, None)),
                Ok(read) => Err(format!("the snapshot ends after {} bytes of {bytes}", at + read as u64)),
                Err(error) => Err(format!("the snapshot cannot be read: {error}")),
            }
        };
        self.work = Some(Box::pin(async move { flatten(offload(read).await) }));
    }

    fn poll_log(
        &mut self,
        node: &Node,
        cx: &mut Context<'_>,
        channel: &mut Channel,
        credit: &mut Sender,
        out: &mut Vec<u8>,
    ) -> Poll<()> {
        if self.work.is_some() {
            return self.wait_for_work(cx);
        }
        let at = self.course.at();
        if let Some(end) = self.course.end() {
            if at == end {
                self.course.go_over(channel, out);
                self.reader = None;
                return Poll::Ready(());
            }
            return self.poll_segments(node, cx, end, credit);
        }
        if self.message.1 == self.message.0.len()
            && let Some(message) = node.journal.take_message(&self.link, at)
        {
            self.message = (message, 0);
        }
        if self.message.1 < self.message.0.len() {
            return self.send_message(channel, credit, out);
        }
        // What is told at a place is told before what comes behind that.
        let leaves = node.journal.leaves();
        let end = node.journal.next_message(&self.link).map_or(leaves, |place| place.min(leaves));
        if at == end {
            return Poll::Pending;
        }
        let most = room(credit).min(usize::try_from(end.since(at)).unwrap_or(usize::MAX));
        if most == 0 {
            return Poll::Pending;
        }
        let course = &mut self.course;
        let sent = node.journal.read_newest(at, |bytes| {
            course.send(&bytes[..bytes.len().min(most)], (channel, credit), out) as u64
        });
        match sent {
            Some(_) => Poll::Ready(()),
            None => self.poll_segments(node, cx, end, credit),
        }
    }

    /// Sends of what is told beside the log what may be sent.
    fn send_message(&mut self, channel: &mut Channel, credit: &mut Sender, out: &mut Vec<u8>) -> Poll<()> {
        let (commands, used) = &self.message;
        let sent = self.course.tell(&commands[*used..], (channel, credit), out);
        self.message.1 += sent;
        if sent > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Has segments read from here on.
    fn poll_segments(&mut self, node: &Node, cx: &mut Context<'_>, end: Lsn, credit: &Sender) -> Poll<()> {
        if self.work.is_none() {
            if credit.may_send() == 0 {
                return Poll::Pending;
            }
            let (generation, at) = (self.course.generation(), self.course.at());
            let disk = || Arc::clone(node.control.data.places.shared_disk());
            let reader = self.reader.take().filter(|reader| reader.generation() == generation);
            let mut reader = reader.unwrap_or_else(|| LogReader::new(disk(), generation, ShardId(self.flow)));
            let read = move || -> Done {
                let bytes = reader.read(at, end, PIECE_BYTES).map_err(|error| error.to_string())?;
                Ok((bytes, Some(reader)))
            };
            self.work = Some(Box::pin(async move { flatten(offload(read).await) }));
        }
        self.wait_for_work(cx)
    }

    /// Ready when it is worth looking again.
    fn wait_for_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_work(cx);
        if self.done.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn flatten(done: io::Result<Done>) -> Done {
    done.map_err(|error| error.to_string())?
}

/// So much is read at once.
const PIECE_BYTES: usize = 1 << 20;
