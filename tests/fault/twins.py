"""Followers that are broken on purpose, each in the way of a known mistake."""

from collections.abc import Iterator
from typing import Any

from qps_service.follower import Follower
from qps_service.generations import Chunk, Generation
from qps_service.siblings import Found


class ClosesFirst(Follower):
    """Closes what it holds before it opens what is new, as `tail -F` does."""

    def _open_log(self, *arguments: Any) -> None:
        for generation in tuple(self._generations):
            generation.close()
            self._generations.remove(generation)
        super()._open_log(*arguments)


class LetsGoAtOnce(Follower):
    """Lets an old generation go when it is at its end for the first time."""

    def _may_retire(self, generation: Generation, now: int) -> bool:
        return True

    def _retire(self, generation: Generation) -> Iterator[Chunk]:
        yield from generation.drain()
        generation.close()
        self._generations.remove(generation)


class Forgets(Follower):
    """Remembers nothing of what it let go."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._siblings.retire = lambda position: None  # type: ignore[method-assign]


class LooksAtTheLogOnly(Follower):
    """Never looks at the files beside the log."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._siblings.find = lambda *_: ([], False)  # type: ignore[method-assign]


class TrustsNames(Follower):
    """Takes every new file with a fitting name for a generation."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        siblings = self._siblings
        judge = siblings._judge

        def trusting(path: str, *rest: Any, **keywords: Any) -> Any:
            siblings._lineage.names.add(path)
            return judge(path, *rest, **keywords)

        siblings._judge = trusting  # type: ignore[method-assign]


class DistrustsEverything(Follower):
    """Believes renames only; after an overflow it finds nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        find = self._siblings.find

        def sure(*arguments: Any) -> tuple[list[Found], bool]:
            self._siblings._lineage.complete = True
            return find(*arguments)

        self._siblings.find = sure  # type: ignore[assignment]


class BySizeOnly(Follower):
    """Sees a truncation by the size alone, as most peers do."""

    def _adopt(self, found: Found) -> Generation:
        generation = super()._adopt(found)
        advance = generation._advance

        def without_marker(consumed: bytes) -> None:
            advance(consumed)
            generation._marker = b""

        generation._advance = without_marker  # type: ignore[method-assign]
        return generation


class LooksForNoCopy(Follower):
    """Goes on in a truncated log as if nothing else had been in it."""

    def _copies_of_truncated(self) -> Iterator[Generation]:
        return iter(())


class TakesAnyCopy(Follower):
    """Takes an older file with the same lines for the copy."""

    def _copies_of_truncated(self) -> Iterator[Generation]:
        self._cut = [(position, 0) for position, _ in self._cut]
        return super()._copies_of_truncated()


class KeepsThePartialLine(Follower):
    """Buffers a partial line, and joins it to whatever comes next."""

    def _adopt(self, found: Found) -> Generation:
        generation = super()._adopt(found)
        consume = generation._consume

        def eager(body: bytes) -> Chunk | None:
            end = body.rfind(b"\n") + 1
            if end:
                return consume(body)
            generation._advance(body)
            return Chunk(body)

        generation._consume = eager  # type: ignore[method-assign]
        return generation


class ByInodeNumber(Follower):
    """Goes on at its offset in a file with the number of the one before, and keeps none from reuse."""

    _offset = 0

    def read(self, now: int) -> Iterator[Chunk]:
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        yield Chunk(data)


class IgnoresTheLink(Follower):
    """Looks only where the link is, not where it leads."""

    def _places(self) -> list[Any]:
        return super()._places()[:1]


class StartsAtTheVeryEnd(Follower):
    """Begins at the last byte instead of the last line."""

    def _at_line_before(self, descriptor: int, size: int, fresh: Any) -> Any:
        return fresh._replace(offset=size)


class SaysEachTime(Follower):
    """Says the same trouble at every look."""

    def read(self, now: int) -> Iterator[Chunk]:
        self._voice.trouble = None
        yield from super().read(now)


class NeverLookedBack(Follower):
    """Takes a file that comes back to the log's name for a new one."""

    def _open_log(self, seen: Any, now: int) -> None:
        held = self._generations
        self._generations = []
        super()._open_log(seen, now)
        self._generations = [*held, *self._generations]
