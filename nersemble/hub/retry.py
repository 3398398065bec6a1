"""What went wrong with a call to the hub, whichever client library was used, and whether to try it again.

Nothing of a failure but its status and the hub's own words goes into a message; the exception itself, whose traceback
can hold a token, is let go of.  One that is no failure goes on without its traceback and what it came of.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")

#: Seconds before each new try; a success starts anew.
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
#: Seconds that the hub may ask to wait; it counts commits by the hour.
LONGEST_WAIT = 3700.0
#: Passing by themselves: overload, a limit of calls, a server that restarts.
PASSING = {0, 408, 425, 429, 500, 502, 503, 504}
#: Of a commit: somebody else was faster.
CONFLICT = {409, 412}

#: Status of an answer that the hub's client can make nothing of, such as a page with status 200.
ODD = -2
ODD_WORDS = "the hub's answer is none of a hub: is there a proxy or a login page in between?"
#: Status of a call that was done, and whose answer names a URL that the hub's client does not know: clients before 1.1
#: take every URL for one of ``HF_ENDPOINT``, and a hub behind a proxy may name one of its own.
DONE = -3
#: Status of a call that was given up, as no answer came in time.
SILENT = -4
_OTHER_URL = re.compile(r"Unable to retrieve user and repo ID|Invalid HF URI 'https?:")
#: Of a link that is good for some time, to whoever has it.
_SIGNED = re.compile(r"[?&](?:X-\w+-)?Signature=", re.IGNORECASE)
#: What hf_xet says of a refusal, as one of Python's errors without the answer: its status, and the URL.
_XET = re.compile(r"HTTP status (?:client|server) error \((\d{3})[^)]*\)\W*(?:domain|for url)\W*([^\s)]*)")
#: In place of the hub's words, which hf_xet does not pass on.
UNTOLD = "it was asked where large files go (Xet)"
#: What a hub answers that may have none.
_NO_XET = (404, 501)
CUT_OFF = "what came is not the file that the hub has: the connection broke off, or a proxy answers in its place"
#: Tries of a file that does not come whole: a proxy in between does not pass by itself.
FEW = 5
#: Of a disk that takes no more.
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
#: What the hub's client raises on such an answer.
_ODD_ERRORS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_LIBRARIES = {"aiohttp", "h11", "hf_xet", "http", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"}


@dataclass(frozen=True)
class Failure:
    """Why a call failed.

    Attributes:
        status: The hub's answer; 0 if none came, -1 if the call was not made at all; ``ODD``, ``DONE`` or ``SILENT``.
        words: What the hub says, or what broke, in short.
        wait: Seconds that the hub asks to wait; None if it says nothing.
        link: Whether a signed link was refused, in whose place another try gets a new one.
    """

    status: int
    words: str
    wait: float | None = None
    link: bool = False

    @property
    def passing(self) -> bool:
        """Whether another try has hope."""
        return self.status in PASSING or self.link

    def __str__(self) -> str:
        who = "the hub's store, whose link may have expired," if self.link else "the hub"
        answer = f"{who} answers {self.status}" if self.status > 0 else ""
        # Messages go on behind it with a full stop of their own.
        return ": ".join(filter(None, [answer, self.words.rstrip(". ")])) or "the connection broke off"


class CutOffError(Exception):
    """A file came that is not the one that was asked for."""


def failure_of(error: BaseException) -> Failure | None:
    """What an exception of the hub's client says; None of one that is no failure of the hub or of the network."""
    chain = list(_chain(error))
    if any(type(one).__name__ == "OfflineModeIsEnabled" for one in chain):
        return Failure(-1, "HF_HUB_OFFLINE is set in the environment. Unset it")
    for one in chain:
        response = getattr(one, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int):
            link = status in (401, 403) and _SIGNED.search(str(getattr(response, "url", ""))) is not None
            return Failure(status, _words(one, response), _asked_wait(response), link)
    if any(isinstance(one, CutOffError) or str(one).startswith("Consistency check failed") for one in chain):
        return Failure(0, CUT_OFF)
    if any(isinstance(one, json.JSONDecodeError) for one in chain):
        response = _refusal_in(error)
        if response is not None:
            return Failure(response.status_code, _words(error, response), _asked_wait(response))
        return Failure(ODD, ODD_WORDS)
    if isinstance(error, ValueError) and _OTHER_URL.match(str(error)):
        return Failure(DONE, ODD_WORDS)
    refusal = next(filter(None, (_XET.search(str(one)) for one in chain)), None)
    if refusal is not None:
        return _refusal_of_xet(int(refusal[1]), refusal[2])
    for one in chain:
        if type(one).__module__.partition(".")[0] in _LIBRARIES or isinstance(one, (ConnectionError, TimeoutError)):
            return Failure(0, f"the connection failed ({type(one).__name__})")
    if type(error).__module__.partition(".")[0] == "huggingface_hub":
        return Failure(-1, " ".join(str(error).split())[:300])
    return _odd_failure(chain) if isinstance(error, (*_ODD_ERRORS, OSError)) and _is_of_the_client(error) else None


