//! Programs that people build on Redis, unchanged, on a server of two cores: the scripts in `tests/programs` run real jobs,
//! with real workers, retries, delays and concurrency.

use std::path::Path;

use lacewing_tests::{clients_dir, installed};

use crate::clients::{is_ready, play, with_env};

#[test]
fn bullmq_runs_its_jobs() {
    with_node("bullmq", "bullmq.js");
}

#[test]
fn redlock_rate_limiters_and_sessions_work() {
    with_node("redlock", "limits.js");
}

#[test]
fn rq_runs_its_jobs() {
    with_python("rq", "rq.py");
}

#[test]
fn celery_runs_its_tasks() {
    with_python("celery", "celery_jobs.py");
}

#[test]
fn sidekiq_runs_its_jobs() {
    if installed("ruby") && installed("sidekiq") {
        play(Path::new("programs/sidekiq.rb"), || std::process::Command::new("ruby"), Some("secret"));
    }
}

fn with_node(package: &str, script: &str) {
    let packages = clients_dir().join("node_modules");
    if is_ready("node", &packages.join(package)) {
        play(
            &Path::new("programs").join(script),
            || with_env("node", "NODE_PATH", &packages),
            Some("secret"),
        );
    }
}

fn with_python(package: &str, script: &str) {
    let packages = clients_dir().join("python");
    if is_ready("python3", &packages.join(package)) {
        let python = || {
            let mut python = with_env("python3", "PYTHONPATH", &packages);
            python.env("PYTHONDONTWRITEBYTECODE", "1");
            python
        };
        play(&Path::new("programs").join(script), python, Some("secret"));
    }
}
