//! `save`: after how many changes, and at the earliest after how long, a snapshot is taken by itself.

/// A snapshot is due when at least `changes` were made since the last one, and that is more than `seconds` ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// At least 1.
    pub seconds: u64,
    /// May be 0.
    pub changes: u64,
}

/// All of them; a snapshot is due when any is reached.
///
/// A configuration file has one per line: the first line takes the place of the defaults, the next ones add to it. CONFIG
/// SET replaces all ([`SavePoints::seal`]).
#[derive(Clone, Debug, Default)]
pub struct SavePoints {
    points: Vec<SavePoint>,
    phase: Phase,
}

/// Where the points come from, and so what the next setting does to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// From nowhere: the next are the defaults.
    #[default]
    Blank,
    /// They are whole: the next take their place.
    Sealed,
    /// From a line of a file: the next add to them.
    Open,
}

impl SavePoints {
    /// The points, in the order in which they were given.
    pub fn as_slice(&self) -> &[SavePoint] {
        &self.points
    }

    /// The next setting takes the place of what is there.
    pub(crate) fn seal(&mut self) {
        self.phase = Phase::Sealed;
    }

    /// Reads pairs of seconds and changes. One empty word is no point, and undoes those before it.
    pub(crate) fn set(&mut self, words: &[&str]) -> Result<(), String> {
        let words = if words == [""] { &[] } else { words };
        if words.len() % 2 != 0 {
            return Err(INVALID.into());
        }
        let points: Vec<SavePoint> =
            words.chunks_exact(2).map(SavePoint::parse).collect::<Option<_>>().ok_or(INVALID)?;
        if self.phase != Phase::Open || points.is_empty() {
            self.points.clear();
        }
        for point in points {
            if !self.points.contains(&point) {
                self.points.push(point);
            }
        }
        self.phase = if self.phase == Phase::Blank { Phase::Sealed } else { Phase::Open };
        Ok(())
    }

    /// One line for each point as a configuration file has it.
    pub(crate) fn lines(&self) -> Vec<String> {
        if self.points.is_empty() {
            return vec!["\"\"".into()];
        }
        self.points.iter().map(SavePoint::to_string).collect()
    }
}

impl PartialEq for SavePoints {
    fn eq(&self, other: &Self) -> bool {
        self.points == other.points
    }
}

impl std::fmt::Display for SavePoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.points.iter().map(SavePoint::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl SavePoint {
    fn parse(words: &[&str]) -> Option<Self> {
        let seconds = words[0].parse().ok().filter(|seconds| (1..=NUMBER_MAX).contains(seconds))?;
        let changes = words[1].parse().ok().filter(|changes| *changes <= NUMBER_MAX)?;
        Some(Self { seconds, changes })
    }
}

impl std::fmt::Display for SavePoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.seconds, self.changes)
    }
}

const INVALID: &str = "Invalid save parameters";
/// Redis keeps them in an `int`.
const NUMBER_MAX: u64 = i32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a file, one after the other, over the defaults.
    #[track_caller]
    fn check(lines: &[&str], expected: Result<&str, &str>) {
        let mut points = SavePoints::default();
        points.set(&["3600", "1"]).expect("the defaults");
        let set = lines.iter().try_for_each(|line| points.set(&line.split(' ').collect::<Vec<_>>()));
        let got = set.map(|()| points.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{lines:?}");
    }

    #[test]
    fn the_first_line_replaces_the_defaults_and_others_add() {
        check(&[], Ok("3600 1"));
        check(&["60 10"], Ok("60 10"));
        check(&["60 10", "300 5", "60 10"], Ok("60 10 300 5"));
        check(&["60 10 300 0"], Ok("60 10 300 0"));
        check(&[""], Ok(""));
        check(&["60 10", "", "300 5"], Ok("300 5"));
    }

    #[test]
    fn config_set_replaces_all() {
        let mut points = SavePoints::default();
        for line in ["3600 1", "60 10"] {
            points.set(&line.split(' ').collect::<Vec<_>>()).unwrap();
        }
        points.seal();
        points.set(&["1", "2"]).unwrap();
        assert_eq!(points.as_slice(), [SavePoint { seconds: 1, changes: 2 }]);
        assert_eq!(points.lines(), ["1 2"]);
        points.set(&[""]).unwrap();
        assert_eq!(points.lines(), ["\"\""]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["60", "0 1", "60 -1", "x 1", "60 1 5", "60 1x", "2147483648 1"] {
            check(&[line], Err(INVALID));
        }
    }
}
