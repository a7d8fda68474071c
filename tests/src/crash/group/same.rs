//! When it has become quiet: all members of a group have the same.

use std::time::{Duration, Instant};

use resp::Value;

use super::members::Members;
use crate::crash::look::look;
use crate::{Client, show};

impl Members {
    /// Waits until all who follow have what the master has. `modelled` databases are compared by their values too, and `strange` has all
    /// kinds. Errors: they have not, in all the time there is, and where they differ.
    pub(super) fn become_same(&mut self, modelled: usize, strange: usize) -> Result<(), String> {
        for node in &self.nodes {
            let pong = node.line("PING")?;
            // Who loads, or serves no old data, says so, as in Redis.
            if !["+PONG", "-LOADING", "-MASTERDOWN"].iter().any(|answer| pong.starts_with(answer)) {
                return Err(format!("node {} answers {pong}", node.number));
            }
        }
        let master = self.master();
        let mut order: Vec<usize> = self.direct();
        order.extend(
            (0..self.nodes.len())
                .filter(|number| *number != master && !order.contains(number))
                .collect::<Vec<_>>(),
        );
        for number in order {
            let began = Instant::now();
            loop {
                match self.difference(master, number, modelled, strange) {
                    Ok(()) => break,
                    Err(_) if self.insists(number)? => {}
                    Err(what) if began.elapsed() > SAME_MAX => {
                        let info = self.nodes[number].line("INFO replication").unwrap_or_default();
                        return Err(format!("node {number} is not as node {master} is: {what}\n{info}"));
                    }
                    Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
                }
            }
            self.tell(format!(
                "node {number} is as node {master} after {:.3} s",
                began.elapsed().as_secs_f64()
            ));
        }
        self.nodes.iter().try_for_each(|node| node.check_log())
    }

    /// A master that has begun anew with much less, as after a FLUSHDB that a replica did not hear of, is followed when the operator says
    /// so. Whether that was to be said.
    fn insists(&mut self, number: usize) -> Result<bool, String> {
        let error = self.nodes[number].field("master_link_last_error")?;
        let is_put_off = error.is_some_and(|error| error.contains("has begun anew, with"));
        if is_put_off {
            self.nodes[number].line("CONFIG SET replica-accept-less yes")?;
            let follows =
                || Ok::<_, String>(self.nodes[number].field("master_link_status")?.as_deref() == Some("up"));
            let began = Instant::now();
            while !follows()? && began.elapsed() < SAME_MAX {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            self.nodes[number].line("CONFIG SET replica-accept-less no")?;
            self.tell(format!("node {number} takes less, after {:.3} s", began.elapsed().as_secs_f64()));
        }
        Ok(is_put_off)
    }

    fn difference(&self, one: usize, other: usize, modelled: usize, strange: usize) -> Result<(), String> {
        if self.nodes[other].field("master_link_status")?.as_deref() != Some("up") {
            return Err("its link is not up".to_owned());
        }
        let digests = [one, other].map(|number| self.nodes[number].line("DEBUG DIGEST"));
        let [digest, other_digest] = digests;
        if digest? != other_digest? {
            return Err(self
                .first_difference(one, other, modelled, strange)
                .unwrap_or("the digest".to_owned()));
        }
        match self.first_difference(one, other, modelled, strange) {
            Some(difference) => Err(difference),
            None => Ok(()),
        }
    }

    /// Where two members differ, by their values.
    fn first_difference(&self, one: usize, other: usize, modelled: usize, strange: usize) -> Option<String> {
        let are_alike = self.nodes[one].kind == self.nodes[other].kind;
        let mut clients = [one, other]
            .map(|number| self.nodes[number].place.get().and_then(|addr| Client::try_connect(addr).ok()));
        let [Some(one), Some(other)] = &mut clients else { return Some("one does not run".to_owned()) };
        let (seen, other_seen) = match (look(one, modelled), look(other, modelled)) {
            (Ok((seen, _)), Ok((other_seen, _))) => (seen, other_seen),
            (Err(what), _) | (_, Err(what)) => return Some(what),
        };
        for (db, (seen, other_seen)) in seen.iter().zip(&other_seen).enumerate() {
            for key in seen.keys().chain(other_seen.keys()) {
                if seen.get(key) != other_seen.get(key) {
                    let brief = |what: String| what.chars().take(300).collect::<String>();
                    let (have, has) = (seen.get(key), other_seen.get(key));
                    return Some(format!(
                        "{key} in database {db}: {}, and {}",
                        brief(format!("{have:?}")),
                        brief(format!("{has:?}"))
                    ));
                }
            }
        }
        strange_difference(one, other, strange, are_alike)
    }
}

/// The same of keys of any kind. How many entries a group has read is told to a Redis's replicas by no command, so one of its own may count
/// otherwise than it does.
fn strange_difference(one: &mut Client, other: &mut Client, db: usize, are_alike: bool) -> Option<String> {
    let mut names = [&mut *one, &mut *other].map(|client| {
        client.call(&["SELECT", &db.to_string()]);
        let Value::Array(keys) = client.call(&["KEYS", "*"]) else { return Vec::new() };
        let mut keys: Vec<_> = keys.iter().map(|key| show(key).trim_matches('"').to_owned()).collect();
        keys.sort();
        keys
    });
    let [names, others] = &mut names;
    if names != others {
        return Some(format!("keys in database {db}: {names:?}, and {others:?}"));
    }
    for key in names {
        let mut ask = |line: &str| [one.line(line), other.line(line)];
        let mut lines = vec![format!("DEBUG DIGEST-VALUE {key}"), format!("PEXPIRETIME {key}")];
        if key.starts_with('x') {
            lines.extend([format!("XRANGE {key} - +"), format!("XPENDING {key} g")]);
            lines.extend(are_alike.then(|| format!("XINFO GROUPS {key}")));
        }
        for line in lines {
            let [here, there] = ask(&line);
            // What is no stream, or has no group, is answered with errors, which differ.
            if here != there && !(here.starts_with('-') && there.starts_with('-')) {
                return Some(format!("{line} in database {db}: {here}, and {there}"));
            }
        }
    }
    None
}

/// How long it may take, also on a machine that is busy: a link that has failed often is tried again after 16 s.
const SAME_MAX: Duration = Duration::from_secs(60);