def local_words(error: OSError) -> str:
    """What failed on this machine, without the paths that the error names."""
    advice = ". Make room where temporary files go, or name another folder by TMPDIR" if error.errno in _FULL else ""
    return f"something on this machine failed: {os.strerror(error.errno or errno.EIO)}{advice}"


def _refusal_of_xet(status: int, url: str) -> Failure:
    """What the hub, or its store, answered to hf_xet, by which its client sends large files where that is installed."""
    if not re.search(r"/xet-(?:read|write)-token/", url):
        return Failure(0, f"the hub's store for large files (Xet) answers {status}")
    without = ", which a hub without Xet does not know; HF_HUB_DISABLE_XET=1 does without"
    return Failure(status, UNTOLD + (without if status in _NO_XET else ""))


def _odd_failure(chain: list[BaseException]) -> Failure:
    """What the hub's client says that raised an error of Python's."""
    local = next((one for one in chain if isinstance(one, OSError)), None)
    if local is not None:
        return Failure(-1, local_words(local))
    found = re.search(r"Encountered error for file with OID \S+: `([^`\n]{1,300})", str(chain[0]))
    return Failure(ODD, f"the hub says: {' '.join(found[1].split())}" if found else ODD_WORDS)


def _refusal_in(error: BaseException) -> Any:
    """What the hub answered, where its client reads an answer before it looks whether it is a refusal; else None."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        response = frame.f_locals.get("response")
        if str(frame.f_globals.get("__name__", "")).startswith("huggingface_hub"):
            status = getattr(response, "status_code", None)
            if isinstance(status, int) and status >= 400:
                return response
    return None


def _is_of_the_client(error: BaseException) -> bool:
    """Whether it was raised within the hub's client."""
    return any(
        str(frame.f_globals.get("__name__", "")).partition(".")[0] == "huggingface_hub"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def attempt(call: Callable[[], Result]) -> tuple[Result | None, Failure | None]:
    """What a call gives, or why it failed.

    Raises:
        BaseException: Whatever is no failure of the hub or of the network, without the frames of the hub's client.
    """
    other: BaseException | None = None
    failure: Failure | None = None
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - the clients of the hub have no common one
        failure = failure_of(error) if isinstance(error, Exception) else None
        if failure is None:
            other = error
    if other is None:
        return None, failure
    # Its frames, and those of what it came of, have the token among their variables.
    other.__cause__ = other.__context__ = None
    try:
        raise other.with_traceback(None)
    finally:
        del other


def attempt_within(call: Callable[[], Result], seconds: float) -> tuple[Result | None, Failure | None]:
    """The same, given up after some seconds: the hub's client waits for a connection as long as the system does."""
    came: list[tuple[Result | None, Failure | None]] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            came.append(attempt(call))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised.pop()
    return came[0] if came else (None, Failure(SILENT, "no answer came in time"))


class Patience:
    """Waits between tries, longer each time, for as long as there is hope.

    Args:
        tell: Told in words what is waited for.
        most: How many times at most.
        unreached: How many times at most if no answer comes at all.
    """

    def __init__(
        self, tell: Callable[[str], object] = lambda words: None, most: int = 100, unreached: int = 100
    ) -> None:
        self._tell, self._most, self._unreached = tell, most, unreached
        self._tries = 0

    def reset(self) -> None:
        """After a success."""
        self._tries = 0

    def wait(self, failure: Failure, *, conflicts: bool = False) -> bool:
        """Wait before another try; False if there is no hope in one.

        Args:
            failure: Why the last one failed.
            conflicts: Whether somebody else's change is a reason to try again.
        """
        hope = failure.passing or (conflicts and failure.status in CONFLICT)
        asked = failure.wait or 0.0
        most = min(len(WAITS), self._most, FEW if failure.words == CUT_OFF else self._most)
        most = min(most, self._unreached) if failure.status == 0 else most
        if not hope or self._tries >= most or asked > LONGEST_WAIT:
            return False
        # Not all of several pushers at once.
        seconds = max(WAITS[self._tries] * random.uniform(0.6, 1.0), asked)
        self._tries += 1
        self._tell(f"trying again in {seconds:.0f} s, since {failure}")
        time.sleep(seconds)
        self._tell("")
        return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 20:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1


def _words(error: BaseException, response: Any) -> str:
    said = getattr(error, "server_message", None) or response.headers.get("X-Error-Message") or ""
    if not said:
        found = re.search(r'"error"\s*:\s*"((?:[^"\\]|\\.){1,300})"', _text_of(response))
        said = found[1] if found else ""
    return " ".join(str(said).split())[:300]


def _text_of(response: Any) -> str:
    try:
        return str(response.text)[:10_000]
    except Exception:  # noqa: BLE001 - a body that was never read, which each library says in its own way
        return ""


def _asked_wait(response: Any) -> float | None:
    """Of ``Retry-After``, or of ``RateLimit: ...;t=30``."""
    given = response.headers.get("Retry-After") or ""
    if not given:
        found = re.search(r"\bt=(\d+)", response.headers.get("RateLimit") or "")
        given = found[1] if found and response.status_code == 429 else ""
    if not given:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds()) if until.tzinfo else None
