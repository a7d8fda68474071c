//! How a master may be bad on one connection.

use stdx::Rng;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// Nothing bad.
    None,
    /// It closes after so many bytes.
    Closes(u64),
    /// It says nothing more after so many bytes.
    Stalls(u64),
    /// It talks garbage from this byte on.
    Garbage(u64),
    /// It changes this byte of the payload, or of the stream behind it.
    Flips(u64),
    /// It announces so many bytes more, or fewer, than there are.
    Miscounts(i64),
    /// The payload is of a version of the future.
    Version,
    /// The payload has no keys.
    Empty,
    /// It loads, it says.
    Loading,
    /// It says that it is the replica.
    Itself,
    /// It says that it follows the replica.
    Cycle,
}

impl Lie {
    /// One of them.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let at = rng.below(500);
        match rng.below(11) {
            0 | 1 => Self::Closes(at),
            2 => Self::Stalls(at),
            3 => Self::Garbage(at),
            4 => Self::Flips(rng.below(300)),
            5 => Self::Miscounts(if rng.one_in(2) {
                1 + rng.below(40) as i64
            } else {
                -1 - rng.below(9) as i64
            }),
            6 => Self::Version,
            7 => Self::Empty,
            8 => Self::Loading,
            9 => Self::Itself,
            _ => Self::Cycle,
        }
    }
}
