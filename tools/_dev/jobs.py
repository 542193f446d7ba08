# Copyright: (c) 2026, netfleet.conntrack contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs commands two at a time, says what is going on, and shows the whole output of those that fail."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from .machine import CACHE, ROOT

LOGS = CACHE / "logs"
HEARTBEAT = 60
STARTED = time.monotonic()
INTERRUPTED = threading.Event()


class Job(NamedTuple):
    name: str
    argv: tuple
    cwd: Path = ROOT
    env: dict | None = None
    lane: str = ""  # of the jobs of one lane, one runs at a time


class Result(NamedTuple):
    job: Job
    status: int
    seconds: float
    log: Path


def say(text):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def run_all(jobs, workers=2):
    """Run them all, and return their results in the order of the jobs."""
    results, running, waiting = {}, {}, list(jobs)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                while len(running) < workers and (job := next_job(waiting, running.values())):
                    waiting.remove(job)
                    running[pool.submit(run_one, job)] = job
                done, _pending = wait(running, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
                for future in done:
                    results[running.pop(future).name] = future.result()
                if not done:
                    say(f"... {', '.join(job.name for job in running.values())}")
        except KeyboardInterrupt:
            INTERRUPTED.set()
            raise
    return [results[job.name] for job in jobs]


def next_job(waiting, running):
    """A lane that stands idle comes first: its jobs cannot be run side by side later."""
    busy = {job.lane for job in running if job.lane}
    free = [job for job in waiting if job.lane not in busy]
    return next((job for job in free if job.lane), free[0] if free else None)


def run_one(job):
    say(f"{job.name}: starts")
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{job.name}.log"
    began = time.monotonic()
    draft = log.with_suffix(f".{os.getpid()}")  # others may run the same
    status = run_logged(job, draft)
    draft.replace(log)
    result = Result(job, status, time.monotonic() - began, log)
    report(result)
    return result


def run_logged(job, log):
    env = {**(job.env or os.environ), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                job.argv, cwd=job.cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, process_group=0
            )
        except OSError as error:
            out.write(f"{error}\n".encode())
            return 127
        return wait_for(process)


def wait_for(process):
    while not INTERRUPTED.is_set():
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
    os.killpg(process.pid, signal.SIGTERM)
    return process.wait()


def report(result):
    name, seconds, log = result.job.name, result.seconds, result.log
    if result.status == 0:
        say(f"{name}: passed, {seconds:.1f} s")
        return
    text = log.read_text(errors="replace").rstrip()
    say(f"{name}: FAILED with exit status {result.status}, {seconds:.1f} s; {log.relative_to(ROOT)}:\n{text}\n[end of {name}]")


def all_passed(results):
    return all(result.status == 0 for result in results)
