//! math.random and math.randomseed: the generator of `lrand48`, so that a seed gives the same numbers on every machine,
//! and those that it gives in Redis.

use crate::lua::{Answer, Raise, Stack};

/// Replaces them in the table on top.
pub(super) fn replace_random(stack: Stack<'_>) {
    super::add(stack, "random", random);
    super::add(stack, "randomseed", seed);
}

fn random(stack: Stack<'_>) -> Answer {
    let state = &stack.context().random;
    let next = (state.get().wrapping_mul(MULTIPLIER) + INCREMENT) & MASK;
    state.set(next);
    // As in Redis: what the generator gives modulo its largest number, over that number.
    let drawn = (next >> 17) % LARGEST;
    let share = drawn as f64 / LARGEST as f64;
    let (low, high) = match stack.top() {
        0 => {
            stack.push_number(share);
            return Ok(1);
        }
        1 => (1, as_int(stack.check_integer(1)?)),
        2 => (as_int(stack.check_integer(1)?), as_int(stack.check_integer(2)?)),
        _ => return Err(Raise::Text("wrong number of arguments")),
    };
    if low > high {
        return Err(Raise::Argument(stack.top(), c"interval is empty"));
    }
    stack.push_number((share * f64::from(high.wrapping_sub(low).wrapping_add(1))).floor() + f64::from(low));
    Ok(1)
}

fn seed(stack: Stack<'_>) -> Answer {
    let seed = as_int(stack.check_integer(1)?);
    stack.context().random.set(state_of(seed));
    Ok(0)
}

/// The generator's state for a seed.
fn state_of(seed: i32) -> u64 {
    (u64::from(seed as u32) << 16) + 0x330E
}

/// A C `int` of a longer one.
fn as_int(value: i64) -> i32 {
    value as i32
}

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
const LARGEST: u64 = i32::MAX as u64;
