"""Work for `rq.py`: what its workers import and run."""

import redis


def square(number):
    return number * number


def fail_until(port, password, key, times):
    """Fails `times` times, then answers how often it ran."""
    client = redis.Redis(port=port, password=password)
    ran = client.incr(key)
    if ran <= times:
        raise RuntimeError(f"run {ran}")
    return ran


def count(port, password, key):
    return redis.Redis(port=port, password=password).incr(key)
