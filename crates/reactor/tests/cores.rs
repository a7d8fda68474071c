//! Executors, timers, tasks, files and signals, as the server uses them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reactor::cores::{self, Cores, Layout, PinMode};
use reactor::timer::Interval;
use reactor::{files, task, timer, uring};

/// Runs `start` on `count` cores that may share CPUs, and returns what each gave.
fn on_cores<T, F, Fut>(count: usize, start: F) -> Vec<T>
where
    T: Send + 'static,
    F: Fn(cores::CoreHandle) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + 'static,
{
    let layout = Layout::plan(Cores::Count(count), PinMode::No).unwrap();
    let results = Arc::new(Mutex::new(Vec::new()));
    let gathered = Arc::clone(&results);
    cores::run(&layout, move |core| {
        let (work, gathered) = (start(core), Arc::clone(&gathered));
        async move {
            let result = work.await;
            gathered.lock().unwrap().push(result);
        }
    })
    .unwrap();
    std::mem::take(&mut results.lock().unwrap())
}

fn on_one_core<T: Send + 'static, Fut: Future<Output = T> + 'static>(
    start: impl Fn() -> Fut + Send + Sync + 'static,
) -> T {
    on_cores(1, move |_| start()).pop().unwrap()
}

#[test]
fn every_core_runs_once_on_its_own_thread() {
    let seen = on_cores(3, |core| async move {
        assert_eq!(core.count, 3);
        let thread = std::thread::current();
        assert_eq!(thread.name(), Some(&*format!("lacewing-{}", core.index)));
        core.index
    });
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
}

#[test]
fn pinned_cores_run_where_they_were_put() {
    let layout = Layout::plan(Cores::Auto, PinMode::Yes).unwrap();
    let expected = layout.cores.clone();
    let seen = Arc::new(Mutex::new(vec![String::new(); expected.len()]));
    let gathered = Arc::clone(&seen);
    cores::run(&layout, move |core| {
        let gathered = Arc::clone(&gathered);
        async move {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
            gathered.lock().unwrap()[core.index] = line.rsplit('\t').next().unwrap().to_owned();
        }
    })
    .unwrap();
    let expected: Vec<String> = expected.iter().map(usize::to_string).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// On a kernel that knows the flag; others run without it, which `uring`'s own tests cover.
#[test]
fn the_main_ring_has_the_cooperative_flag() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let active = on_cores(2, |_| async { uring::coop_taskrun_active() });
    assert_eq!(active, vec![uring::wrapped() && version >= (5, 19); 2]);
    assert!(!uring::coop_taskrun_active(), "this thread has no executor");
}

#[test]
fn timers_fire_in_order_and_never_early() {
    on_one_core(|| async {
        let order = Rc::new(Cell::new(0));
        let begin = Instant::now();
        // Far enough apart for a machine that is busy with other tests while these are made.
        for millis in [90_u64, 30, 60] {
            let order = Rc::clone(&order);
            task::spawn(async move {
                timer::sleep(Duration::from_millis(millis)).await;
                assert!(begin.elapsed() >= Duration::from_millis(millis));
                assert_eq!(order.replace(millis), millis - 30, "timers out of order");
            });
        }
        bounded(async || order.get() == 90).await;
    });
}

#[test]
fn an_interval_keeps_its_pace_after_a_late_tick() {
    on_one_core(|| async {
        let mut interval = Interval::new(Duration::from_millis(10));
        let first = interval.tick().await;
        // A busy turn that takes three and a half periods.
        while first.elapsed() < Duration::from_millis(35) {}
        let end = Instant::now();
        interval.tick().await;
        let third = interval.tick().await;
        assert!(third > end, "missed ticks were made up for");
        assert_eq!((third - first).as_nanos() % 10_000_000, 0, "ticks left their grid");
    });
}

#[test]
fn a_long_loop_that_asks_lets_others_run() {
    on_one_core(|| async {
        let ran = Rc::new(Cell::new(false));
        let other = Rc::clone(&ran);
        task::spawn(async move {
            task::yield_now().await;
            other.set(true);
        });
        let begin = Instant::now();
        while !ran.get() {
            assert!(begin.elapsed() < Duration::from_secs(60), "never told to give way");
            task::yield_if_needed().await;
        }
    });
}

#[test]
fn files_are_read_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lacewing.conf");
    let seen = on_one_core(move || {
        let path = path.clone();
        async move {
            assert!(files::read_all(&path).await.is_err());
            files::write_atomic(&path, b"one".to_vec()).await.unwrap();
            files::write_atomic(&path, b"two".to_vec()).await.unwrap();
            files::read_all(&path).await.unwrap()
        }
    });
    assert_eq!(seen, b"two");
}

#[test]
fn a_panic_on_a_core_ends_the_process() {
    const CHILD: &str = "REACTOR_TEST_PANICS";
    if std::env::var_os(CHILD).is_none() {
        // It takes the process with it, so it happens in another: this test binary again.
        let program = std::env::current_exe().unwrap();
        let case = ["--exact", "a_panic_on_a_core_ends_the_process", "--nocapture"];
        let output = Command::new(program).args(case).env(CHILD, "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(6), "{stderr}");
        return assert!(stderr.contains("planted"), "{stderr}");
    }
    on_cores(2, |core| async move {
        assert_eq!(core.index, 0, "planted");
        std::future::pending::<()>().await;
    });
}

/// Asks for a condition each turn for at most a minute.
async fn bounded(condition: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "not reached in time");
        task::yield_now().await;
    }
}

#[test]
fn a_core_goes_on_while_a_thread_works_for_it() {
    let seen = on_one_core(|| async {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let is_other_done = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_other_done);
        // The work ends only when this core lets it: a core that stood still for it would do so for good.
        task::spawn(async move {
            task::yield_now().await;
            is_other_done.set(true);
            go.send(()).expect("it waits");
        });
        let given = task::offload(move || wait.recv_timeout(Duration::from_secs(30)).is_ok()).await;
        (given.expect("a thread"), seen.get())
    });
    assert_eq!(seen, (true, true));
}

#[test]
fn work_that_panics_gives_an_error() {
    let error = on_one_core(|| async {
        task::offload(|| panic!("on purpose")).await.map(|(): ()| ()).expect_err("it panicked").to_string()
    });
    assert_eq!(error, "the work panicked");
}
