"""RQ against a running server: `rq.py PORT UNIXSOCKET [PASSWORD]`.

Real jobs by several worker processes: plain, retried, scheduled, dependent, cancelled. Prints the name of each case before it
runs; ends with `all passed`, or with the traceback of what failed.
"""

import sys

# This file has the name of the package: the package is to be found first.
sys.path.append(sys.path.pop(0))

import multiprocessing
import time
from datetime import timedelta

import redis
from rq import Queue, Retry, Worker
from rq.job import Dependency, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq.worker_pool import WorkerPool

import rq_jobs

PORT, PASSWORD = int(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None
CASES = []


def case(function):
    CASES.append(function)
    return function


def connect():
    return redis.Redis(port=PORT, password=PASSWORD, socket_timeout=60)


def until(what, why, seconds=30):
    """Waits for a condition, with a bound."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.01)


def work(*names, scheduler=False):
    """A worker process that runs until it is terminated."""
    def run():
        Worker(list(names), connection=connect()).work(with_scheduler=scheduler, logging_level="WARNING")
    process = multiprocessing.Process(target=run)
    process.start()
    return process


@case
def every_job_runs_exactly_once(client):
    queue = Queue("many", connection=client)
    jobs = [queue.enqueue(rq_jobs.count, PORT, PASSWORD, f"ran:{number}") for number in range(60)]
    pool = WorkerPool(["many"], connection=client, num_workers=3)
    process = multiprocessing.Process(target=pool.start, kwargs={"burst": True, "logging_level": "WARNING"})
    process.start()
    process.join(60)
    assert process.exitcode == 0, process.exitcode
    assert [job.return_value(refresh=True) for job in jobs] == [1] * 60
    assert len(queue) == 0 and len(FinishedJobRegistry(queue=queue)) == 60


@case
def retries_and_failures(client):
    queue = Queue("retried", connection=client)
    third = queue.enqueue(rq_jobs.fail_until, PORT, PASSWORD, "third", 2, retry=Retry(max=3))
    lost = queue.enqueue(rq_jobs.fail_until, PORT, PASSWORD, "lost", 9, retry=Retry(max=1))
    Worker([queue], connection=client).work(burst=True, logging_level="CRITICAL")
    assert third.return_value(refresh=True) == 3
    assert lost.get_status(refresh=True) == JobStatus.FAILED
    assert FailedJobRegistry(queue=queue).get_job_ids() == [lost.id]
    assert lost.latest_result().exc_string.strip().endswith("RuntimeError: run 2")


@case
def scheduled_jobs_run_when_due(client):
    queue = Queue("later", connection=client)
    worker = work("later", scheduler=True)
    try:
        job = queue.enqueue_in(timedelta(seconds=1), rq_jobs.square, 7)
        far = queue.enqueue_in(timedelta(hours=1), rq_jobs.square, 8)
        assert job.get_status(refresh=True) == JobStatus.SCHEDULED
        until(lambda: job.return_value(refresh=True) == 49, "the scheduled job did not run")
        assert ScheduledJobRegistry(queue=queue).get_job_ids() == [far.id]
        far.cancel()
        assert far.get_status(refresh=True) == JobStatus.CANCELED
    finally:
        worker.terminate()
        worker.join(20)


@case
def dependent_jobs_wait_for_theirs(client):
    queue = Queue("chained", connection=client)
    first = queue.enqueue(rq_jobs.square, 3)
    second = queue.enqueue(rq_jobs.square, 4, depends_on=first)
    third = queue.enqueue(rq_jobs.square, 5, depends_on=Dependency(jobs=[first, second]))
    assert second.get_status(refresh=True) == JobStatus.DEFERRED
    Worker([queue], connection=client).work(burst=True, logging_level="WARNING")
    assert [job.return_value(refresh=True) for job in (first, second, third)] == [9, 16, 25]


@case
def a_blocked_worker_takes_a_job_at_once_and_ends_when_told(client):
    worker = work("waiting")
    queue = Queue("waiting", connection=client)
    until(lambda: any(each.queue_names() == ["waiting"] for each in Worker.all(connection=client)), "no worker came")
    for number in range(5):
        job = queue.enqueue(rq_jobs.square, number)
        until(lambda: job.return_value(refresh=True) == number * number, f"job {number} did not run")
    # Told between a command and its reply it leaves that reply on the connection, and says farewell with it.
    until(lambda: any("b" in each["flags"] for each in client.client_list()), "the worker does not wait")
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0, worker.exitcode
    until(lambda: not Worker.all(connection=client), "the worker is still listed")


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    for run in CASES:
        print(run.__name__, flush=True)
        with connect() as client:
            client.flushall()
            run(client)
    print("all passed")
