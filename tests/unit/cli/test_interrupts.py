"""Signals while something must be put back."""

from __future__ import annotations

import os
import signal

import pytest

from sindri.cli.endings import SignalReceivedError
from sindri.cli.interrupts import CleanInterrupts

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.fixture(autouse=True)
def _handlers():
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_ends_the_process_raises_so_that_finally_runs(number):
    put_back = []

    def write_something():
        with CleanInterrupts():
            try:
                os.kill(os.getpid(), number)
                put_back.append("not reached")
            finally:
                put_back.append("done")

    with pytest.raises(SignalReceivedError) as caught:
        write_something()
    assert caught.value.number == number
    assert put_back == ["done"]


def test_no_except_clause_for_errors_takes_it_for_one():
    assert not issubclass(SignalReceivedError, Exception)


def test_a_second_signal_does_not_cut_the_putting_back_short():
    put_back = []

    def write_something():
        with CleanInterrupts():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                put_back.append("done")

    with pytest.raises(SignalReceivedError) as caught:
        write_something()
    assert caught.value.number == signal.SIGINT
    assert put_back == ["done"]


@pytest.mark.parametrize("arrives", [True, False])
def test_afterwards_every_handler_is_what_it_was(arrives):
    def own(number, frame):
        """Stand for a handler of the program."""

    signal.signal(signal.SIGTERM, own)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = [signal.getsignal(number) for number in ENDING]
    try:
        with CleanInterrupts():
            assert signal.getsignal(signal.SIGTERM) is not own
            if arrives:
                os.kill(os.getpid(), signal.SIGTERM)
    except SignalReceivedError:
        assert arrives
    assert [signal.getsignal(number) for number in ENDING] == before


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with CleanInterrupts():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_contexts_can_stand_inside_each_other():
    def write_something():
        with CleanInterrupts():
            with CleanInterrupts():
                pass
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SignalReceivedError):
        write_something()
