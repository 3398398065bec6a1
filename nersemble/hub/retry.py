"""What went wrong with a call to the hub, whichever client library was used, and whether to try it again.

Nothing of a failure but its status and the hub's own words goes into a message; the exception itself, whose traceback
can hold a token, is let go of.
"""

from __future__ import annotations

import random
import re
import time
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

_LIBRARIES = {"aiohttp", "h11", "hf_xet", "http", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"}


@dataclass(frozen=True)
class Failure:
    """Why a call failed.

    Attributes:
        status: The hub's answer; 0 if none came, -1 if the call was not made at all.
        words: What the hub says, or what broke, in short.
        wait: Seconds that the hub asks to wait; None if it says nothing.
    """

    status: int
    words: str
    wait: float | None = None

    @property
    def passing(self) -> bool:
        """Whether another try has hope."""
        return self.status in PASSING

    def __str__(self) -> str:
        answer = f"the hub answers {self.status}" if self.status > 0 else ""
        # Messages go on behind it with a full stop of their own.
        return ": ".join(filter(None, [answer, self.words.rstrip(". ")])) or "the connection broke off"


def failure_of(error: BaseException) -> Failure | None:
    """What an exception of the hub's client says; None of one that is no failure of the hub or of the network."""
    chain = list(_chain(error))
    if any(type(one).__name__ == "OfflineModeIsEnabled" for one in chain):
        return Failure(-1, "HF_HUB_OFFLINE is set in the environment. Unset it")
    for one in chain:
        response = getattr(one, "response", None)
        status = getattr(response, "status_code", None)
        if isinstance(status, int):
            return Failure(status, _words(one, response), _asked_wait(response))
    for one in chain:
        if type(one).__module__.partition(".")[0] in _LIBRARIES or isinstance(one, (ConnectionError, TimeoutError)):
            return Failure(0, f"the connection failed ({type(one).__name__})")
    if type(error).__module__.partition(".")[0] == "huggingface_hub":
        return Failure(-1, " ".join(str(error).split())[:300])
    return None


def attempt(call: Callable[[], Result]) -> tuple[Result | None, Failure | None]:
    """What a call gives, or why it failed.

    Raises:
        Exception: Whatever is no failure of the hub or of the network.
    """
    try:
        return call(), None
    except Exception as error:  # the clients of the hub have no common one
        failure = failure_of(error)
        if failure is None:
            raise
    return None, failure


class Patience:
    """Waits between tries, longer each time, for as long as there is hope.

    Args:
        tell: Told in words what is waited for.
        most: How many times at most.
    """

    def __init__(self, tell: Callable[[str], object] = lambda words: None, most: int = 100) -> None:
        self._tell, self._most = tell, most
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
        if not hope or self._tries >= min(len(WAITS), self._most) or asked > LONGEST_WAIT:
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
