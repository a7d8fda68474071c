//! HyperLogLogs: about how many different elements were added, in at most 12 KiB. A HyperLogLog is a string, to the
//! byte as Redis keeps it, so that GET, SET, DUMP and replication carry it between both.
//!
//! ```text
//!  | "HYLL" | encoding | unused | cardinality as last counted | registers                |
//!  | 4      | 1        | 3      | 8, little-endian; its top   | dense: 12,288 bytes;     |
//!  |        |          |        | bit says that it is stale   | sparse: a run of opcodes |
//! ```
//!
//! An element's hash chooses one of 16,384 registers; the register keeps the longest run of zero bits seen in the rest
//! of such hashes, plus one. Source: Redis 7.2, `hyperloglog.c`; O. Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches", arXiv:1702.01284.

mod dense;
mod estimate;
mod hash;
mod sparse;

pub use sparse::{Opcode, opcodes};

/// How the registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of equal ones: short while most are 0.
    Sparse,
}

/// The opcodes of a sparse HyperLogLog do not make up all registers. Only a client that wrote its bytes can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are left.
const RUN_BITS: u32 = 64 - INDEX_BITS;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// In the cardinality's last byte: it is stale.
const STALE: u8 = 0x80;

/// The encoding of `bytes`, or `None` when they are no HyperLogLog. Of a sparse one only the header is looked at:
/// what reads its opcodes may find them [`Corrupt`].
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        DENSE if bytes.len() == DENSE_BYTES => Some(Encoding::Dense),
        SPARSE => Some(Encoding::Sparse),
        _ => None,
    }
}

/// Makes `bytes`, which are empty, a HyperLogLog without elements.
pub fn init(bytes: &mut Vec<u8>) {
    assert!(bytes.is_empty());
    bytes.extend_from_slice(MAGIC);
    bytes.resize(HEADER_BYTES, 0);
    bytes[ENCODING_AT] = SPARSE;
    sparse::push_zeros(bytes, REGISTERS);
}

/// Adds an element to a HyperLogLog, which becomes dense rather than take more than `sparse_bytes_max` as a sparse
/// one. Returns whether that changed it; its cardinality is then stale.
pub fn add(hll: &mut Vec<u8>, element: &[u8], sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let (index, count) = hash::register(element);
    raise(hll, index, count, sparse_bytes_max)
}

/// Raises register `index` to `count`, if it is lower. Otherwise as [`add`].
pub fn raise(hll: &mut Vec<u8>, index: usize, count: u8, sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    let changed = match hll[ENCODING_AT] {
        DENSE => dense::raise(&mut hll[HEADER_BYTES..], index, count),
        _ => match sparse::raise(hll, index, count, sparse_bytes_max)? {
            sparse::Raised::Done(changed) => changed,
            sparse::Raised::DoesNotFit => {
                make_dense(hll)?;
                dense::raise(&mut hll[HEADER_BYTES..], index, count)
            }
        },
    };
    if changed {
        set_stale(hll);
    }
    Ok(changed)
}

/// Raises each register to that of `all`; the cardinality is then stale, whether or not one was lower.
pub fn raise_all(hll: &mut Vec<u8>, all: &Registers, sparse_bytes_max: usize) -> Result<(), Corrupt> {
    for (index, value) in all.values().iter().enumerate().filter(|(_, value)| **value > 0) {
        if hll[ENCODING_AT] == DENSE {
            dense::raise_all(&mut hll[HEADER_BYTES..], all.values());
            break;
        }
        raise(hll, index, *value, sparse_bytes_max)?;
    }
    set_stale(hll);
    Ok(())
}

/// Makes a sparse HyperLogLog dense; says whether it was sparse. A corrupt one stays as it is.
pub fn make_dense(hll: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if hll[ENCODING_AT] == DENSE {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&hll[..HEADER_BYTES]);
    dense[ENCODING_AT] = DENSE;
    sparse::each_run(&hll[HEADER_BYTES..], |registers, value| {
        registers.for_each(|index| dense::write(&mut dense[HEADER_BYTES..], index, value));
    })?;
    *hll = dense;
    Ok(true)
}

/// The cardinality as last counted, unless it is stale.
pub fn cached(hll: &[u8]) -> Option<u64> {
    let bytes = hll[CARDINALITY_AT..HEADER_BYTES].try_into().expect("eight bytes");
    (hll[HEADER_BYTES - 1] & STALE == 0).then(|| u64::from_le_bytes(bytes))
}

/// Keeps what [`count`] returned.
pub fn set_cached(hll: &mut [u8], cardinality: u64) {
    hll[CARDINALITY_AT..HEADER_BYTES].copy_from_slice(&cardinality.to_le_bytes());
}

/// Makes the cardinality stale.
pub fn set_stale(hll: &mut [u8]) {
    hll[HEADER_BYTES - 1] |= STALE;
}

/// Estimates the cardinality from the registers.
pub fn count(hll: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = estimate::Histogram::default();
    let registers = &hll[HEADER_BYTES..];
    if hll[ENCODING_AT] == DENSE {
        dense::each_eight(registers, |_, word| histogram.count_eight(word));
    } else {
        let mut values = 0;
        sparse::each_run(registers, |run, value| {
            values += run.len();
            histogram.count_run(value, run.len(), run.start);
        })?;
        histogram.count_run(0, REGISTERS - values, 0);
    }
    Ok(histogram.cardinality())
}

/// The value of every register.
#[derive(Clone, Debug)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Self(vec![0; REGISTERS].into_boxed_slice().try_into().expect("as many as there are registers"))
    }
}

impl Registers {
    /// Raises each register to that of a HyperLogLog. One that is corrupt may have raised some.
    pub fn merge(&mut self, hll: &[u8]) -> Result<(), Corrupt> {
        let (registers, all) = (&hll[HEADER_BYTES..], &mut self.0);
        if hll[ENCODING_AT] == DENSE {
            let (all, _) = all.as_chunks_mut::<8>();
            dense::each_eight(registers, |first, word| {
                let own = u64::from_le_bytes(all[first / 8]);
                all[first / 8] = dense::higher(own, word).to_le_bytes();
            });
            return Ok(());
        }
        sparse::each_run(registers, |run, value| {
            all[run].iter_mut().for_each(|own| *own = value.max(*own));
        })
    }

    /// Estimates the cardinality.
    pub fn count(&self) -> u64 {
        let mut histogram = estimate::Histogram::default();
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().for_each(|word| histogram.count_eight(u64::from_le_bytes(*word)));
        histogram.cardinality()
    }

    /// Each register's value, in order.
    pub fn values(&self) -> &[u8] {
        &self.0[..]
    }
}

const _: () = assert!(REGISTERS.is_multiple_of(8) && DENSE_BYTES == 12_304);

#[cfg(test)]
mod tests;
