//! What a hop between cores costs: CPU per hop of the whole process, from /proc.
//!
//! `hop [ROUNDS] [MESSAGES]`: core 0 sends MESSAGES to core 1 in one turn, which answers them in one turn; ROUNDS times.

use std::fs;
use std::sync::Mutex;
use std::time::Instant;

use reactor::StartError;
use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::mailbox::{self, Batch};

#[derive(Default)]
struct Numbers(Vec<u64>);

impl Batch for Numbers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn main() -> Result<(), StartError> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let rounds: u64 = args.next().unwrap_or(100_000);
    let messages: u64 = args.next().unwrap_or(1);
    let layout = Layout::plan(Cores::Count(2), PinMode::Auto)?;
    let ports = Mutex::new(mailbox::mesh::<Numbers>(2).into_iter().map(Some).collect::<Vec<_>>());
    let (begin, cpu) = (Instant::now(), cpu_ns());
    cores::run(&layout, move |core| {
        let ports = ports.lock().unwrap()[core.index].take().unwrap();
        async move {
            let mailbox = ports.open();
            for _ in 0..rounds {
                if core.index == 0 {
                    (0..messages).for_each(|number| mailbox.outbox(1, |batch| batch.0.push(number)));
                }
                let (from, mut batch) = mailbox.recv().await;
                if core.index == 1 {
                    batch.0.iter().for_each(|number| mailbox.outbox(from, |batch| batch.0.push(*number)));
                }
                batch.0.clear();
                mailbox.recycle(from, batch);
            }
            mailbox.flush_now();
            if core.index == 0 {
                let hops = (rounds * messages * 2) as f64;
                let (wall, cpu) = (begin.elapsed().as_nanos() as f64, (cpu_ns() - cpu) as f64);
                println!("{:.2} us CPU and {:.2} us per hop", cpu / hops / 1000.0, wall / hops / 1000.0);
            }
        }
    })
}

fn cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("a /proc");
    let used = |path: std::path::PathBuf| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(|task| used(task.ok()?.path())).sum()
}
