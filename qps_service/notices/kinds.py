"""What the service says about itself: one entry a change of state, each kind with its own MESSAGE_ID.

A kind's id never changes, so that `journalctl MESSAGE_ID=…` and alerts built on it keep working.
The journal's catalog explains each kind and what to do about it, and docs/reference/messages.md is made of
it; tests hold the lists together.
"""

from collections.abc import Callable
from syslog import LOG_CRIT, LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING
from typing import NamedTuple

from qps_service.values.entries import PossibleLoss


class Kind(NamedTuple):
    """A kind of notice."""

    name: str
    message_id: str  # 128 random bits in hexadecimal, as `systemd-id128 new` makes them
    priority: int  # syslog(3) level


class Notice(NamedTuple):
    """One thing said."""

    kind: Kind
    text: str
    log: str | None = None  # the log it is about
    loss: PossibleLoss | None = None  # what may be lost, where it tells of that


Notify = Callable[[Notice], None]

# The report is no notice, but its id has its place in the same list.
REPORT_MESSAGE_ID = "c06d9b30cc7b47849d384a0dfa9edfde"

FOLLOWING = Kind("following", "37270e823e9743bbb705124189df7c96", LOG_INFO)
WAITING = Kind("waiting", "50caf5a7bd054a4380349efbc51ce579", LOG_WARNING)
UNREADABLE = Kind("unreadable", "b776ea72dc6f4e6cbe9ba615ecca01c6", LOG_ERR)
READ_FAILED = Kind("read_failed", "ae08ece2ee4c4fb2afb8893d7294c749", LOG_ERR)
ROTATED = Kind("rotated", "8ef58764d06f4886852f36e616312c51", LOG_INFO)
MOUNTED_ALONE = Kind("mounted_alone", "ce6c98edd40f45e2aa2e4bb02dc2b78c", LOG_WARNING)
TRUNCATED = Kind("truncated", "ae865a7a084e44f7807a47a39318db0c", LOG_WARNING)
UNWATCHED = Kind("unwatched", "3b4c75153a1d4b319f1996ed887aaf15", LOG_WARNING)
POSSIBLE_LOSS = Kind("possible_loss", "bedd2003aefd447149e69f9d23a06b25", LOG_WARNING)
POSSIBLE_DUPLICATE = Kind("possible_duplicate", "e7d8588a9579e9231884873254136414", LOG_WARNING)
RECOGNISED = Kind("recognised", "043cc7cef3fcff29d3bc031b8c6a7441", LOG_NOTICE)
FOREIGN_FILE = Kind("foreign_file", "9408a06b31569e9b0212fc8ce438e4ce", LOG_WARNING)
RESTORED = Kind("restored", "f8df23cba72bd888cb4ed64ad6d91df4", LOG_INFO)
LEDGER_UNAVAILABLE = Kind("ledger_unavailable", "73fc94513f22292de80f423d142a1024", LOG_ERR)
LEDGER_RESUMED = Kind("ledger_resumed", "5611b819991af8fc2ee5448cae456b7d", LOG_NOTICE)
LEDGER_SET_ASIDE = Kind("ledger_set_aside", "cf238022d0651bcf82ea2aac1acc6e44", LOG_CRIT)
LEDGER_VANISHED = Kind("ledger_vanished", "360416fd9a3986c8d92ace9e78716a25", LOG_CRIT)
HISTORY_DROPPED = Kind("history_dropped", "3d4f1bf622664000ab7f07dba4afb582", LOG_WARNING)
LET_GO = Kind("let_go", "d322156d165b45ffb8fd0cee42d80c46", LOG_WARNING)
FORMAT_CHOSEN = Kind("format_chosen", "5426322fc9be46578981f1b00c814fa5", LOG_INFO)
FORMAT_UNFIT = Kind("format_unfit", "c8391df902db497bb026e112f580ea8e", LOG_WARNING)
ROWS_SHORT = Kind("rows_short", "685c207664d44708984010af3b4df7e2", LOG_WARNING)
REJECTED = Kind("rejected", "95c7c2850a4f4a26a55cd441fdd59481", LOG_WARNING)
SLOW_RULE = Kind("slow_rule", "f3f56769663c4884b860f60372e891de", LOG_WARNING)
RELOADED = Kind("reloaded", "1c20831ce8c04493a9c03d9da0f29625", LOG_NOTICE)
RELOAD_REFUSED = Kind("reload_refused", "4648a8212e7947cb89c42e1068ce1d3a", LOG_ERR)
STOPPED = Kind("stopped", "ee308bfc60584f278228898b372c1b51", LOG_INFO)
LOG_LEFT = Kind("log_left", "6ed4dd8ebd13440aa24205a012b9f0fc", LOG_NOTICE)
DATES_APART = Kind("dates_apart", "d987e8e39d01787eeb66fb25c1fab8db", LOG_NOTICE)
TOO_MANY_LOGS = Kind("too_many_logs", "b2a4cb438eaf4a1b9635a5e0762b5197", LOG_WARNING)
OUTPUT_FAILED = Kind("output_failed", "b5acb13eeba64f74be21b61d5008a808", LOG_WARNING)
OUTPUT_RESUMED = Kind("output_resumed", "5c66518b54024a5cb8ff129af4b62016", LOG_NOTICE)

KINDS = (
    FOLLOWING,
    WAITING,
    UNREADABLE,
    READ_FAILED,
    ROTATED,
    MOUNTED_ALONE,
    TRUNCATED,
    UNWATCHED,
    POSSIBLE_LOSS,
    POSSIBLE_DUPLICATE,
    RECOGNISED,
    FOREIGN_FILE,
    RESTORED,
    LEDGER_UNAVAILABLE,
    LEDGER_RESUMED,
    LEDGER_SET_ASIDE,
    LEDGER_VANISHED,
    HISTORY_DROPPED,
    LET_GO,
    FORMAT_CHOSEN,
    FORMAT_UNFIT,
    ROWS_SHORT,
    REJECTED,
    SLOW_RULE,
    RELOADED,
    RELOAD_REFUSED,
    STOPPED,
    LOG_LEFT,
    DATES_APART,
    TOO_MANY_LOGS,
    OUTPUT_FAILED,
    OUTPUT_RESUMED,
)
