//! PFSELFTEST.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use datatypes::hll::{self, Encoding};
use stdx::Args;

/// Adds random elements to a HyperLogLog that may be sparse and to a dense one: both must agree, and be near. Redis
/// adds ten million and stands still for seconds; fewer show the same, within milliseconds.
pub(super) fn pfselftest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let sparse_max = value::sparse_bytes_max(ctx);
    let seed = ctx.core.rng.next_u64();
    let (mut free, mut dense) = (Vec::new(), Vec::new());
    hll::init(&mut free);
    hll::init(&mut dense);
    hll::make_dense(&mut dense)?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        hll::add(&mut free, &element, sparse_max)?;
        hll::add(&mut dense, &element, sparse_max)?;
        if number == checkpoint {
            check(&free, &dense, number, sparse_max)?;
            checkpoint *= 10;
        }
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn check(free: &[u8], dense: &[u8], number: u64, sparse_max: usize) -> Result<(), CommandError> {
    if number < sparse_max as u64 / 2 && hll::encoding(free) != Some(Encoding::Sparse) {
        return Err("ERR TESTFAILED sparse encoding not used".into());
    }
    let count = hll::count(dense)?;
    if hll::count(free)? != count {
        return Err("ERR TESTFAILED dense/sparse disagree".into());
    }
    let error = number.abs_diff(count);
    if error > 1 + (number as f64 * ERROR_MAX) as u64 {
        return Err(format!("ERR TESTFAILED Too big error. card:{number} abserr:{error}").into());
    }
    Ok(())
}

const ELEMENTS: u64 = 100_000;
/// Six standard errors of 16,384 registers.
const ERROR_MAX: f64 = 6.0 * 1.04 / 128.0;

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn it_passes() {
        check(&["PFSELFTEST"], "+OK");
        check(&["PFSELFTEST x"], "-ERR wrong number of arguments for 'pfselftest' command");
    }
}
