"""Limits that Spark sets on results, broadcasts and messages: where each sits, and how far it may be raised."""

from __future__ import annotations

import re

from airflow_autoremed.recommending.place import deciding_text
from airflow_autoremed.recommending.plan import Plan
from airflow_autoremed.recommending.pools import double
from airflow_autoremed.spark import allocation
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Shortage

_KRYO, _RPC = "spark.kryoserializer.buffer.max", "spark.rpc.message.maxSize"
_CONNECT = "spark.connect.grpc.maxInboundMessageSize"
_ARROW = "spark.sql.execution.arrow.maxRecordsPerBatch"
_NO_BROADCAST = "spark.sql.autoBroadcastJoinThreshold"
_BY_CLIENT = re.compile(r"\bCLIENT: |[Rr]eceived message larger than max")
_IN_CODE = {
    _CONNECT: "the limit is the Connect client's own: build the session with SparkSession.builder.channelBuilder("
    "DefaultChannelBuilder(url, [('grpc.max_receive_message_length', BYTES)])), or fetch less at once",
    "spark.hadoop.orc.compress.size": "the ORC file was written with larger blocks than its reader expects: set the option "
    "'orc.compress.size' where the file is written (df.write.option(...) or TBLPROPERTIES)",
}
"""Limits that no Spark setting of the run raises, with the line to change."""


def result_size(plan: Plan) -> bool:
    """A larger limit on results, and room for them in the driver. The size in the message is a lower bound: Spark
    aborts at the first excess."""
    key = "spark.driver.maxResultSize"
    needed = plan.cause.sizes.get("needed", 0)
    if not plan.raise_to(key, max(PATCHABLE[key].default or 0, 2 * plan.floor(key), 1.5 * needed)):
        return False
    heap = allocation.heap(plan.conf, "driver")
    # Serialized results and what they unpack to lie in the heap side by side.
    if needed * 3 > heap:
        return plan.grow("spark.driver.memory", "driver", heap, max(2 * heap, 3 * needed))
    return True


def broadcast(plan: Plan) -> bool:
    """A longer timeout, a higher limit, more driver memory; when it comes back, or the table turned out far larger than
    was estimated, no automatic broadcast at all."""
    sizes, text = plan.cause.sizes, deciding_text(plan)
    if "timeout" in sizes or "Could not execute broadcast in" in text or "Futures timed out" in text:
        key = "spark.sql.broadcastTimeout"
        longer = plan.raise_to(key, max(PATCHABLE[key].default or 0, 4 * plan.floor(key)))
        return (_no_broadcast(plan) or longer) if plan.repeats else longer
    if "exceeds estimates" in text and _no_broadcast(plan):
        return True
    if "Cannot broadcast the table" in text:
        key = "spark.sql.maxBroadcastTableSize"
        needed = sizes.get("needed", sizes.get("used", 0))
        if plan.declared(key) is not None and plan.raise_to(key, max(2 * plan.floor(key), 1.5 * needed)):
            return True
        return _no_broadcast(plan)
    grown = double(plan, "spark.driver.memory", "driver")
    if grown and not plan.repeats:
        return True
    return _no_broadcast(plan) or grown


def serializer(plan: Plan) -> bool:
    """A larger buffer or message, whichever the failure names; the message states what was needed. A limit that sits
    in the job's code is named with the line to change, and one at Spark's maximum is not raised."""
    key = plan.cause.setting or (_RPC if _RPC in deciding_text(plan) else _KRYO)
    if key in _IN_CODE and (plan.declared_text(key) is None or _BY_CLIENT.search(deciding_text(plan))):
        plan.shortage = Shortage("", _IN_CODE[key])
        return False
    if key == _ARROW:
        return _smaller_batches(plan)
    if key not in PATCHABLE:
        plan.shortage = Shortage("", f"{key} is not a setting that may be changed")
        return False
    needed = plan.cause.sizes.get("needed", 0)
    times = 4 if key == _KRYO else 2
    return plan.raise_to(key, max(PATCHABLE[key].default or 0, times * plan.floor(key), 2 * needed))


def _smaller_batches(plan: Plan) -> bool:
    """A tenth of the rows in a batch between the JVM and Python."""
    rows = [allocation.value(conf, _ARROW) or PATCHABLE[_ARROW].default or 0 for conf in plan.failed]
    if min(rows) < 100:
        plan.shortage = Shortage("setting", f"batches of {min(rows):g} rows are too large, too: the rows are")
        return False
    plan.set(_ARROW, min(rows) // 10)
    return True


def _no_broadcast(plan: Plan) -> bool:
    if all(allocation.value(conf, _NO_BROADCAST) == -1 for conf in plan.failed):
        plan.shortage = Shortage(
            "setting", "automatic broadcasts are already off; the query asks for this one itself"
        )
        return False
    plan.set(_NO_BROADCAST, -1)
    return True
