//! `cores` and `pin`: how many cores the server uses, and which.

/// At most so many cores.
pub const CORES_MAX: u16 = 1024;

/// How many cores, and so shards, the server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cores {
    /// As many as the process may run on.
    #[default]
    Auto,
    /// So many, 1 to [`CORES_MAX`].
    Exactly(u16),
}

/// Whether each core's thread is bound to one CPU.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Pin {
    /// As [`Pin::Yes`].
    #[default]
    Auto,
    /// Yes, to the CPUs that the process may run on, in their order.
    Yes,
    /// No: the kernel's scheduler moves the threads about.
    No,
    /// Yes, to these CPUs in this order, each named once.
    Cpus(Vec<u16>),
}

impl Cores {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            ["auto"] => Ok(Cores::Auto),
            [word] => match word.parse() {
                Ok(count) if (1..=CORES_MAX).contains(&count) => Ok(Cores::Exactly(count)),
                _ => Err(format!("argument must be 'auto' or between 1 and {CORES_MAX} inclusive")),
            },
            _ => Err("wrong number of arguments".into()),
        }
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cores::Auto => f.write_str("auto"),
            Cores::Exactly(count) => write!(f, "{count}"),
        }
    }
}

impl Pin {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            ["auto"] => Ok(Pin::Auto),
            ["yes"] => Ok(Pin::Yes),
            ["no"] => Ok(Pin::No),
            [list] => parse_cpus(list).map(Pin::Cpus).ok_or_else(|| PIN_FORM.into()),
            _ => Err("wrong number of arguments".into()),
        }
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pin::Auto => f.write_str("auto"),
            Pin::Yes => f.write_str("yes"),
            Pin::No => f.write_str("no"),
            Pin::Cpus(cpus) => {
                let cpus: Vec<String> = cpus.iter().map(u16::to_string).collect();
                f.write_str(&cpus.join(","))
            }
        }
    }
}

const PIN_FORM: &str = "argument must be 'auto', 'yes', 'no' or CPUs such as 0,2,4-7, each once";

/// Reads `0,2,4-7`. `None` when it is no such list, or names a CPU twice or more than [`CORES_MAX`] CPUs.
fn parse_cpus(list: &str) -> Option<Vec<u16>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || usize::from(last - first) >= usize::from(CORES_MAX) - cpus.len() {
            return None;
        }
        for cpu in first..=last {
            if cpus.contains(&cpu) {
                return None;
            }
            cpus.push(cpu);
        }
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_auto_or_a_number() {
        let check = |word: &str, expected| assert_eq!(Cores::parse(&[word]).ok(), expected, "{word}");
        check("auto", Some(Cores::Auto));
        check("1", Some(Cores::Exactly(1)));
        check("1024", Some(Cores::Exactly(1024)));
        check("0", None);
        check("1025", None);
        check("-1", None);
        check("", None);
        assert_eq!(Cores::parse(&["1", "2"]), Err("wrong number of arguments".into()));
    }

    #[test]
    fn pin_takes_a_list_of_cpus() {
        let check = |word: &str, expected: Option<&str>| {
            let got = Pin::parse(&[word]).ok().map(|pin| pin.to_string());
            assert_eq!(got.as_deref(), expected, "{word}");
        };
        check("auto", Some("auto"));
        check("yes", Some("yes"));
        check("no", Some("no"));
        check("3", Some("3"));
        check("0,2,4-7", Some("0,2,4,5,6,7"));
        check("7-4", None);
        check("1,1", None);
        check("0-5,3", None);
        check("0-1023", Some(&(0..1024).map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(",")));
        check("0-1024", None);
        check("0-1023,1024", None);
        check("a", None);
        check("", None);
        check("1,", None);
    }
}
