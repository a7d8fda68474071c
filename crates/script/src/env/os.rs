//! os: the clock, and nothing else of it.

use crate::lua::{Answer, Stack};

pub(super) fn push(stack: Stack<'_>) {
    stack.push_table(0, 1);
    super::add(stack, "clock", clock);
}

/// Processor time in seconds.
fn clock(stack: Stack<'_>) -> Answer {
    let nanos = (stack.context().hooks.cpu_nanos)();
    // As fine as C's clock().
    stack.push_number((nanos / 1000) as f64 / 1e6);
    Ok(1)
}
