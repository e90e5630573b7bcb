"""How rare a text is in the logs of Spark: of two literals, the one that fewer lines have costs less."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache

_PER_TEXT = {3: 2.0**-9, 4: 2.0**-9, 5: 2.0**-11, 6: 2.0**-12, 7: 2.0**-13}
_PER_LONG_TEXT = 2.0**-16
"""What it costs to look for one text more, in hits per line, by its length: each slows every engine a little, and
hyperscan much where it is short (measured: 10 of 3 and 4 characters as much as 600 of 8 and more)."""
_TAIL = 8
_RARE_TAIL = 10.0
_ENOUGH = 14.0
_USUAL = 3.0
"""As :func:`bits`, of what stands in one of :data:`_USUAL_LINES`."""

_FIRST_COMMON_WORD = 4.0
_COMMON_WORD = 1.0
_RARE_LETTER = 2.0
_DIGIT = 1.5
_DIGIT_AFTER_WORD = 3.0
_OTHER = 0.25
"""How often, as a power of two, a line has less of it: the first common word, a common word more (they come in set
phrases), a letter of another word, a digit (with or without a word before it), any other character. Rough on purpose:
it is the order that counts."""

_LITTLE_WORDS = (
    "a an and as at be by did for from has have in is it no not of on or than that the to was with"
)
_COMMON_WORDS = """
about access acls action added address after aggregate all allocated allocator already apache app
application applicationmaster apply array asked assigned attempt attempts available aws base batch because
been before below block blockmanager blockmanagerid blockmanagerinfo blockmanagermaster broadcast
broadcasting builtin bytes call cancelled cast catalog catalyst cause caused class classes classloader
client close closed cluster coarsegrainedexecutorbackend code codegenerator collect collection column
columns com command commit commits completed conf config connect connected connecting connection container
containers context core cores could count created dag dagscheduler data database dataframe dataset
datasource debug default defaults delta directory disabled disk done double driver due empty enabled end
endpoint entry environment err error errors estimated event exceeded exceeding exception exec execute
execution executor executors exit exitcode exited expired factory fail failed failing failure fatal fetch
field file files filescanrdd final find finished first format found free function generated get getting gib
granted group groups hadoop handler heap hive host hosts http https id implementation index info init
initialized input instance integer internal into invalid invoke io iterator jar java javathread job jobs key
kib lang large last launched launching library limit line list listener load loaded loading local localhost
location log lost main manager map mappartitionsrdd master max maximum memory memorystore merge message
metadata metastore method mib missing mode module modules more name native net netty network node non none
now null number object open operation option org out output packages parquet parsing partition partitions
path pending permission permissions physical piece plan platform please port primary process processing
profile project properties property protocol provider py pyspark python pythonrunner query queryexecution
range rdd reached read reading reason received recent recommended record records reflect registered
registering remote remove removed removing replication reply report request requested requests reserved
resource resourceprofile resources response result resultset resultstage retry return returned root rpc run
runjob running runtask runtime runtimeexception scala scheduler schema security securitymanager send server
service session set shared shuffle shufflemapstage shutdown shutting signal site size snapshot source spark
spark3 sparkappexecution sparkcontext sparkenv sparkexception sparksession sparkui spent sql stage stages
start started starting state status stop stopped stopping storage store stored stream streaming string
struct submit submitted submitting success successfully sum table task taskrunner tasks taskschedulerimpl
tasksetmanager temporary test thread threadpoolexecutor throwable tid time timeout timestamp token total
trace traceback try type types unable unknown update updated url use used user users using util utils value
values version view wait waiting warehouse warn warning which while within work worker workers write writing
yarn yarnallocator your zip
"""
"""Words, in lower case, of lines that every healthy application logs, of its stack frames and its code."""

_USUAL_LINES = """
INFO BlockManagerInfo: Added broadcast_0_piece0 in memory on
INFO BlockManagerInfo: Removed broadcast_0_piece0 on
INFO BlockManagerInfo: Added rdd_0_0 on disk on
INFO MemoryStore: Block broadcast_0 stored as values in memory (estimated size
INFO MemoryStore: Block rdd_0_0 stored as bytes in memory (estimated size
INFO TaskSetManager: Starting task 0.0 in stage 0.0 (TID 0) (
INFO TaskSetManager: Finished task 0.0 in stage 0.0 (TID 0) in
INFO Executor: Running task 0.0 in stage 0.0 (TID 0)
INFO Executor: Finished task 0.0 in stage 0.0 (TID 0).
INFO CoarseGrainedExecutorBackend: Got assigned task
INFO TorrentBroadcast: Started reading broadcast variable 0 with 1 pieces
INFO TorrentBroadcast: Reading broadcast variable 0 took
INFO ShuffleBlockFetcherIterator: Started 0 remote fetches in 0 ms
INFO ContextCleaner: Cleaned accumulator
INFO Client: Application report for application_0_0 (state: RUNNING)
INFO Client: Application report for application_0_0 (state: ACCEPTED)
INFO DAGScheduler: Job 0 finished: collect at
INFO TaskSchedulerImpl: Removed TaskSet 0.0, whose tasks have all completed, from pool
\tat org.apache.spark.
\tat java.base/java.
Caused by: java.lang.
"""
"""What applications log most, without the numbers."""

_LITTLE = frozenset(_LITTLE_WORDS.split())
_COMMON = frozenset(_COMMON_WORDS.split())
_COMMON_TEXT = f" {' '.join(sorted(_COMMON))} "
_PART = re.compile(r"[A-Z]*[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")


def cost(texts: Iterable[str]) -> float:
    """What looking for ``texts`` costs, as hits per line; the lower the better."""
    return sum(math.pow(2.0, -bits(text)) + _PER_TEXT.get(len(text), _PER_LONG_TEXT) for text in texts)


def without_common_end(text: str) -> str:
    """``text`` up to where its last characters are rare, as long as what is left is.

    Hyperscan looks for the last :data:`_TAIL` bytes of a text first, and slows where they stand in many lines.
    """
    enough = min(bits(text), _ENOUGH)
    for ends in ([match.end() for match in _PART.finditer(text)], range(_TAIL, len(text) + 1)):
        good = [end for end in ends if end >= _TAIL and bits(text[:end]) >= enough]
        best = max(good, key=lambda end: (_tail_bits(text, end), end), default=len(text))
        if (
            _tail_bits(text, best) >= _RARE_TAIL
        ):  # where the text can be cut between words, it is not cut in one
            break
    return text[:best]


def _tail_bits(text: str, end: int) -> float:
    return min(bits(text[max(0, end - _TAIL) : end]), _RARE_TAIL)


@lru_cache(maxsize=65536)
def bits(text: str) -> float:
    """How rare ``text`` is: a line of a healthy log has it with about a chance of 2 to the minus this.

    A literal need not begin or end where a word does, so that its first and last letters count as common when they
    are a part of a common word.
    """
    if text in _USUAL_LINES:
        return _USUAL
    worth, common_word = 0.0, _FIRST_COMMON_WORD
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece[0].isdecimal():
            worth += len(piece) * (_DIGIT if worth < _FIRST_COMMON_WORD else _DIGIT_AFTER_WORD)
        elif not piece[0].isalpha():
            worth += _OTHER * len(piece)
        elif piece.lower() in _LITTLE:
            worth += _COMMON_WORD
        elif _is_common(piece.lower(), match.start() == 0, match.end() == len(text)):
            worth += common_word
            common_word = _COMMON_WORD
        else:
            worth += max(_FIRST_COMMON_WORD, _RARE_LETTER * len(piece))
    return worth


def _is_common(word: str, may_go_on_before: bool, may_go_on_after: bool) -> bool:
    if word in _COMMON:
        return True
    if may_go_on_before:
        return (word if may_go_on_after else word + " ") in _COMMON_TEXT
    return may_go_on_after and " " + word in _COMMON_TEXT
