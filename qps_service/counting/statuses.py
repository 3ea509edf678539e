"""Which statuses are told apart for certain. Pure.

A server answers with few of them, and nearly all are listed here. Where it writes quotes into its log as they
are, whoever asks for `/a" 842 ` chooses the status of its own request: so one that is not listed is told apart
only while there is plenty of room (rows.py), and counted as its class beyond that, as RFC 9110, 15, has any
client do: "treat an unrecognized status code as being equivalent to the x00 status code of that class".
"""

# IANA's HTTP Status Code Registry (https://www.iana.org/assignments/http-status-codes), with 418; then what
# other programs answer or log, which no registry has.
LISTED = frozenset(
    map(
        int,
        """
    100 101 102 103 104
    200 201 202 203 204 205 206 207 208 226
    300 301 302 303 304 305 306 307 308
    400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417 418 421 422 423 424 425 426 428 429
    431 451
    500 501 502 503 504 505 506 507 508 510 511

    419 420 430 440 444 449 450 460 461 463 464 494 495 496 497 498 499
    509 520 521 522 523 524 525 526 527 529 530 561 598 599
    """.split(),
    )
) | frozenset(range(0, 1000, 100))  # of each class, and 000: nothing was answered


def class_of(status: int) -> int:
    """The listed one that it is counted as where it has no place."""
    return status // 100 * 100
