"""Keep several worker processes answering on one port: start, watch, replace and drain them.

The supervisor never loads ONNX Runtime, which starts threads, nor a model. It has imported
everything else that the workers need, and forks them: they start faster than new interpreters do,
and share that memory.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import final

from foveal import errors
from foveal.errors import FovealError, UsageError
from foveal.server.heartbeat import BEAT_S, Heartbeat
from foveal.server.http.listen import listen, url_of
from foveal.server.http.tls import warn_of_dates
from foveal.server.options import ServerOptions
from foveal.server.signals import Signals
from foveal.server.telemetry.counters import WorkerTelemetry
from foveal.server.worker import OpenModels, work

logger = logging.getLogger(__name__)

OnReady = Callable[[str], None]

# A process that has their threads must not fork.
_THREADED_MODULES = ("onnxruntime", "openvino", "torch")
# A worker that does not come up, or ends within a second, is tried again after these seconds,
# doubled each time. After so many trials in a row the server gives up, if nothing else answers.
_STEADY_S, _BACKOFF_S, _LONGEST_BACKOFF_S, _TRIALS = 1.0, 0.25, 30.0, 6
# What a drain may take beyond its own limits, before the workers are killed.
_DRAIN_MARGIN_S = 5.0


@final
@dataclass(slots=True)
class _Slot:
    """The slot of a worker, with its listening socket, which outlives the worker."""

    number: int
    listener: socket.socket
    process: ForkProcess | None = None
    channel: Connection | None = None
    heartbeat: Heartbeat | None = None
    is_ready: bool = False
    error: FovealError | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0


def supervise(
    open_models: OpenModels, options: ServerOptions, *, on_ready: OnReady | None = None
) -> None:
    """Serve with `options.workers` processes until SIGTERM or Ctrl-C, then drain them all.

    Args:
        open_models: Called in each worker.
        options: Address and limits; limits hold for each worker.
        on_ready: Called with the URL once all workers answer.

    Raises:
        UsageError: If the address cannot be listened on, or this process cannot fork safely.
        FovealError: The first worker's, when the models cannot be opened.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError(
            "Several workers need fork, which this system does not have.", hint="use --workers 1"
        )
    loaded = [name for name in _THREADED_MODULES if name in sys.modules]
    if loaded:
        raise UsageError(
            f"Several workers cannot be started from a process that has loaded {loaded[0]}.",
            hint="foveal serve MODEL --workers N",
        )
    # Or the collector would write to every shared page of memory, and so copy it.
    gc.freeze()
    with _runtime_directory(options.runtime_dir) as directory:
        given = replace(options, runtime_dir=directory)
        Supervisor(open_models, given, directory).run(on_ready)


