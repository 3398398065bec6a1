"""A long download on a bad line, by a process that is killed and restarted: every byte right, nothing fetched twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from itertools import pairwise

from _faults import (
    DRIVER,
    Scene,
    drop,
    facts,
    files_in,
    finish_download,
    part_of,
    parts_in,
    plain,
    reset,
    send,
    start_download,
    status,
)

from nersemble.demo import DemoHandler
from nersemble.layout import SEQUENCES

KILLS, WORKERS, FAILING = 5, 8, 0.2


def hang_up(handler, path, number):
    """Close the connection without an answer."""
    drop(handler)


def too_short(handler, path, number):
    """The right Content-Length, and half of the body."""
    data, headers = facts(handler, path)
    send(handler, 200, headers, data[: len(data) // 2])
    drop(handler)


#: Each ends before a body is whole.
FAULTS = [hang_up, too_short, part_of(1, reset), part_of(1500, drop), status(503), status(500)]


def flaky(kill_at):
    """A handler that fails a fifth of the requests for videos, and tells when so many bodies were sent whole."""
    chance, lock = random.Random(1), threading.Lock()
    whole = Counter()
    faults = Counter()
    reached = [threading.Event() for _ in kill_at]

    class Flaky(DemoHandler):
        def respond(self, path):
            if not path.endswith(".mp4") or self.command == "HEAD":
                self.send_file(path)
                return
            with lock:
                fault = chance.choice(FAULTS) if chance.random() < FAILING else plain
                faults[fault is not plain] += 1
            fault(self, path, 1)
            size = (self.demo.folder / path).stat().st_size
            if self.status == 200 and self.body_bytes == size:
                with lock:
                    whole[path] += 1
                    for count, event in zip(kill_at, reached, strict=True):
                        if whole.total() >= count:
                            event.set()

    return Flaky, whole, faults, reached


def test_2000_files_on_a_bad_line_with_a_process_that_is_killed_five_times(tmp_path, monkeypatch):
    """At the end every byte is right, no part is left, and no file was fetched twice whole.

    In exact terms:

    - a file that had its final name when a process was killed is asked for by none of the later ones;
    - between two kills no body is sent whole twice;
    - what was sent whole twice in all was in flight at a kill: sent by the server, and not yet on the disk of a process
      that was killed meanwhile.  So there are at most as many of these as kills times workers, and each was sent whole
      in lives of different processes.
    """
    participants, sequences, cameras = (50, 51, 52, 240, 241), SEQUENCES[:25], 16
    with Scene(
        tmp_path,
        monkeypatch,
        participants=participants,
        sequences=sequences,
        cameras=cameras,
        size=lambda chance: chance.randint(2_000, 40_000),
    ) as scene:
        total = len(participants) * len(sequences) * cameras
        assert total == 2000
        handler, whole, faults, reached = flaky([total * (number + 1) // (KILLS + 1) for number in range(KILLS)])
        server = scene.serve(handler)
        script = DRIVER.replace("0.01", "0.002")
        finished = [set()]
        sent = [Counter()]
        for event in reached:
            process = start_download(scene.folder, script=script, workers=WORKERS)
            assert event.wait(60)
            process.kill()
            process.communicate()
            assert server.requests  # waits for the answers that were on their way
            sent.append(Counter(whole))
            finished.append(scene.check())
            asked = {request.path for request in server.requests if request.method == "GET"}
            assert not asked & finished[-2]
            server.reset()
        report = finish_download(start_download(scene.folder, script=script, workers=WORKERS))
        sent.append(Counter(whole))
        assert not {request.path for request in server.requests if request.method == "GET"} & finished[-1]

        assert report["complete"], report
        assert report["fetched"] + report["kept"] == total
        assert scene.check() == scene.videos
        assert set(files_in(scene.folder)) == scene.videos
        assert parts_in(scene.folder) == []
        for before, after in pairwise(sent):
            assert max((after - before).values()) == 1
        twice = {path: count for path, count in whole.items() if count > 1}
        assert sum(twice.values()) - len(twice) <= KILLS * WORKERS
        assert faults[True] / faults.total() > FAILING * 0.85
        assert [len(done) for done in finished] == sorted({len(done) for done in finished})  # each process did some
