"""The hidden prompt, on real terminals."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.unit.cli.terminal import Terminal

# What was typed goes to the test through a pipe, never to the terminal.
ASK = """
import sys
from sindri.cli.endings import SignalReceivedError, end_by_signal
from sindri.cli.prompt import ask_secret
from sindri.errors import UsageError
from sindri.files import write_all
from sindri.secret import SecretMemory
with SecretMemory() as memory:
    try:
        write_all(1, [ask_secret("Value of A: ", memory, hint="use --stdin")])
    except UsageError as error:
        write_all(1, [b"refused: " + str(error).encode()])
    except SignalReceivedError as error:
        end_by_signal(error.number)
"""
REFUSED = "refused: {}\n  hint: use --stdin"


def open_prompt(**options) -> Terminal:
    terminal = Terminal(ASK, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **options)
    terminal.read_until(b"Value of A: ")
    assert not terminal.echoes
    return terminal


def answer_of(terminal: Terminal) -> bytes:
    assert terminal.process.stdout is not None
    with terminal.process.stdout as pipe:
        answer = pipe.read()
    assert terminal.finish() == 0
    return answer


def close_answer(terminal: Terminal) -> None:
    assert terminal.process.stdout is not None
    terminal.process.stdout.close()


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (b"value\n", b"value"),
        (b"value\r", b"value"),
        (b"\n", b""),
        (b"  blanks \n", b"  blanks "),
        ("gr\u00fc\u00df \u2603\n".encode(), "gr\u00fc\u00df \u2603".encode()),
        (b"wrong\x15right\n", b"right"),
        (b"valuee\x7f\n", b"value"),
        (b"begun\x04 and ended\n", b"begun and ended"),
        (b"without a line end\x04\x04", b"without a line end"),
        (b"x" * 4094 + b"\n", b"x" * 4094),
    ],
)
def test_one_line_is_read_and_not_shown(typed, value):
    with open_prompt() as terminal:
        terminal.press(typed)
        assert answer_of(terminal) == value
        assert terminal.seen == b"Value of A: \r\n"
        assert terminal.echoes


@pytest.mark.parametrize("length", [4095, 4096, 6000, 20_000])
def test_a_line_that_the_terminal_cuts_is_refused_and_not_taken_for_a_value(length):
    with open_prompt() as terminal:
        for _ in range(length // 500):  # in pieces: what does not fit into the terminal's buffer waits in ours
            terminal.press(b"x" * 500)
        terminal.press(b"x" * (length % 500) + b"\n")
        assert answer_of(terminal).decode() == REFUSED.format("A terminal takes less than 4095 bytes in a line")
        assert b"x" not in terminal.seen
        assert terminal.echoes


def test_the_end_of_input_is_no_empty_value():
    with open_prompt() as terminal:
        terminal.press(b"\x04")
        assert answer_of(terminal).decode() == REFUSED.format("No value was typed")
        assert terminal.echoes


@pytest.mark.parametrize(("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_a_key_that_ends_the_program_gives_the_echo_back_first(key, number):
    with open_prompt() as terminal:
        terminal.press(b"half a secr" + key)
        assert terminal.process.wait(60) == -number
        assert terminal.echoes
        assert b"half" not in terminal.seen
        close_answer(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_echo_back_first(number):
    with open_prompt() as terminal:
        terminal.process.send_signal(number)
        assert terminal.process.wait(60) == -number
        assert terminal.echoes
        close_answer(terminal)


def test_what_was_typed_ahead_of_the_prompt_is_not_taken_for_the_secret():
    script = "import os\nos.write(2, b'ready')\nos.read(0, 1)\n" + ASK
    with Terminal(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as terminal:
        assert terminal.process.stdin is not None
        terminal.read_until(b"ready")
        terminal.press(b"typed too early\n")
        terminal.read_until(b"typed too early\r\n")
        terminal.process.stdin.write(b"x")
        terminal.process.stdin.close()
        terminal.read_until(b"Value of A: ")
        terminal.press(b"value\n")
        assert answer_of(terminal) == b"value"


def test_without_a_terminal_the_other_ways_are_named():
    done = subprocess.run(
        [sys.executable, "-c", ASK], input=b"piped\n", capture_output=True, start_new_session=True, check=False
    )
    assert done.stdout.decode() == REFUSED.format("There is no terminal to type the value on")
    assert done.stderr == b""
