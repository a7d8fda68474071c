//! A file, or anything that is read like one, from front to back by a thread of its own, piece after piece, never further ahead than its buffers reach.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::task::Poll;
use std::thread;

use crate::bell::{Bell, Listening, bell};
use crate::cores;

/// The pieces of a file, in order. Dropped, it ends the thread at its next piece.
pub struct Pieces {
    filled: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    bell: Listening,
}

impl Pieces {
    /// Begins to read `source` in pieces of `piece_bytes`, of which at most `pieces_max` are in memory. On a core. Errors: no
    /// thread or descriptor to be had.
    pub fn read(
        source: impl Read + Send + 'static,
        piece_bytes: usize,
        pieces_max: usize,
    ) -> io::Result<Self> {
        assert!(piece_bytes > 0 && pieces_max > 0, "pieces of something");
        let (done, ear) = bell()?;
        // Bounded by the buffers that go round.
        let ((give, filled), (empty, take)) = (channel(), channel());
        for _ in 0..pieces_max {
            empty.send(Vec::new()).expect("the other end is here");
        }
        thread::Builder::new().name("lacewing-read".to_owned()).spawn(move || {
            cores::unpin();
            read_all(source, piece_bytes, &take, &give, &done);
        })?;
        Ok(Self { filled, empty, bell: ear.listen()? })
    }

    /// Waits for the next piece: full, but for the last; `None` after that. Errors: the file's; nothing comes after one.
    pub async fn next(&self) -> io::Result<Option<Vec<u8>>> {
        poll_fn(|cx| {
            loop {
                match self.filled.try_recv() {
                    Ok(Ok(piece)) if piece.is_empty() => return Poll::Ready(Ok(None)),
                    Ok(result) => return Poll::Ready(result.map(Some)),
                    Err(TryRecvError::Disconnected) => return Poll::Ready(Ok(None)),
                    Err(TryRecvError::Empty) if self.bell.poll_rung(cx).is_pending() => return Poll::Pending,
                    Err(TryRecvError::Empty) => {}
                }
            }
        })
        .await
    }

    /// Gives a piece's buffer back, for another piece.
    pub fn give_back(&self, piece: Vec<u8>) {
        // Nobody wants it when the file is at its end.
        let _ = self.empty.send(piece);
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").finish_non_exhaustive()
    }
}

/// Ends with an empty piece or an error, or when nobody listens.
fn read_all(
    mut file: impl Read,
    piece_bytes: usize,
    empty: &Receiver<Vec<u8>>,
    filled: &Sender<io::Result<Vec<u8>>>,
    bell: &Bell,
) {
    while let Ok(mut piece) = empty.recv() {
        piece.resize(piece_bytes, 0);
        let result = fill(&mut file, &mut piece).map(|len| {
            piece.truncate(len);
            piece
        });
        let is_last = !result.as_ref().is_ok_and(|piece| !piece.is_empty());
        if filled.send(result).is_err() {
            return;
        }
        bell.ring();
        if is_last {
            return;
        }
    }
}

/// Reads until `piece` is full or the file ends: how many bytes.
fn fill(file: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < piece.len() {
        match file.read(&mut piece[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Seek, Write};

    /// The lengths of the pieces that a file of `len` bytes is read in; its bytes are compared.
    fn check(len: usize, expected: &[usize]) {
        let bytes: Vec<u8> = (0..len).map(|number| number as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        let ((give, filled), (empty, take)) = (channel(), channel());
        let (bell, _ear) = bell().unwrap();
        for _ in 0..=expected.len() {
            empty.send(Vec::new()).unwrap();
        }
        read_all(file, 10, &take, &give, &bell);
        drop(give);
        let pieces: Vec<Vec<u8>> = filled.iter().map(Result::unwrap).collect();
        let (last, pieces) = pieces.split_last().expect("the end is told");
        assert!(last.is_empty());
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        assert_eq!(pieces.concat(), bytes);
    }

    #[test]
    fn a_file_comes_in_pieces_and_its_end_is_told() {
        check(0, &[]);
        check(3, &[3]);
        check(10, &[10]);
        check(25, &[10, 10, 5]);
    }

    #[test]
    fn no_more_is_read_than_there_are_buffers_for() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; 100]).unwrap();
        file.rewind().unwrap();
        let ((give, filled), (empty, take)) = (channel(), channel());
        let (bell, _ear) = bell().unwrap();
        empty.send(Vec::new()).unwrap();
        empty.send(Vec::new()).unwrap();
        drop(empty);
        read_all(file, 10, &take, &give, &bell);
        drop(give);
        assert_eq!(filled.iter().count(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path()).unwrap();
        let ((give, filled), (empty, take)) = (channel(), channel());
        let (bell, _ear) = bell().unwrap();
        empty.send(Vec::new()).unwrap();
        read_all(file, 10, &take, &give, &bell);
        assert!(filled.recv().unwrap().is_err());
    }
}
