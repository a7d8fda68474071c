//! "Did you mean": the nearest name to a mistyped one.

use crate::{Param, table};

/// The parameter's name that differs least from `name`, if it differs little enough to be a slip.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let near =
        table::params().flat_map(Param::names).map(|known| (strsim::osa_distance(&name, known), known));
    let (distance, known) = near.min()?;
    (distance <= (name.len() / 3).clamp(1, 4)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let check = |name, expected| assert_eq!(nearest(name), expected, "{name}");
        check("maxmemroy", Some("maxmemory"));
        check("MaxMemory", Some("maxmemory"));
        check("max-memory", Some("maxmemory"));
        check("prot", Some("port"));
        check("bnd", Some("bind"));
        check("require-pass", Some("requirepass"));
        check("tcp-keep-alive", Some("tcp-keepalive"));
        check("foo", None);
        check("x", None);
        check("completely-different", None);
    }
}
