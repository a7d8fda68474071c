//! Lines, out of bytes that come in any pieces.

/// Collects one line at a time.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

/// A line that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {LINE_BYTES_MAX} bytes")]
pub struct LineError;

impl Lines {
    /// Takes bytes up to the end of the line, and says how many. The line comes without its end, and is there once the
    /// second value says so: get it with [`Lines::line`], before the next call.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), LineError> {
        let end = memchr::memchr(b'\n', bytes);
        let used = end.map_or(bytes.len(), |end| end + 1);
        if self.begun.len() + used > LINE_BYTES_MAX {
            return Err(LineError);
        }
        self.begun.extend_from_slice(&bytes[..used]);
        Ok((used, end.is_some()))
    }

    /// The line that is there, which ends with this.
    pub fn line(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.begun);
        assert_eq!(line.pop(), Some(b'\n'), "the line has come to its end");
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        line
    }
}

/// Bytes of a line, at most. Redis reads up to 256 from a master, and 1,024 of the line before a payload.
pub const LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (used, is_whole) = lines.take(rest).expect("short lines");
                rest = &rest[used..];
                if is_whole {
                    found.push(lines.line());
                }
            }
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"+PONG\r\n\n+OK\n\r\n-ERR a\rb\r\n";
        let whole = all(&[text]);
        assert_eq!(whole, [&b"+PONG"[..], b"", b"+OK", b"", b"-ERR a\rb"]);
        for cut in 0..text.len() {
            assert_eq!(all(&[&text[..cut], &text[cut..]]), whole, "{cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&[b'x'; LINE_BYTES_MAX]), Ok((LINE_BYTES_MAX, false)));
        assert_eq!(lines.take(b"x"), Err(LineError));
    }
}
