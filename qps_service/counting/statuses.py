"""Which statuses are told apart for certain. Pure.

A server answers with few of them, and nearly all are listed here. Where it writes quotes into its log as they
are, whoever asks for `/a" 842 ` chooses the status of its own request: so one that is not listed is told
apart only while there is plenty of room (rows.py), and counted as its class beyond that, as RFC 9110, 15, has
any client do: "treat an unrecognized status code as being equivalent to the x00 status code of that class".
"""

_CLASSES = range(0, 1000, 100)  # 000: nothing was answered
# IANA's HTTP Status Code Registry (https://www.iana.org/assignments/http-status-codes)
_REGISTERED = (
    *(*range(100, 105), *range(200, 209), 226, *range(300, 309)),
    *(*range(400, 419), *range(421, 427), 428, 429, 431, 451, *range(500, 509), 510, 511),
)
# What nginx, IIS, Cloudflare, the balancers of AWS and others answer or log, which no registry has.
_OTHERS = (
    *(419, 420, 430, 440, 444, 449, 450, 460, 461, 463, 464, 494, 495, 496, 497, 498, 499, 509),
    *(*range(520, 528), 529, 530, 561, 598, 599),
)
LISTED = frozenset((*_CLASSES, *_REGISTERED, *_OTHERS))


def class_of(status: int) -> int:
    """The listed one that it is counted as where it has no place."""
    return status // 100 * 100
