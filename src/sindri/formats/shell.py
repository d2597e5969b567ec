"""Assignments for POSIX shells: the same bytes in bash, dash, zsh and busybox, also through an unquoted `eval $(...)`.

The guide evaluates the output unquoted. The shell then splits it at blanks and newlines and expands file name patterns
*before* `eval` joins the words with single blanks and reads them. So nothing that this module writes may depend on
a newline or on the number of blanks, and no word may be a pattern: a quote does not protect at that point.
"""

from __future__ import annotations

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Means the same inside single quotes and as a word of its own. Left out: blanks and the backslash; `* ? [ ]`; the
# patterns of ksh and of bash's extglob `( ) |`; ksh's braces, which it expands in results too; `# ^ ~ < >`, patterns of
# zsh with EXTENDED_GLOB; both quotes; everything that is not ASCII.
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@%+,=-$&!;"
_UNESCAPED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/-"
# The escapes of `printf %b` (POSIX): a zero and up to three octal digits. Always three, so that a digit may follow.
_ESCAPES = tuple(bytes([byte]) if byte in _UNESCAPED else b"\\0%03o" % byte for byte in range(256))

# Variables that a shell keeps for itself: read-only, numbers, arrays, or changing by themselves. An assignment fails,
# or the program that is started gets something else. Found by assigning to every variable that each shell defines.
_OWNED = frozenset(
    # bash 5.2, dash 0.5.12, busybox 1.35
    "_ BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_COMMAND BASH_LINENO BASH_SOURCE BASH_SUBSHELL "
    "BASH_VERSINFO DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD LINENO OPTIND PPID RANDOM SECONDS "
    "SHELLOPTS SHLVL SRANDOM UID "
    # zsh 5.9
    "ARGC COLUMNS EGID ERRNO FUNCNEST GID HISTCHARS HISTSIZE KEYBOARD_HACK KEYTIMEOUT LINES LISTMAX LOGCHECK "
    "MAILCHECK SAVEHIST TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTYIDLE USERNAME WATCH ZSH_EVAL_CONTEXT ZSH_SUBSHELL "
    "aliases argv builtins cdpath commands dirstack dis_aliases dis_builtins dis_functions dis_functions_source "
    "dis_galiases dis_patchars dis_reswords dis_saliases fignore fpath funcfiletrace funcsourcetrace funcstack "
    "functions functions_source functrace galiases histchars history historywords jobdirs jobstates jobtexts keymaps "
    "mailpath manpath module_path modules nameddirs options parameters patchars path pipestatus psvar reswords "
    "saliases signals status termcap terminfo userdirs usergroups watch widgets zsh_eval_context "
    "zsh_scheduled_events".split()
)


def refusal(name: str, value: bytes) -> str | None:
    """Return why *value* cannot be given to a shell as *name*, or None. The reason holds nothing of the value."""
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if name in _OWNED:
        return "bash or zsh keeps a variable of this name for itself"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    return None


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return shell code that exports *items*: `export NAME='value'` where that is exact, the others in one `eval`.

    Raises:
        UnrepresentableValueError: a shell cannot hold one of the values.
    """
    statements: list[bytes] = []
    others: list[bytes] = []
    for name, value in items:
        reason = refusal(name, value)
        if reason is not None:
            raise UnrepresentableValueError(f"Secret {name} cannot be exported to a shell: {reason}.")
        is_plain = not value.translate(None, _PLAIN)
        (statements if is_plain else others).append(b"export %b='%b'" % (name.encode(), value.replace(b"'", b"'\\''")))
    if others:
        # The code and not each value. One `printf` for all: each is a fork, and 5,000 kept bash busy for 99 s.
        # And newlines at the end of a value are safe between the quotes of that code. To put a mark behind them and cut
        # it off again is not: from half a character and a backslash, `${NAME%.}` of bash 5.2 makes freed memory.
        # Backquotes, because the parentheses of `$(...)` are a pattern to zsh with GLOB_SUBST (and to `emulate sh`).
        # `printf` is built into these shells: no value is seen in the arguments of a process.
        escaped = b"".join(map(_ESCAPES.__getitem__, b"\n".join(others)))
        statements.append(b"eval \"`printf %%b '%b'`\"" % escaped)
    # The semicolon separates; the newline is for the reader and is gone after an unquoted `eval $(...)`.
    return b";\n".join(statements) + b"\n" if statements else b""
