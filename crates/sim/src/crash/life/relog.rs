//! The log ends while the server runs, and another begins with a set that is written meanwhile.

use aof::Encoder;
use durable::generation::{self, Past};
use durable::log::LogWriter;
use durable::manifest::Position;

use super::{ATTEMPTS, Failed, KEYS, Planted, Server, Spares, World};
use aof::Lsn;

impl World {
    /// Nothing is promised of what is written from the end of the old log on, until the new one has begun.
    pub(super) fn relog(&mut self, server: &mut Server) -> Result<(), Failed> {
        self.cut(server)?;
        for _ in 0..self.rng.below(3) {
            let (key, step) = (self.rng.below(KEYS) as u32, self.next_step());
            server.data.insert(key, step);
            self.history.wrote(step, &[key], false);
        }
        server.untold = Some(Vec::new());
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.begin_log(server) {
                Ok(()) => {
                    let untold = server.untold.take().unwrap_or_default();
                    untold.into_iter().for_each(|step| self.history.acknowledged(step));
                    self.report.relogs += 1;
                    return Ok(());
                }
                Err(failed) if self.disk.is_dead() => return Err(failed),
                Err(failed) => last = Some(failed),
            }
        }
        // It goes on without a log; here that is its end.
        server.has_no_log = true;
        Err(last.expect("it was tried"))
    }

    /// One attempt. What was written into the logs of an earlier one is in the set of this one.
    fn begin_log(&mut self, server: &mut Server) -> Result<(), Failed> {
        let beginning = self.beginning(server.logs.len() as u16, Past::default());
        let (mut waiting, logs) = generation::begin_later(&server.places, beginning, &server.identity)?;
        server.generation = waiting.generation();
        server.take_up(logs);
        let last = self.step;
        let position = Position { generation: waiting.generation(), cut: 0, lsns: Vec::new() };
        let begun = match self.write_set(server, position) {
            Ok(0) => Err(Failed("the set was given up".to_owned())),
            Ok(set) => {
                self.history.made_safe(last);
                waiting.begin(&server.places, set, &mut server.identity).map_err(Failed::from)
            }
            Err(failed) => Err(failed),
        };
        if begun.is_err() {
            // What cannot be removed counts for nothing all the same.
            let _ = waiting.give_up(&server.places);
        }
        begun
    }

    /// The client is told of what was written, or will be when the log has begun that has it.
    pub(super) fn tell(&mut self, server: &mut Server, step: u64) {
        match &mut server.untold {
            Some(untold) if self.planted != Some(Planted::WaitingLogsCount) => untold.push(step),
            _ => self.history.acknowledged(step),
        }
    }
}

impl Server {
    /// Writes these logs from now on; the place at which they begin is a cut.
    pub(super) fn take_up(&mut self, logs: Vec<LogWriter>) {
        self.cut += 1;
        // None is a record of these logs.
        self.durable_cut = 0;
        self.encoders = logs.iter().map(|log| Encoder::new(*log.log(), Lsn(0))).collect();
        self.stalled = vec![Vec::new(); logs.len()];
        self.spares = logs.iter().map(|_| Spares::default()).collect();
        self.logs = logs;
    }
}
