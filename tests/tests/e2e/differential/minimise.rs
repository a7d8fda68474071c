//! Cutting a round down to the commands that a difference takes.

use std::time::{Duration, Instant};

use super::generate::Command;
use super::run::{Difference, Pair, Round, line};

/// The smallest round found that shows a difference, as text, and the difference.
pub(super) fn report(pair: &mut Pair, mut round: Round, first: Difference) -> String {
    let mut difference = first;
    // What follows the difference has no part in it.
    round.commands.truncate(difference.at.map_or(usize::MAX, |at| at + 1));
    let mut search = Search { pair, started: Instant::now() };
    let one_by_one = Round { batch: 1, ..round.clone() };
    if let Some(found) = search.differs(&one_by_one) {
        (round, difference) = (one_by_one, found);
    } else if let Some(found) = search.differs(&round) {
        difference = found;
    } else {
        return format!("it did not happen again; the first time:\n{}", transcript(&round, &difference));
    }
    search.drop_commands(&mut round, &mut difference);
    search.drop_lines(&mut round, &mut difference);
    search.shorten_words(&mut round, &mut difference);
    transcript(&round, &difference)
}

struct Search<'a> {
    pair: &'a mut Pair,
    started: Instant,
}

impl Search<'_> {
    fn differs(&mut self, round: &Round) -> Option<Difference> {
        if self.started.elapsed() > SEARCH_MAX { None } else { self.pair.play(round) }
    }

    /// Takes out pieces, large ones first, as long as the rest still shows a difference.
    fn drop_commands(&mut self, round: &mut Round, difference: &mut Difference) {
        let mut piece = round.commands.len().div_ceil(2).max(1);
        loop {
            let mut start = 0;
            while start < round.commands.len() {
                let mut shorter = round.clone();
                shorter.commands.drain(start..(start + piece).min(round.commands.len()));
                match self.differs(&shorter) {
                    Some(found) => (*round, *difference) = (shorter, found),
                    None => start += piece,
                }
            }
            if piece == 1 {
                return;
            }
            piece = piece.div_ceil(2);
        }
    }

    /// Takes lines out of words that have several: statements of scripts.
    fn drop_lines(&mut self, round: &mut Round, difference: &mut Difference) {
        let words = |round: &Round, at: usize| 0..round.commands[at].len();
        let places: Vec<_> =
            (0..round.commands.len()).flat_map(|at| words(round, at).map(move |word| (at, word))).collect();
        for (at, word) in places {
            let mut line = 0;
            loop {
                let mut lines: Vec<&[u8]> = round.commands[at][word].split(|&byte| byte == b'\n').collect();
                if line >= lines.len() || lines.len() == 1 {
                    break;
                }
                lines.remove(line);
                let (text, mut shorter) = (lines.join(&b'\n'), round.clone());
                shorter.commands[at][word] = text;
                match self.differs(&shorter) {
                    Some(found) => (*round, *difference) = (shorter, found),
                    None => line += 1,
                }
            }
        }
    }

    /// Cuts long words in half, and drops the last words of commands.
    fn shorten_words(&mut self, round: &mut Round, difference: &mut Difference) {
        for at in 0..round.commands.len() {
            for change in [drop_last, halve_longest] {
                loop {
                    let mut shorter = round.clone();
                    if !change(&mut shorter.commands[at]) {
                        break;
                    }
                    let Some(found) = self.differs(&shorter) else { break };
                    (*round, *difference) = (shorter, found);
                }
            }
        }
    }
}

fn drop_last(command: &mut Command) -> bool {
    command.len() > 1 && command.pop().is_some()
}

fn halve_longest(command: &mut Command) -> bool {
    match command.iter_mut().skip(1).max_by_key(|word| word.len()) {
        Some(word) if word.len() >= 16 => {
            word.truncate(word.len() / 2);
            true
        }
        _ => false,
    }
}

fn transcript(round: &Round, difference: &Difference) -> String {
    let protocol = if round.resp3 { "RESP3" } else { "RESP2" };
    let batch = if round.batch > 1 { format!(", {} at once", round.batch) } else { String::new() };
    let commands: String = round.commands.iter().map(|command| format!("> {}\n", line(command))).collect();
    let at = match difference.at {
        Some(at) => round.commands.get(at).map_or_else(String::new, |command| line(command)),
        None => "the keyspace".to_owned(),
    };
    format!("{protocol}{batch}\n{commands}differs in {at}\n  {}", difference.what)
}

/// How long a smaller round is looked for: long enough for thousands that are answered, and for some in which a reply
/// never comes.
const SEARCH_MAX: Duration = Duration::from_secs(60);
