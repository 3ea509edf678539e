"""Whether a pattern can take exponential or polynomial time, and on which routes. Pure, and advice only.

`re` tries every way in which a pattern may match before it gives up. If a repetition can match the same bytes
in two ways, two rounds of it can in four, and n in 2^n. If one repetition can take over from another at any
byte, there are as many ways as bytes; three repetitions make about the square of that, and so on. Both are
seen in the automaton of the pattern's positions (Glushkov's), in products of it with itself (Weber, Seidl: On
the degree of ambiguity of finite automata, 1991; Weideman and others: Analyzing Matching Time Behavior of
Backtracking Regular Expression Matchers by Using Ambiguity of NFA, 2016). Ambiguity costs nothing where what
follows cannot fail.

The automaton knows no anchors, look-around and back references, and takes for one byte what a possessive
repetition or an atomic group finds. So it only suspects, and a pattern has to prove slow before it is called
exponential. Nothing is found in what is too large, or new in a later Python. Whoever applies a pattern needs
a limit all the same.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeVar

try:
    from re import _parser as parser  # type: ignore[attr-defined]  # Python has no public one
except ImportError:
    parser = None

POSITIONS = 400  # of an automaton
STEPS = 100_000  # in products, for one pattern: some 0.1 s
COPIES = 8  # of what may come up to so many times; what may come more often is taken for endless
# A suspect that takes longer than VERY_LONG on a route of less than PUMPED rounds takes exponential time. Two
# ways a round make 2^29 ways; a thousand times what anything else takes on so few bytes.
PUMPED = 30
VERY_LONG = 2_000_000  # nanoseconds of CPU time
KINDS = 16  # of bytes that are tried
ANY = (1 << 256) - 1  # a set of bytes has a bit for each
NEWLINE = 1 << 10

State = TypeVar("State", bound=Hashable)
Successors = Callable[[State], Iterator[tuple[State, int]]]  # each with the bytes that lead to it


class Slow(NamedTuple):
    """Routes on which a pattern is slow."""

    degree: int  # the time grows with this power of the length; 0: exponentially
    repeats: int  # repetitions of the pattern that share in it
    before: bytes  # what leads to where
    pumped: bytes  # this can be matched in several ways, again and again
    fits_nowhere: bytes  # a byte

    def routes(self, times: int) -> Iterator[bytes]:
        """Some that pump so many times: what is behind that has to make the match fail."""
        for after in (self.fits_nowhere, b"\n\n", b""):
            yield self.before + self.pumped * times + after

    def long_routes(self, length: int) -> Iterator[bytes]:
        """Some of at most `length` bytes, if it is not short."""
        yield from self.routes(max(1, (length - len(self.before) - 2) // len(self.pumped)))


class _UnknownError(Exception):
    """Nothing can be said about the pattern."""


class _Part(NamedTuple):
    """A part of a pattern. Numbers of ways are 0, 1, or 2 for more."""

    empty: int  # ways to match nothing
    can_fail: bool
    first: Counter[int]  # positions where it may begin, and in how many ways
    last: Counter[int]


NOTHING = _Part(1, False, Counter(), Counter())


class _Loop(NamedTuple):
    positions: range  # of a repetition: each of them leads to each
    can_fail: bool  # what follows it


def exponential(pattern: re.Pattern[bytes], clock: Callable[[], int]) -> Slow | None:
    """Routes that take exponential time, if there are any. `clock` tells the nanoseconds of CPU time that the
    thread has had, because the automaton only suspects: a short one has to take very long."""
    try:
        suspects = [slow for each in _automata(pattern.pattern) if (slow := each.exponential())]
    except _UnknownError:
        return None
    for slow, times in product(suspects, range(1, PUMPED)):
        for route in slow.routes(times):
            if all(
                _time(pattern, route, clock) > VERY_LONG for _ in range(2)
            ):  # no other thing does so twice
                return slow
    return None


def _time(pattern: re.Pattern[bytes], route: bytes, clock: Callable[[], int]) -> int:
    begun = clock()
    pattern.search(route)
    return clock() - begun


def polynomial(pattern: re.Pattern[bytes]) -> list[Slow]:
    """Routes that may take more than linear time, the slowest first."""
    try:
        found = [slow for each in _automata(pattern.pattern) for slow in each.polynomial()]
    except _UnknownError:
        return []
    return sorted(found, key=lambda slow: -slow.degree)


def wants_slash_first(pattern: re.Pattern[bytes]) -> bool:
    """Whether it fits at the start of a route alone, and only if that is a slash."""
    try:
        outer = _automata(pattern.pattern)[0]
    except _UnknownError:
        return False
    is_slash = all(outer.sets[position] == 1 << ord("/") for position in outer.whole.first)
    return is_slash and not outer.whole.empty and _is_anchored(parser.parse(pattern.pattern))


def slow_routes(pattern: re.Pattern[bytes], length: int) -> list[bytes]:
    """Routes of up to `length` bytes, of which one is likely to be the slowest: what `polynomial` finds, and
    each kind of byte in the pattern, again and again."""
    try:
        sets = {bytes_ for each in _automata(pattern.pattern) for bytes_ in each.sets if bytes_}
    except _UnknownError:
        sets = set()
    kinds = sorted({b"/", b"a", *map(_likely, sets)})[:KINDS]
    found = [route for slow in polynomial(pattern) for route in slow.long_routes(length)]
    return [*found, *(before + kind * (length - len(before)) for kind in kinds for before in (b"", b"/"))]


def _automata(source: bytes) -> "list[_Automaton]":
    """One for the pattern, and one for each part that nothing outside leads back into."""
    if parser is None:
        raise _UnknownError
    tree = parser.parse(source)
    made: list[_Automaton] = []
    _Automaton(made, tree, tree.state.flags, is_searched=not _is_anchored(tree))
    return made


class _Automaton:
    """Positions of a pattern: each a set of bytes, and what may come next, in how many ways."""

    def __init__(self, made: "list[_Automaton]", items: Any, flags: int, *, is_searched: bool) -> None:
        """It joins `made`, as do those of its parts. `is_searched`: whether it may begin anywhere."""
        made.append(self)
        self._made = made
        self.sets: list[int] = []
        self._next: list[Counter[int]] = []
        self._loops: list[_Loop] = []  # what is within others comes before them; the pattern's last first
        self._steps = STEPS  # that are left
        before = self._position(ANY)  # the bytes before the match
        self.whole = self._sequence(items, flags, can_fail=False)
        self._link(before, self.whole)
        if is_searched:
            self._link(before, before)
            self._loops.append(_Loop(range(1), False))

    def exponential(self) -> Slow | None:
        """Where two ways through one repetition, round and round, have the same bytes."""
        for loop in self._loops:
            starts = [(each, each, False) for each in loop.positions if loop.can_fail]
            both = self._walk(starts, self._pairs(loop), lambda at: at[0] == at[1] and at[2])
            if both:
                (start, _, _), (end, _, _), there = both
                return self._slow(0, 1, start, there + (b"" if end == start else self._way(end, start, loop)))
        return None

    def polynomial(self) -> Iterator[Slow]:
        """Where one repetition can go on, or the next one take over, with the same bytes."""
        outermost = [
            loop
            for number, loop in enumerate(self._loops)
            if not any(loop.positions.start in later.positions for later in self._loops[number + 1 :])
        ]
        # By the last repetition of a chain: how many there are, with the search for a start and without.
        degrees: dict[range, tuple[int, int]] = {}
        for loop in reversed(outermost):
            best, slow = (1, int(loop.positions.start > 0)), None
            for before, (degree, repeats) in list(degrees.items()):
                found = self._takes_over(before, loop.positions)
                longer = (degree + 1, repeats + 1)
                if found and longer > best:
                    best, slow = longer, self._slow(*longer, *found)
            degrees[loop.positions] = best
            if slow and loop.can_fail:
                yield slow

    def _takes_over(self, before: range, after: range) -> tuple[int, bytes] | None:
        """From where, and by which bytes."""
        for start, end in product(before, after):
            found = self._walk(
                [(start, start, end)],
                self._triples(before, after),
                lambda at, start=start, end=end: at == (start, end, end),  # type: ignore[misc]
            )
            if found:
                return start, found[2]
        return None

    # --- the pattern's parts

    def _sequence(self, items: Any, flags: int, *, can_fail: bool) -> _Part:
        """From its end to its start, since what may fail behind a repetition matters there."""
        whole = NOTHING
        for op, argument in reversed(list(items)):
            part = self._part(str(op), argument, flags, can_fail=can_fail or whole.can_fail)
            whole = self._joined(part, whole)
        return whole

    def _joined(self, one: _Part, two: _Part) -> _Part:
        self._link(one, two)
        return _Part(
            min(2, one.empty * two.empty),
            one.can_fail or two.can_fail,
            one.first + _times(two.first, one.empty),
            two.last + _times(one.last, two.empty),
        )

    def _part(self, op: str, argument: Any, flags: int, *, can_fail: bool) -> _Part:
        if op in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            return self._position(_bytes_of(op, argument, flags))
        if op == "SUBPATTERN":
            _, added, removed, items = argument
            return self._sequence(items, (flags | added) & ~removed, can_fail=can_fail)
        if op in ("BRANCH", "GROUPREF_EXISTS"):
            branches = argument[1] if op == "BRANCH" else [argument[1], argument[2] or []]
            return _either([self._sequence(items, flags, can_fail=can_fail) for items in branches])
        if op in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, items = argument
            return self._repeated(least, most, items, flags, can_fail=can_fail)
        if op in ("ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            items = argument if op == "ATOMIC_GROUP" else [("MAX_REPEAT", argument)]
            return self._atomic(_Automaton(self._made, items, flags, is_searched=False))
        if op in ("ASSERT", "ASSERT_NOT"):
            _Automaton(self._made, argument[1], flags, is_searched=False)
        elif op not in ("AT", "GROUPREF"):
            raise _UnknownError
        return NOTHING._replace(can_fail=True)

    def _repeated(self, least: int, most: int, items: Any, flags: int, *, can_fail: bool) -> _Part:
        """Copies of what must come, of what may come, and a loop where there is no end."""
        is_endless, whole = most - least > COPIES, NOTHING
        for number in reversed(range(max(1, least) if is_endless else most)):
            begin = len(self.sets)
            part = self._sequence(items, flags, can_fail=can_fail or whole.can_fail)
            if is_endless and whole is NOTHING:
                self._link(part, part)
                self._loops.append(_Loop(range(begin, len(self.sets)), can_fail))
                if part.empty:  # the last round may be without any byte
                    part = part._replace(empty=2, last=_times(part.last, 2))
            whole = self._joined(part, whole)
            if number >= least:
                whole = _either([whole, NOTHING])
        return whole

    def _atomic(self, inner: "_Automaton") -> _Part:
        """One position for what gives nothing back."""
        begins = 0
        for position in inner.whole.first:
            begins |= inner.sets[position]
        part = self._position(begins)
        return part._replace(can_fail=inner.whole.can_fail, empty=min(1, inner.whole.empty))

    def _position(self, bytes_: int) -> _Part:
        if len(self.sets) >= POSITIONS:
            raise _UnknownError
        self.sets.append(bytes_)
        self._next.append(Counter())
        here = Counter([len(self.sets) - 1])
        return _Part(0, True, here, here)

    def _link(self, one: _Part, two: _Part) -> None:
        for position, ways in one.last.items():
            self._next[position] += _times(two.first, ways)

    # --- walks through products

    def _way(self, start: int, end: int, loop: _Loop) -> bytes:
        """The bytes of the shortest walk through a loop."""
        found = self._walk(
            [start],
            lambda at: ((to, self.sets[to]) for to in self._next[at] if to in loop.positions),
            lambda at: at == end,
        )
        return found[2] if found else b""

    def _pairs(self, loop: _Loop) -> Successors[tuple[int, int, bool]]:
        def successors(at: tuple[int, int, bool]) -> Iterator[tuple[tuple[int, int, bool], int]]:
            one, two, have_parted = at
            for (to, ways), other in product(self._next[one].items(), self._next[two]):
                if to in loop.positions and other in loop.positions:
                    parts = to != other or (one == two and ways > 1)
                    yield (to, other, have_parted or parts), self.sets[to] & self.sets[other]

        return successors

    def _triples(self, before: range, after: range) -> Successors[tuple[int, int, int]]:
        def successors(at: tuple[int, int, int]) -> Iterator[tuple[tuple[int, int, int], int]]:
            for one, two, three in product(*(self._next[each] for each in at)):
                if one in before and three in after:
                    yield (one, two, three), self.sets[one] & self.sets[two] & self.sets[three]

        return successors

    def _walk(
        self, starts: Iterable[State], successors: Successors[State], is_end: Callable[[State], bool]
    ) -> tuple[State, State, bytes] | None:
        """The shortest walk of at least a step from a start to an end, and its bytes."""
        ways: dict[State, tuple[State, bytes]] = {each: (each, b"") for each in starts}
        seen: set[State] = set()
        while ways:
            further: dict[State, tuple[State, bytes]] = {}
            for at, (start, read) in ways.items():
                for to, bytes_ in successors(at):
                    self._steps -= 1
                    if self._steps < 0:
                        raise _UnknownError
                    if bytes_ and to not in seen:
                        seen.add(to)
                        further[to] = start, read + _likely(bytes_)
                        if is_end(to):
                            return start, to, further[to][1]
            ways = further
        return None

    def _slow(self, degree: int, repeats: int, start: int, pumped: bytes) -> Slow:
        before = self._way(0, start, _Loop(range(len(self.sets)), False)) if start else b""
        fits = 0
        for each in self.sets[1:]:
            fits |= each
        return Slow(
            degree,
            repeats,
            before,
            pumped,
            _likely(ANY & ~fits) if fits != ANY else b"",
        )


def _either(parts: Sequence[_Part]) -> _Part:
    return _Part(
        min(2, sum(part.empty for part in parts)),
        all(part.can_fail for part in parts),
        sum((part.first for part in parts), Counter()),
        sum((part.last for part in parts), Counter()),
    )


def _times(ways: Counter[int], times: int) -> Counter[int]:
    return Counter({position: min(2, number * times) for position, number in ways.items() if times})


def _is_anchored(items: Any) -> bool:
    """Whether it fits at the start alone."""
    for op, argument in items:
        if str(op) == "AT":
            return str(argument) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
        if str(op) == "SUBPATTERN":
            return _is_anchored(argument[3])
        return str(op) == "BRANCH" and all(map(_is_anchored, argument[1]))
    return False


def _bytes_of(op: str, argument: Any, flags: int) -> int:
    """The set of bytes that a position takes."""
    if op == "ANY":
        return ANY if flags & re.DOTALL else ANY & ~NEWLINE
    items = argument if op == "IN" else [(op.removeprefix("NOT_"), argument)]
    found, is_negated = 0, op == "NOT_LITERAL"
    for each, value in items:
        name = str(each)
        if name == "NEGATE":
            is_negated = True
        elif name == "LITERAL":
            found |= 1 << value
        elif name == "RANGE":
            found |= (1 << value[1] + 1) - (1 << value[0])
        elif name == "CATEGORY":
            found |= _category(str(value))
        else:
            raise _UnknownError
    if flags & re.IGNORECASE:
        upper, lower = (found >> 65) & ((1 << 26) - 1), (found >> 97) & ((1 << 26) - 1)
        found |= (upper | lower) << 65 | (upper | lower) << 97
    return ANY & ~found if is_negated else found


def _category(name: str) -> int:
    *_, negated, kind = name.split("_")
    escape = {"DIGIT": b"d", "SPACE": b"s", "WORD": b"w"}.get(kind)
    if escape is None:
        raise _UnknownError
    escape = escape.upper() if negated == "NOT" else escape
    return sum(1 << byte for byte in range(256) if re.fullmatch(rb"\%b" % escape, bytes((byte,))))


def _likely(bytes_: int) -> bytes:
    """One of a set: such as stands in paths, if there is any."""
    for byte in b"/a0-!":
        if bytes_ >> byte & 1:
            return bytes((byte,))
    return bytes(((bytes_ & -bytes_).bit_length() - 1,))
