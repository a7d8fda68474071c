//! How many cores, on which CPUs: `--cores` and `--pin`.

use std::str::FromStr;

use super::affinity;
use crate::StartError;

/// How many cores to run: `auto` or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// One for each CPU that the process may run on, or for each in the list given to `--pin`.
    Auto,
    /// This many.
    Count(usize),
}

/// Whether each core keeps to one CPU: `auto`, `yes`, `no`, or a list such as `0,2-3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinMode {
    /// Pinned; there is a CPU for every core.
    Auto,
    /// As `Auto`.
    Yes,
    /// Not pinned; several cores may then share a CPU.
    No,
    /// Core 0 on the first CPU of the list, and so on.
    List(Vec<usize>),
}

/// Where the cores run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The CPU of each core. Only a suggestion unless `pin`.
    pub cores: Vec<usize>,
    /// Whether each core is bound to its CPU.
    pub pin: bool,
}

/// More than this is a typing error.
const CORES_MAX: usize = 1024;

impl Layout {
    /// Chooses the CPUs from those that the process may run on. Errors: [`StartError::TooManyCores`] when cores would
    /// have to share CPUs and `--pin no` does not allow it; [`StartError::BadLayout`] when the list and the number
    /// disagree or the list names a CPU that is not available.
    pub fn plan(requested: Cores, pin: PinMode) -> Result<Layout, StartError> {
        let available = affinity::available()
            .map_err(|source| StartError::Os { what: "cannot read the CPU affinity".to_owned(), source })?;
        Layout::choose(requested, pin, &available)
    }

    fn choose(requested: Cores, pin: PinMode, available: &[usize]) -> Result<Layout, StartError> {
        if let Cores::Count(count @ (0 | CORES_MAX..)) = requested {
            return bad(format!("{count} cores asked for: must be at least 1 and less than {CORES_MAX}"));
        }
        match pin {
            PinMode::List(cpus) => listed(requested, cpus, available),
            PinMode::No => {
                let count = count_of(requested, available.len());
                Ok(Layout { cores: available.iter().copied().cycle().take(count).collect(), pin: false })
            }
            PinMode::Auto | PinMode::Yes => {
                let asked = count_of(requested, available.len());
                if asked > available.len() {
                    return Err(StartError::TooManyCores { asked, available: available.len() });
                }
                Ok(Layout { cores: available[..asked].to_vec(), pin: true })
            }
        }
    }
}

fn listed(requested: Cores, cpus: Vec<usize>, available: &[usize]) -> Result<Layout, StartError> {
    let asked = count_of(requested, cpus.len());
    if asked != cpus.len() {
        return bad(format!("{asked} cores asked for, but --pin lists {} CPUs", cpus.len()));
    }
    for (place, cpu) in cpus.iter().enumerate() {
        if !available.contains(cpu) {
            return bad(format!("--pin lists CPU {cpu}, which this process may not run on"));
        }
        if cpus[..place].contains(cpu) {
            return bad(format!("--pin lists CPU {cpu} twice"));
        }
    }
    Ok(Layout { cores: cpus, pin: true })
}

fn count_of(requested: Cores, automatic: usize) -> usize {
    match requested {
        Cores::Auto => automatic,
        Cores::Count(count) => count,
    }
}

fn bad<T>(message: String) -> Result<T, StartError> {
    Err(StartError::BadLayout(message))
}

impl FromStr for Cores {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Cores, StartError> {
        if text == "auto" {
            return Ok(Cores::Auto);
        }
        text.parse()
            .map(Cores::Count)
            .or_else(|_| bad(format!("'{text}' is neither auto nor a number of cores")))
    }
}

impl FromStr for PinMode {
    type Err = StartError;

    fn from_str(text: &str) -> Result<PinMode, StartError> {
        match text {
            "auto" => Ok(PinMode::Auto),
            "yes" => Ok(PinMode::Yes),
            "no" => Ok(PinMode::No),
            _ => parse_list(text).map(PinMode::List).ok_or_else(|| {
                StartError::BadLayout(format!("'{text}' is not auto, yes, no or a list such as 0,2-3"))
            }),
        }
    }
}

fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last - first >= CORES_MAX || cpus.len() >= CORES_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cores: &str, pin: &str) -> Result<(Vec<usize>, bool), String> {
        let cores = cores.parse().map_err(|e: StartError| e.to_string())?;
        let pin = pin.parse().map_err(|e: StartError| e.to_string())?;
        Layout::choose(cores, pin, &[1, 2, 5, 6]).map(|l| (l.cores, l.pin)).map_err(|e| e.to_string())
    }

    fn check(cores: &str, pin: &str, expected: &[usize], pinned: bool) {
        assert_eq!(plan(cores, pin), Ok((expected.to_vec(), pinned)), "--cores {cores} --pin {pin}");
    }

    fn check_refused(cores: &str, pin: &str, part: &str) {
        let error = plan(cores, pin).unwrap_err();
        assert!(error.contains(part), "--cores {cores} --pin {pin}: {error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn cpus_come_from_the_affinity_mask() {
        check("auto", "auto", &[1, 2, 5, 6], true);
        check("2", "auto", &[1, 2], true);
        check("3", "yes", &[1, 2, 5], true);
        check("2", "no", &[1, 2], false);
    }

    #[test]
    fn a_list_chooses_the_cpus_and_their_order() {
        check("auto", "6,1-2", &[6, 1, 2], true);
        check("2", "5-6", &[5, 6], true);
    }

    #[test]
    fn cores_share_cpus_only_when_not_pinned() {
        check("6", "no", &[1, 2, 5, 6, 1, 2], false);
        check_refused("5", "auto", "5 cores asked for, 4 available");
        check_refused("5", "yes", "5 cores asked for, 4 available");
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        check_refused("0", "auto", "at least 1");
        check_refused("100000", "no", "less than 1024");
        check_refused("two", "auto", "'two'");
        check_refused("auto", "3", "CPU 3");
        check_refused("auto", "1,1", "twice");
        check_refused("3", "1,2", "lists 2 CPUs");
        check_refused("auto", "2-1", "'2-1'");
        check_refused("auto", "", "''");
        check_refused("auto", "0-99999999999", "'0-9");
    }

    #[test]
    fn the_real_machine_has_a_layout_and_an_end() {
        let all = Layout::plan(Cores::Auto, PinMode::Auto).unwrap();
        assert!(!all.cores.is_empty() && all.pin);
        let error = Layout::plan(Cores::Count(all.cores.len() + 1), PinMode::Auto).unwrap_err();
        assert!(matches!(error, StartError::TooManyCores { .. }));
        assert_eq!(error.exit_code(), 78);
    }
}
