"""How often a thing is said that happens again and again."""


class Throttle:
    """Lets a repeating event be said at once, and then at most once an interval."""

    def __init__(self, interval: int) -> None:
        """`interval` in nanoseconds."""
        self._interval = interval
        self._said_at: int | None = None  # nanoseconds, on the caller's clock

    def allows(self, now: int) -> bool:
        """Whether it may be said at `now`; if so, the interval begins anew."""
        if self._said_at is not None and now - self._said_at < self._interval:
            return False
        self._said_at = now
        return True
