//! The cores of the server: which CPUs, and one executor on each.

mod affinity;
mod layout;
mod probe;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};

use crate::{StartError, turn, uring, watch};

pub use affinity::{offer_cpu, ran_and_waited, stand_aside, stand_back, unpin};
pub use layout::{Cores, Layout, PinMode};
pub use probe::{probe, raise_nofile};

/// What a core's future learns about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreHandle {
    /// This core's number, from 0.
    pub index: usize,
    /// The number of cores.
    pub count: usize,
}

/// Never, in effect: a turn ends when all tasks that are ready have run. A completed preempt timer is one of the things
/// on the latency ring that can send glommio to sleep with tasks ready (docs/decisions/0006-wake-ups.md); long tasks give
/// way by [`crate::task::yield_if_needed`] instead.
const PREEMPT_TIMER: Duration = Duration::from_secs(24 * 3600);
/// Entries of each ring. Completions beyond twice this many wait in a list in the kernel, none is lost.
const RING_ENTRIES: usize = 512;
/// Registered memory for direct I/O, which nothing uses: glommio's least. Its default would not fit a usual memlock limit.
const IO_MEMORY_BYTES: usize = 64 * 1024;

/// Starts an executor per core on a thread of its own, named `lacewing-N`, and runs on each the future that `start`
/// makes for it. Returns when all have finished. Tasks still waiting then are forgotten, not dropped.
///
/// No future starts before all executors exist: an error means that nothing ran. A panic on any core ends the process.
pub fn run<F, Fut>(layout: &Layout, start: F) -> Result<(), StartError>
where
    F: Fn(CoreHandle) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    register_membarrier();
    affinity::remember().map_err(|source| os("cannot read the CPU affinity", source))?;
    let start = Arc::new(start);
    let count = layout.cores.len();
    let (report, reports) = mpsc::channel();
    let mut cores = Vec::with_capacity(count);
    for (index, &cpu) in layout.cores.iter().enumerate() {
        let plan = CorePlan { handle: CoreHandle { index, count }, cpu: layout.pin.then_some(cpu) };
        cores.push(spawn_core(plan, Arc::clone(&start), report.clone())?);
    }
    drop(report);
    let made: Result<Vec<()>, StartError> = reports.iter().take(count).collect();
    // Dropping the go-ahead unused sends the other cores home.
    made?;
    let threads: Vec<JoinHandle<()>> = cores.into_iter().map(Core::release).collect();
    for thread in threads {
        thread.join().expect("a panic on a core aborts the process");
    }
    Ok(())
}

struct CorePlan {
    handle: CoreHandle,
    cpu: Option<usize>,
}

/// A started thread that waits for the go-ahead. Dropped without it, the thread ends.
struct Core {
    thread: JoinHandle<()>,
    go: mpsc::Sender<()>,
}

impl Core {
    fn release(self) -> JoinHandle<()> {
        // A core that is gone has panicked, and that aborts the process.
        let _ = self.go.send(());
        self.thread
    }
}

fn spawn_core<F, Fut>(
    plan: CorePlan,
    start: Arc<F>,
    report: mpsc::Sender<Result<(), StartError>>,
) -> Result<Core, StartError>
where
    F: Fn(CoreHandle) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (go, wait) = mpsc::channel();
    let name = format!("lacewing-{}", plan.handle.index);
    let body = move || {
        let _guard = AbortOnPanic;
        let made = make_executor(&plan);
        let (result, executor) = match made {
            Ok(made) => (Ok(()), Some(made)),
            Err(error) => (Err(error), None),
        };
        // Nobody listens only when another core has failed already.
        let _ = report.send(result);
        drop(report);
        if let (Some((executor, epoll)), Ok(())) = (executor, wait.recv()) {
            watch::install(epoll);
            executor.run(turn::run(async move { start(plan.handle).await }));
        }
    };
    let thread = thread::Builder::new().name(name).spawn(body).map_err(|e| os("cannot start a thread", e))?;
    Ok(Core { thread, go })
}

/// Pins the thread first, so that the rings lie in memory near the CPU.
fn make_executor(plan: &CorePlan) -> Result<(LocalExecutor, OwnedFd), StartError> {
    if let Some(cpu) = plan.cpu {
        affinity::set(&[cpu]).map_err(|source| os(&format!("cannot pin a core to CPU {cpu}"), source))?;
    }
    affinity::go_first();
    let epoll = watch::instance().map_err(|source| os("cannot watch descriptors", source))?;
    uring::next_ring_is_main(std::env::var_os(NO_COOP_VARIABLE).is_none());
    LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(RING_ENTRIES)
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .make()
        .map(|executor| (executor, epoll))
        .map_err(|error| os("cannot make an executor", error.into()))
}

/// Set in the environment, it leaves the main rings as glommio makes them, to measure the difference.
const NO_COOP_VARIABLE: &str = "LACEWING_NO_COOP_TASKRUN";

/// Announces the memory barrier that executors use before they sleep. With several threads running the announcement
/// takes tens of milliseconds, and the first sleep would pay for it; glommio's own, later, then costs nothing.
/// Where the kernel has no such barrier glommio does without.
fn register_membarrier() {
    // SAFETY: takes three numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// A core that unwinds would leave its shard unanswered while the others go on.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

fn os(what: &str, source: io::Error) -> StartError {
    StartError::Os { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timing would not tell much on a busy machine; that the announcement is made before any core starts does.
    #[test]
    fn the_first_sleep_finds_the_memory_barrier_announced() {
        const MEMBARRIER_CMD_GET_REGISTRATIONS: libc::c_int = 1 << 9;
        let registered = || {
            // SAFETY: takes three numbers and touches no memory of ours.
            unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0) }
        };
        register_membarrier();
        let got = registered();
        // Kernels before 6.3 cannot be asked.
        let expected = i64::from(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        assert!(got == -1 || got & expected != 0, "registrations are {got:#x}");
    }
}