@final
class Supervisor:
    """The workers of one server.

    Args:
        open_models: Called in each worker.
        options: Address and limits.
        directory: For what the workers share.
    """

    def __init__(self, open_models: OpenModels, options: ServerOptions, directory: Path) -> None:
        self._open_models = open_models
        self._options = options
        self._telemetry = WorkerTelemetry(directory)
        self._signals = Signals()
        self._has_answered = False
        listeners = listen(options, options.workers)
        self._slots = [_Slot(number, listener) for number, listener in enumerate(listeners, 1)]

    def run(self, on_ready: OnReady | None) -> None:
        """Start the workers and keep them alive until a signal asks for the end.

        Raises:
            FovealError: If no worker can start.
        """
        self._warn_of_certificate()
        url = url_of(self._options, self._slots[0].listener)
        is_announced = False
        with self._signals.hearing():
            try:
                while (asked := self._signals.end()) is None:
                    self._step()
                    if not is_announced and all(slot.is_ready for slot in self._slots):
                        is_announced = True
                        if on_ready is not None:
                            on_ready(url)
                    if self._signals.hangup():
                        self._warn_of_certificate()
                        self._send(signal.SIGHUP)
                self._drain(asked)
            finally:
                self._kill()
                for slot in self._slots:
                    slot.listener.close()

    def _warn_of_certificate(self) -> None:
        if self._options.tls_cert is not None:
            warn_of_dates(self._options.tls_cert)

    def _step(self) -> None:
        """Start what is due, wait for something to happen, and deal with it."""
        for slot in self._slots:
            if slot.process is None and time.monotonic() >= slot.due:
                self._start(slot)
        self._wait(BEAT_S)
        for slot in self._slots:
            self._hear(slot)
            self._end_if_silent(slot)
            if slot.process is not None and not slot.process.is_alive():
                self._replace(slot, slot.process)
        self._telemetry.running(sum(slot.is_ready for slot in self._slots))

    def _wait(self, limit_s: float) -> None:
        heard = [slot.channel for slot in self._slots if slot.channel is not None]
        ends = [slot.process.sentinel for slot in self._slots if slot.process is not None]
        pauses = [slot.due - time.monotonic() for slot in self._slots if slot.process is None]
        wait([self._signals.wake, *heard, *ends], max(0.0, min([limit_s, *pauses])))
        self._signals.rest()

    def _start(self, slot: _Slot) -> None:
        slot.channel, theirs = multiprocessing.Pipe()
        slot.heartbeat = Heartbeat()
        slot.error, slot.started = None, time.monotonic()
        slot.process = ForkProcess(target=self._work, args=(slot, theirs))
        slot.process.start()
        theirs.close()

    def _work(self, slot: _Slot, channel: Connection) -> None:
        """Be a worker: runs in the new process, and keeps only its own descriptors open."""
        signal.set_wakeup_fd(-1)
        # Ctrl-C at a terminal reaches every process of the group: the supervisor alone decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in self._slots:
            if other.channel is not None:
                other.channel.close()
            if other.listener is not slot.listener:
                other.listener.close()
        beat = slot.heartbeat.beat if slot.heartbeat is not None else None
        work(self._open_models, self._options, slot.number, slot.listener, channel, beat)

    def _end_if_silent(self, slot: _Slot) -> None:
        """Kill an unresponsive worker."""
        limit_s = self._options.worker_timeout_s
        if slot.process is None or slot.heartbeat is None or not slot.is_ready:
            return
        if slot.heartbeat.silent_s() > limit_s:
            logger.error("worker %d has not responded for %g s; killing it", slot.number, limit_s)
            slot.process.kill()
            slot.heartbeat.close()
            slot.heartbeat = None

    def _hear(self, slot: _Slot) -> None:
        """Take what a worker says about its start."""
        try:
            while slot.channel is not None and slot.channel.poll():
                said = json.loads(slot.channel.recv_bytes())
                if said is None:
                    slot.is_ready = self._has_answered = True
                else:
                    kind = vars(errors).get(said.pop("kind"), FovealError)
                    slot.error = kind(said["message"], hint=said["hint"], code=said["code"])
        except (EOFError, OSError):
            slot.channel = None

    def _replace(self, slot: _Slot, process: ForkProcess) -> None:
        """Have another worker take the place of one that ended without being asked."""
        ending = _ending(process.exitcode)
        is_steady = slot.is_ready and time.monotonic() - slot.started > _STEADY_S
        process.close()
        if slot.heartbeat is not None:
            slot.heartbeat.close()
        slot.process, slot.heartbeat, slot.is_ready = None, None, False
        error = slot.error or FovealError(f"Worker {slot.number} {ending} while it was starting.")
        if not self._has_answered:
            raise error
        self._telemetry.died(slot.number)
        slot.failures = 0 if is_steady else slot.failures + 1
        if slot.failures >= _TRIALS and not any(other.is_ready for other in self._slots):
            raise error
        if slot.failures:
            self._set_aside(slot)
        pause_s = 0.0 if slot.failures < 2 else _BACKOFF_S * 2 ** (slot.failures - 2)
        slot.due = time.monotonic() + min(pause_s, _LONGEST_BACKOFF_S)
        why = f": {slot.error.message}" if slot.error else ""
        logger.warning("worker %d %s; starting another%s", slot.number, ending, why)

    def _set_aside(self, slot: _Slot) -> None:
        """Have the kernel give a slot no connections while another worker answers.

        They would wait until a worker of this slot starts, which may be never. The worker listens
        on the socket again as soon as it can answer.
        """
        others = [other for other in self._slots if other.listener is not slot.listener]
        # What is shut down twice would be so for later connections, too.
        is_listening = slot.listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if is_listening and any(other.is_ready for other in others):
            slot.listener.shutdown(socket.SHUT_RD)

    def _drain(self, asked: int) -> None:
        """Let every worker finish what is in flight; a second signal ends them at once."""
        limit_s = self._options.drain_s + _DRAIN_MARGIN_S
        if asked == signal.SIGTERM:
            limit_s += self._options.drain_delay_s
        end = time.monotonic() + limit_s
        self._send(signal.SIGTERM if asked == signal.SIGTERM else signal.SIGQUIT)
        for slot in self._slots:
            # What is still queued when a worker stops listening must not wait here.
            slot.listener.close()
        while time.monotonic() < end and self._signals.end() is None:
            alive = [s for s in self._slots if s.process is not None and s.process.is_alive()]
            if not alive:
                return
            ends = [slot.process.sentinel for slot in alive if slot.process is not None]
            wait([self._signals.wake, *ends], 0.5)

    def _send(self, number: int) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.process.pid, number)

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.join()


@contextmanager
def _runtime_directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        # Counters of another server would be added to those of this one.
        for left in given.glob("*.db"):
            left.unlink()
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="foveal-") as made:
        yield Path(made)


def _ending(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with status {exitcode}"
