//! Function libraries, as FUNCTION DUMP writes them and RESTORE takes them: an opcode and the code of each, in the
//! envelope of DUMP.

use crate::dump::{close, opened};
use crate::error::Error;
use crate::length::{Input, Packer, write_string};
use crate::opcode::{FUNCTION_BEFORE_RELEASE, FUNCTION2};
use crate::write::Version;
use std::borrow::Cow;

/// Why a payload holds no libraries. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionsError {
    /// It is no payload for this server: version, checksum.
    #[error("{0}")]
    Foreign(Error),
    /// It is one of another thing than libraries.
    #[error("opcode {0} is not that of a library")]
    OtherKind(u8),
    /// It was written by a version of Redis 7 before its release.
    #[error("libraries of a version before the release")]
    BeforeRelease,
    /// Its bytes are not libraries.
    #[error("{0}")]
    Bad(Error),
}

/// Appends an envelope with libraries of these codes, as Redis 7.0 can read it.
pub fn dump_functions<'a>(codes: impl Iterator<Item = &'a [u8]>, compress: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let mut packer = Packer::all(compress);
    for code in codes {
        out.push(FUNCTION2);
        write_string(out, code, &mut packer);
    }
    close(start, Version::V10 as u16, out);
}

/// The codes of the libraries in an envelope.
pub fn restore_functions(payload: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, FunctionsError> {
    let (body, _) = opened(payload).map_err(FunctionsError::Foreign)?;
    let mut input = Input::new(body);
    let mut codes = Vec::new();
    while input.left() > 0 {
        match input.byte().map_err(FunctionsError::Bad)? {
            FUNCTION2 => codes.push(input.string().map_err(FunctionsError::Bad)?),
            FUNCTION_BEFORE_RELEASE => return Err(FunctionsError::BeforeRelease),
            other => return Err(FunctionsError::OtherKind(other)),
        }
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_back() {
        for codes in [&[][..], &[&b"#!lua name=a\n"[..], &[b'x'; 5000]]] {
            let mut payload = b"before".to_vec();
            dump_functions(codes.iter().copied(), true, &mut payload);
            let restored = restore_functions(&payload["before".len()..]).expect("a payload");
            assert!(restored.iter().map(|code| &**code).eq(codes.iter().copied()));
        }
    }

    #[test]
    fn what_is_no_payload_of_libraries_is_refused() {
        let envelope = |body: &[u8]| {
            let mut payload = body.to_vec();
            close(0, 10, &mut payload);
            payload
        };
        let check = |payload: &[u8], expected: FunctionsError| {
            assert_eq!(restore_functions(payload), Err(expected), "{payload:?}");
        };
        check(b"short", FunctionsError::Foreign(Error::Short { at: 5 }));
        check(&envelope(&[0, 1, b'x']), FunctionsError::OtherKind(0));
        check(&envelope(&[246, 1]), FunctionsError::BeforeRelease);
        assert!(matches!(restore_functions(&envelope(&[245, 9, b'x'])), Err(FunctionsError::Bad(_))));
        let mut damaged = envelope(&[245, 1, b'x']);
        damaged[2] = b'y';
        let refused = restore_functions(&damaged);
        assert!(matches!(refused, Err(FunctionsError::Foreign(Error::Checksum { .. }))), "{refused:?}");
    }
}
