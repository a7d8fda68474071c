//! The thread that talks to the store, and how often it tries.

use std::future::Future;
use std::io;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use durable::store::{StoreFault, StoreTrouble};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::bucket::fault::{self, Fault};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// A call with all its attempts, but for the last attempt's own time.
    pub(super) retry: Duration,
    /// One attempt.
    pub(super) timeout: Duration,
}

/// The thread. Dropped, it ends, and whoever waits for it is told so.
pub(super) struct Engine {
    handle: Handle,
    policy: Policy,
    /// Dropping it is the sign to end.
    running: Mutex<Option<oneshot::Sender<()>>>,
}

impl Engine {
    pub(super) fn start(policy: Policy, on_start: fn()) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Names are looked up there, in calls that block.
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("object-store-dns")
            .build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("object-store".to_owned()).spawn(move || {
            on_start();
            // Nothing is ever sent: the error that comes is the end.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, policy, running: Mutex::new(Some(running)) })
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        drop(self.running.lock().expect("nobody panics with it").take());
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// Gives the thread something to do.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T, StoreFault>> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Nobody may be waiting any more.
            let _ = sender.send(job.await);
        });
        Pending(receiver)
    }

    /// Gives the thread something to do, and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T, StoreFault>> + Send + 'static,
    ) -> Result<T, StoreFault> {
        self.spawn(job).wait()
    }
}

/// What the thread is doing.
pub(super) struct Pending<T>(mpsc::Receiver<Result<T, StoreFault>>);

impl<T> Pending<T> {
    /// Its result. The time is that of the job, which is bounded by its [`Policy`].
    pub(super) fn wait(self) -> Result<T, StoreFault> {
        self.0.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Its result, if it is there; else itself.
    pub(super) fn poll(self) -> Result<Result<T, StoreFault>, Self> {
        match self.0.try_recv() {
            Ok(result) => Ok(result),
            Err(mpsc::TryRecvError::Disconnected) => Ok(Err(ended())),
            Err(mpsc::TryRecvError::Empty) => Err(self),
        }
    }
}

fn ended() -> StoreFault {
    let said = "the server has ended its dealings with the store".to_owned();
    StoreFault { trouble: StoreTrouble::Unreachable, said }
}

/// Does `once`, again and again while there is no answer, with growing pauses.
pub(super) async fn attempt<T, F>(policy: Policy, mut once: impl FnMut() -> F) -> Result<T, StoreFault>
where
    F: Future<Output = object_store::Result<T>>,
{
    let begun = Instant::now();
    let mut pause = PAUSE_FIRST;
    for attempts in 1.. {
        let fault = match tokio::time::timeout(policy.timeout, once()).await {
            Ok(Ok(value)) => {
                if attempts > 1 {
                    tracing::info!(attempts, "the object store answers again");
                }
                return Ok(value);
            }
            Ok(Err(error)) => fault::of(&error),
            Err(_) => Fault::late(policy.timeout),
        };
        if !fault.is_passing || begun.elapsed() + pause > policy.retry {
            return Err(fault.told(attempts, begun.elapsed()));
        }
        if attempts == 1 {
            let (why, seconds) = (&fault.said, policy.retry.as_secs());
            tracing::warn!(why, "the object store does not answer; it is tried again for {seconds} s");
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    unreachable!("it is tried until it is told")
}

/// Between half of `pause` and all of it, so that several who wait do not come back together.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    pause / 2 + (pause / 2).mul_f64((random % 1024) as f64 / 1024.0)
}

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
const BLOCKING_THREADS_MAX: usize = 2;
