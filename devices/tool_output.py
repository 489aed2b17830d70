"""What a command-line tool on a device printed: its lines, its last words, why it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from devices.errors import MeasurementError, UnparsableOutputError
from devices.ssh_trouble import shown

_LAST_LINES = 5
_MAX_TAIL = 400
_MAX_REASON = 300
_DATE = r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+"
# logcat -v threadtime, -v time, -v brief, and what Android Studio shows.
_LOGCAT = re.compile(
    rf"{_DATE} +\d+ +\d+ (?P<threadtime>[VDIWEF]) [^:\t]*: ?"
    rf"|(?:{_DATE} )?(?P<time>[VDIWEF])/[^(\t]*\( *\d+\): ?"
    rf"|{_DATE} +\d+-\d+ +\S+ +\S+ +(?P<studio>[VDIWEF])  ?"
)
_LETTERS = {"V": "VERBOSE", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "ERROR"}
_LEVEL = re.compile(r"(VERBOSE|INFO|WARN|ERROR|FATAL)(?:ING)?: ?")
_SOURCE = re.compile(r"\[[^\]\s]*\.\w+:\d+\] ?")
# Last lines that only say that it failed, or what the exit status says already.
_EMPTY_WORDS = re.compile(
    r"Benchmarking failed$|Aborting!$|.*core dumped|Segmentation fault|Killed$"
)
_SIGNALS = {
    4: ("crashed: illegal instruction", "a build for this chip"),
    6: ("crashed: aborted", ""),
    7: ("crashed: bus error", ""),
    8: ("crashed: arithmetic error", ""),
    9: ("killed by signal 9 (out of memory?)", "a smaller model or batch"),
    11: ("crashed: segmentation fault", "another build, or another delegate"),
}
_TIMED_OUT = 124
_CANNOT_RUN = (126, 127)


@dataclass(frozen=True)
class Line:
    """A line of a log, without its prefixes.

    Attributes:
        text: what it says; leading white space is kept.
        level: VERBOSE, INFO, WARN, ERROR, or nothing where it has none.
    """

    text: str
    level: str = ""


def log_lines(text: str) -> list[Line]:
    """The lines of a log, from a terminal or from logcat, without what is put before each."""
    return [_line(raw.rstrip()) for raw in text.split("\n")]


def _line(raw: str) -> Line:
    level = ""
    if match := _LOGCAT.match(raw):
        level = _LETTERS.get(match[match.lastgroup or 0], "")
        raw = raw[match.end() :]
    if match := _LEVEL.match(raw):
        level = "ERROR" if match[1] == "FATAL" else match[1]
        raw = raw[match.end() :]
    if match := _SOURCE.match(raw):
        raw = raw[match.end() :]
    return Line(raw, level)


def tail(text: str) -> str:
    """The last lines of a text as one line that is safe to show."""
    lines = [line for raw in text.split("\n") if (line := " ".join(shown(raw).split()))]
    return " / ".join(lines[-_LAST_LINES:])[-_MAX_TAIL:]


def unreadable(tool: str, problem: str, text: str) -> UnparsableOutputError:
    """The error of an output that cannot be read, with its last lines.

    Args:
        tool: name of the program.
        problem: what is wrong with its output.
        text: all it printed.
    """
    ending = tail(text)
    return UnparsableOutputError(
        f"the output of {tool} cannot be read",
        f"{problem}; it ends with: {ending}" if ending else "it printed nothing",
        f"the same command again; if it says the same, run {tool} by hand there",
    )


def failed(tool: str, status: int, text: str) -> MeasurementError:
    """The error of a tool that ended with a status other than 0.

    Args:
        tool: name of the program.
        status: exit status as a shell gives it, or minus the number of a signal.
        text: all it printed.
    """
    signal = -status if status < 0 else status - 128
    said = _reason(text)
    what = f"{tool} failed with exit status {status}"
    if signal in _SIGNALS:
        why, hint = _SIGNALS[signal]
    elif 0 < signal < 65:
        why, hint = f"killed by signal {signal}", ""
    elif status == _TIMED_OUT:
        why, hint = "it ran longer than it was given", "fewer runs, or a smaller model"
    elif status in _CANNOT_RUN:
        hint = "a build for this chip, made executable with chmod 755"
        return MeasurementError(what, said or "it cannot be run there", hint)
    else:
        return MeasurementError(what, said or "it does not say why", f"run {tool} by hand there")
    return MeasurementError(what, f"{why}, after {said!r}" if said else why, hint)


def _reason(text: str) -> str:
    """The first error of a log and the last, or the last line where none is marked as one."""
    lines = [line for line in log_lines(text) if _plain(line.text)]
    lines = [line for line in lines if not _EMPTY_WORDS.match(_plain(line.text))]
    wrong = [line for line in lines if line.level == "ERROR" or "[E:onnxruntime" in line.text]
    said = [_plain(line.text) for line in wrong or lines[-1:]]
    return "; ".join(dict.fromkeys((said[0], said[-1]))) if said else ""


def _plain(text: str) -> str:
    return " ".join(shown(text).split())[:_MAX_REASON].rstrip(".")
