"""Work for `celery_jobs.py`: the application that its worker runs. The broker's URL comes by the environment."""

import os

from celery import Celery

URL = os.environ["BROKER"]
app = Celery("tasks", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    task_default_queue="jobs",
    result_expires=3600,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_routes={"celery_tasks.first": {"queue": "urgent"}},
)


@app.task
def add(left, right):
    return left + right


@app.task
def first():
    return "first"


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def third(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def broken():
    raise ValueError("as told")


@app.task
def count(key):
    return app.backend.client.incr(key)
