"""Celery against a running server, as broker and as result backend: `celery_jobs.py PORT UNIXSOCKET [PASSWORD]`.

A real worker with four processes: plain, retried, delayed, grouped, chained, revoked tasks. Prints the name of each case before it
runs; ends with `all passed`, or with the traceback of what failed.
"""

import os
import subprocess
import sys
import time

PORT, PASSWORD = int(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None
os.environ["BROKER"] = f"redis://{':' + PASSWORD + '@' if PASSWORD else ''}127.0.0.1:{PORT}/3"

import redis
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError

import celery_tasks as tasks

CASES = []


def case(function):
    CASES.append(function)
    return function


@case
def results_come_back():
    assert tasks.add.delay(2, 3).get(timeout=30) == 5
    assert tasks.first.delay().get(timeout=30) == "first"
    failed = tasks.broken.delay()
    try:
        failed.get(timeout=30)
    except ValueError as error:
        assert str(error) == "as told"
    else:
        raise AssertionError("the error did not come back")
    assert failed.state == "FAILURE"


@case
def every_task_runs_exactly_once():
    asked = [tasks.count.delay(f"ran:{number}") for number in range(200)]
    assert [result.get(timeout=60) for result in asked] == [1] * 200


@case
def retries_delays_and_expiry():
    assert tasks.third.delay().get(timeout=30) == 2
    began = time.monotonic()
    assert tasks.add.apply_async((1, 1), countdown=1).get(timeout=30) == 2
    assert time.monotonic() - began >= 0.9
    late = tasks.add.apply_async((1, 1), countdown=1, expires=0.1)
    try:
        late.get(timeout=30)
    except TaskRevokedError:
        pass
    else:
        raise AssertionError("an expired task ran")


@case
def groups_chains_and_chords():
    assert group(tasks.add.s(number, number) for number in range(20))().get(timeout=60) == list(range(0, 40, 2))
    assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4))().get(timeout=30) == 10
    assert chord((tasks.add.s(number, 1) for number in range(20)), tasks.total.s())().get(timeout=60) == 210


@case
def control_reaches_the_worker():
    (answer,) = tasks.app.control.ping(timeout=10)
    assert list(answer.values()) == [{"ok": "pong"}], answer
    waiting = tasks.add.apply_async((1, 1), countdown=3600)
    scheduled = tasks.app.control.inspect(timeout=5).scheduled() or {}
    for _ in range(50):
        if any(scheduled.values()):
            break
        scheduled = tasks.app.control.inspect(timeout=5).scheduled() or {}
    assert [task["request"]["id"] for each in scheduled.values() for task in each] == [waiting.id], scheduled
    waiting.revoke()


def main():
    broker = redis.Redis(port=PORT, password=PASSWORD, db=3)
    broker.flushall()
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-c", "4", "-Q", "jobs,urgent", "-l", "WARNING"],
        cwd=os.path.dirname(os.path.abspath(__file__)),
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        env={**os.environ, "C_FORCE_ROOT": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        for run in CASES:
            print(run.__name__, flush=True)
            run()
    finally:
        worker.terminate()
        try:
            ended = worker.wait(60)
        except subprocess.TimeoutExpired:
            worker.kill()
            raise
    assert ended == 0, ended
    print("all passed")


main()
