//! Where one flow of a session is, at its master: first its file, if there is one, then its log, generation by generation.
//!
//! Whoever sends it reads what is next from wherever it is, and gives it to [`Course::send`], which sends as much as there is credit
//! for.

use std::sync::Arc;

use aof::{Generation, Lsn};

use crate::flow::credit::Sender;
use crate::flow::frame::{Channel, FRAME_BYTES_MAX, Frame};
use crate::flow::session::Leg;

/// See the module's comment.
#[derive(Debug)]
pub struct Course {
    flow: u16,
    /// The generations that are gone through, the last of which is the present.
    legs: Arc<[Leg]>,
    /// How much of the file is sent; `None` when all of it is.
    payload: Option<u64>,
    leg: usize,
    at: Lsn,
}

impl Course {
    /// Of a flow whose log begins there; a file comes before it or not.
    pub fn new(flow: u16, legs: Arc<[Leg]>, start: Lsn, has_payload: bool) -> Self {
        Self { flow, legs, payload: has_payload.then_some(0), leg: 0, at: start }
    }

    /// How much of the file is sent; `None` when all of it is, or there is none.
    pub fn payload(&self) -> Option<u64> {
        self.payload
    }

    /// In which generation it is.
    pub fn generation(&self) -> Generation {
        self.legs[self.leg].generation
    }

    /// Up to where the log was sent.
    pub fn at(&self) -> Lsn {
        self.at
    }

    /// Where the generation ends, if it is not the present one.
    pub fn end(&self) -> Option<Lsn> {
        self.legs[self.leg].ends.get(usize::from(self.flow)).copied()
    }

    /// Whether all before this was sent.
    pub fn has_sent(&self, generation: Generation, lsn: Lsn) -> bool {
        match self.legs.iter().position(|leg| leg.generation == generation) {
            Some(leg) if leg < self.leg => lsn <= self.legs[leg].ends[usize::from(self.flow)],
            Some(leg) => leg == self.leg && lsn <= self.at,
            None => false,
        }
    }

    /// Sends of the file or of the log what follows, as much of it as may be sent. Says how much that was.
    pub fn send(
        &mut self,
        bytes: &[u8],
        (channel, credit): (&mut Channel, &mut Sender),
        out: &mut Vec<u8>,
    ) -> usize {
        let bytes = &bytes[..bytes.len().min(room(credit))];
        if bytes.is_empty() {
            return 0;
        }
        let generation = self.generation();
        match &mut self.payload {
            Some(sent) => {
                channel.write(Frame::Payload(bytes), out);
                *sent += bytes.len() as u64;
            }
            None => {
                channel.write(Frame::Log { generation, lsn: self.at, records: bytes }, out);
                self.at = self.at.plus(bytes.len() as u64);
            }
        }
        credit.sent(bytes.len() as u64);
        bytes.len()
    }

    /// Sends of commands that are told at this place of the log what may be sent. Says how much that was.
    pub fn tell(
        &mut self,
        commands: &[u8],
        (channel, credit): (&mut Channel, &mut Sender),
        out: &mut Vec<u8>,
    ) -> usize {
        let len = commands.len().min(room(credit));
        if len > 0 {
            channel.write(Frame::Told(&commands[..len]), out);
            credit.sent(len as u64);
        }
        len
    }

    /// The file is sent, and has so many bytes.
    pub fn end_payload(&mut self, crc64: u64, channel: &mut Channel, out: &mut Vec<u8>) {
        let bytes = self.payload.take().expect("a file is sent");
        let (generation, lsn) = (self.generation(), self.at);
        channel.write(Frame::PayloadEnd { bytes, crc64, generation, lsn }, out);
    }

    /// The log goes on in the next generation. Panics if it is not sent to its end.
    pub fn go_over(&mut self, channel: &mut Channel, out: &mut Vec<u8>) {
        let generation = self.generation();
        let end = self.end().filter(|end| *end == self.at).expect("it stands at the end");
        self.leg += 1;
        self.at = Lsn(0);
        let Leg { generation: next, birth, .. } = self.legs[self.leg];
        channel.write(Frame::NextGeneration { generation, end, next, birth }, out);
    }
}

/// How many bytes the next frame may have.
pub fn room(credit: &Sender) -> usize {
    usize::try_from(credit.may_send()).unwrap_or(usize::MAX).min(LOG_BYTES_MAX)
}

/// Bytes of log in a frame, which says their place, too.
const LOG_BYTES_MAX: usize = FRAME_BYTES_MAX - 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::frame::Side;

    fn leg(generation: u64, ends: &[u64]) -> Leg {
        let ends = ends.iter().map(|end| Lsn(*end)).collect();
        Leg { generation: Generation(generation), birth: generation * 10, ends }
    }

    fn channel(side: Side) -> Channel {
        Channel::new([1; 16], 1, side)
    }

    #[test]
    fn a_file_comes_before_its_log_and_the_log_goes_over_generations() {
        let legs = Arc::from([leg(3, &[7, 20]), leg(5, &[])]);
        let mut course = Course::new(1, legs, Lsn(12), true);
        let (mut writes, mut credit, mut out) = (channel(Side::Master), Sender::new(10), Vec::new());
        assert_eq!(course.send(b"file", (&mut writes, &mut credit), &mut out), 4);
        assert_eq!(course.payload(), Some(4));
        course.end_payload(99, &mut writes, &mut out);
        assert!(!course.has_sent(Generation(3), Lsn(13)));
        assert_eq!(
            course.send(b"records.", (&mut writes, &mut credit), &mut out),
            6,
            "there is no more credit"
        );
        assert_eq!(course.send(b"s.", (&mut writes, &mut credit), &mut out), 0);
        credit.returned(10).expect("it was sent");
        assert_eq!(course.tell(b"PUBLISH", (&mut writes, &mut credit), &mut out), 7);
        assert_eq!(course.send(b"s.", (&mut writes, &mut credit), &mut out), 2);
        assert_eq!((course.end(), course.at()), (Some(Lsn(20)), Lsn(20)));
        course.go_over(&mut writes, &mut out);
        assert_eq!((course.generation(), course.at(), course.end()), (Generation(5), Lsn(0), None));
        assert!(course.has_sent(Generation(3), Lsn(20)) && course.has_sent(Generation(5), Lsn(0)));
        for (generation, lsn) in [(3, 21), (5, 1), (4, 0)] {
            assert!(!course.has_sent(Generation(generation), Lsn(lsn)), "{generation} {lsn}");
        }
        let (mut reads, mut rest, mut frames) = (channel(Side::Master), &out[..], Vec::new());
        while let Some((frame, len)) = reads.read(rest).expect("frames") {
            frames.push(frame);
            rest = &rest[len..];
        }
        let (generation, next) = (Generation(3), Generation(5));
        let expected = [
            Frame::Payload(b"file"),
            Frame::PayloadEnd { bytes: 4, crc64: 99, generation, lsn: Lsn(12) },
            Frame::Log { generation, lsn: Lsn(12), records: b"record" },
            Frame::Told(b"PUBLISH"),
            Frame::Log { generation, lsn: Lsn(18), records: b"s." },
            Frame::NextGeneration { generation, end: Lsn(20), next, birth: 50 },
        ];
        assert_eq!(frames, expected);
    }
}
