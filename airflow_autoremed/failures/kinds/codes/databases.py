"""SQLSTATE and the databases' own numbers."""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_autoremed.failures.kinds.meaning import Meaning, Rows, by_code, in_range

_AWAY = "the database could not be reached, or the connection broke off"
_BUSY = "the database had no room for one more connection or statement"
_CONFLICT = "another transaction was in the way"
_DENIED = "the database refused the user or the right"
_MISSING = "the database has no such table, schema or object"
_SYNTAX = "the database does not understand the statement"
_VALUE = "a value does not fit its type or column"
_REFUSED = "the database refused the work"
_STOPPED = "the database stopped the statement for taking too long, or on request"
_THERE = "the object is there already"
_FULL = "the database has no space left"
_INSIDE = "the database failed inside"
_SETUP = "the address or the driver of the database is set up wrongly"
_SHORT = "the database ran short of memory or another resource of its own"

SQLSTATES: Rows = (
    ("nothing", "", "00 01 02 03 HZ"),
    ("object_store_other", "a system outside the query failed", "58"),
    ("network_timeout", _AWAY, "08 57P01 57P02 57P03 57P04 57P05 25P03 25P04 HYT01"),
    ("jdbc_source_error:as_is", _BUSY, "53 53300 53400 57"),
    ("jdbc_source_error:as_is", _SHORT, "53000 53200"),
    ("jdbc_source_error", _FULL, "53100 54"),
    ("concurrency_conflict", _CONFLICT, "40 55P03 55006 72 25006"),
    ("timeout_killed", _STOPPED, "57014 HYT00 57033 70100"),
    ("auth_permission", _DENIED, "28 42501 0L 0P 2F 38 42502"),
    ("missing_data", _MISSING, "3D 3F 42P01 42S02 42704 42883 42S12 46103"),
    ("schema_or_analysis_error", _SYNTAX, "42 21 26 07 20 0A 42S22 42703 42601 2B 34 36 37 HV"),
    ("bad_data", _VALUE, "22 10 2200 23502"),
    (
        "jdbc_source_error",
        _REFUSED,
        "23 24 25 27 2D 0B 0F 09 0Z 2C 3B 33 35 39 44 55 0E 0M 0T 0U 0V 0W 0X 0Y P0 HW",
    ),
    ("jdbc_source_error", _THERE, "42P06 42P07 42S01 42710"),
    ("submit_config_error", _SETUP, "IM F0"),
    ("internal_spark_bug", _INSIDE, "XX000 XX001 XX002"),
    ("user_code_error", "the program raised an error of its own", "P0001"),
    # XX is also the class of Spark's own wrappers, which name no cause.
    ("nothing", "", "XX HY HY000 S0 S1 99999 KD 46 51 56 82 K0 04 05 06 30 31 2E 2H"),
)

ORACLE: Rows = (
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "1 2290-2293 1400 2437 2298 2299",
    ),
    ("jdbc_source_error:as_is", _BUSY, "18 19 20 2391 1000 12516 12519 12520 12518 12526-12528"),
    ("concurrency_conflict", _CONFLICT, "51 54 60 99 1555 8176 8177 2049 4020 4021 14403 30006 12829 22924"),
    ("timeout_killed", _STOPPED, "28 40 1013 2396 2399 30"),
    (
        "network_timeout",
        _AWAY,
        "1012 1033 1034 1035 1089 1090 1092 1109 3113 3114 3135 3136 3137 12150-12153 12157 12170 12203 12203-12234 "
        "12500 12502-12505 12510-12515 12521-12525 12535-12547 12560 12564-12571 12606-12609 12637 17002 17008 17410 17447 "
        "17800 17902 18730 25401-25425 27300-27302 24324 24327",
    ),
    ("internal_spark_bug", _INSIDE, "600-607 7445 700"),
    ("jdbc_source_error:as_is", _SHORT, "4030 4031 4036 27102 27125 12853"),
    (
        "jdbc_source_error",
        _FULL,
        "1536 1628-1632 1650-1659 1680-1691 30032 30036 19502 19504 19809 19815 257 1144 1237",
    ),
    (
        "auth_permission",
        _DENIED,
        "1005 1017 1031 1040 1045 1950 1720 1988 1994 1996 28000 28002 28003 28009 28011 28030 28040 24247 41900 28365 28150 "
        "12631-12636 12638-12662 28860 29024 28759 28864",
    ),
    ("credentials_expired", "the password of the database user has expired", "28001"),
    (
        "missing_data",
        _MISSING,
        "942 943 1418 1435 1432 1434 1919 2019 2024 4043 959 2289 6564 22285 22288 29283 29280 30926 1403 376 1157",
    ),
    ("jdbc_source_error", _THERE, "955 957 1408 1430 1442 1543 2260 2261 2264 2275 1920"),
    (
        "bad_data",
        _VALUE,
        "1401 1406 1407 1411 1426 1438 1457 1458 1461 1465 1476 1481 1482 1722 1839-1899 1801-1838 12899 12704 12714 12721 "
        "1489 1426 1428 12700-12713 31011 40441 40597 40478 1424 29275 26093 932",
    ),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "900-931 933-941 944-954 956 958 960-999 1002 1006-1008 1036 1401 1427 1422 1446 1702 1719 1730 1747 1748 1756 1789 "
        "1790 1791 4044 4063 6502-6512 6530-6533 6550 6553 6575 30484 32035 30483 1732 1733 1752 1779 1776",
    ),
    ("submit_config_error", _SETUP, "12154 12162 12198 12533 17067 17283 17056 12545 12549 17957"),
)
MYSQL: Rows = (
    (
        "network_timeout",
        _AWAY,
        "1042 1043 1053 1077 1078 1079 1080 1152-1161 1129 1130 1159 1160 1161 1184 2002 2003 2004 2005 2006 2009 2011-2013 2026 2055 "
        "1429 3159 4031 1047 1927",
    ),
    ("jdbc_source_error:as_is", _BUSY, "1040 1203 1226 1461 1135 1637"),
    ("jdbc_source_error:as_is", _SHORT, "1037 1038 1041 1257 1206 1297 5 2008"),
    ("jdbc_source_error", _FULL, "1021 1114 3 28 1030"),
    ("concurrency_conflict", _CONFLICT, "1205 1213 1614 3058 3101 3572 1412 1099 1100 1290 1836 1792"),
    ("timeout_killed", _STOPPED, "1317 1907 3024 1028 1969 1968"),
    (
        "auth_permission",
        _DENIED,
        "1044 1045 1131 1132 1133 1142 1143 1227 1370 1396 1410 1419 1524 1698 1251 1095 1211 1410 1873 "
        "2049 2054 2059 2061 3118 1820 1862 3955",
    ),
    ("missing_data", _MISSING, "1008 1049 1051 1091 1109 1146 1176 1305 1017 1016 1286 1356 1735 1449"),
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "1022 1062 1169 1216 1217 1451 1452 1557 1569 1586 1761 1762 3819 4025 1048 1364 1263 1526",
    ),
    ("jdbc_source_error", _THERE, "1007 1050 1060 1061 1304 1359 1537 1826"),
    (
        "bad_data",
        _VALUE,
        "1264 1265 1292 1366 1367 1406 1411 1441 1365 1690 1300 3140-3158 1416 1441 1525 1872 1118 1074 1648 3854 1301 1115 1267 1271 1253",
    ),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "1052 1054 1055 1056-1059 1063-1068 1071-1073 1075 1081 1083 1093 1101-1103 1110-1113 1116 1120 1128 1136 1137 1138 1140 1141 1149 1166 "
        "1193 1210 1221 1222 1231-1235 1239 1241-1243 1247 1248 1250 1318 1327 1353 1248 3065 3593 1471 1288 1347",
    ),
    (
        "jdbc_source_error",
        "one row or statement is larger than the database takes (max_allowed_packet)",
        "1153 1162 2020 1105",
    ),
    ("internal_spark_bug", _INSIDE, "1815 1296 1194 1195 1034 1033 1035"),
)
SQLSERVER: Rows = (
    (
        "network_timeout",
        _AWAY,
        "-2 -1 2 53 64 121 233 258 10053 10054 10060 10061 11001 10928 10929 40197 40501 40613 40143 "
        "40540 40166 40648 40671 40675 4060 4221 49918 49919 49920 18401 17197 17142 596 6005 983 976 978 979 26 40 1236 "
        "20 42108 42109",
    ),
    (
        "jdbc_source_error:as_is",
        _BUSY,
        "17300 17809 40549 40550 40551 40552 40553 10930 8628 8645 8651 701 802 845 41301 1204",
    ),
    ("jdbc_source_error", _FULL, "1101 1105 9002 3257 5149 40544 1827"),
    (
        "concurrency_conflict",
        _CONFLICT,
        "1205 1222 3960 3961 3958 3952 41302 41305 41325 41839 5061 5030 3702 3101",
    ),
    ("timeout_killed", _STOPPED, "3617 6104 "),
    (
        "auth_permission",
        _DENIED,
        "229 230 262 297 300 916 4062 4064 15247 15151 15404 18450 18451 18452 18456 18461 18470 18486 18487 18488 "
        "40607 40615 40532 40508 47073 33033 6102 10314 40914",
    ),
    (
        "missing_data",
        _MISSING,
        "208 911 2812 3701 4701 4902 1088 3727 2501 15009 4606 4121 7202 5058 4861 4860 12703 12704",
    ),
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "515 547 2601 2627 1505 1750 3728 3609",
    ),
    ("jdbc_source_error", _THERE, "2714 1801 1913 2705 15023 15025 15233"),
    (
        "bad_data",
        _VALUE,
        "206 220 232 241 242 244 245 248 257 260 295 402 517 518 529 2628 3621 4863 4864 4866 4867 4879 8114 8115 8134 8152 8169 8170 9413 9420 9436 9402 13609 7339 6401",
    ),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "102 103 104 105 107 109 110 111 113 116 119 120 128 130 132-137 139 141-148 154 156 157 164 169 170 174 178 180 189 191 193 195 201 "
        "203 205 207 209 213 214 216 217 240 243 264 266 271 273 306 311 319 321 334 336 339 343 350 421 425 451 512 544 1018-1024 1033 1038 1046 1087 "
        "1701 1702 1708 1785 4104 4108 4112 4145 4413 4502 4506 8101 8102 8116 8117 8120 8127 8144 8145 8146 8155 8156 8180 8623 8632 9104 10734 13606",
    ),
    ("submit_config_error", _SETUP, "40531 40514 "),
)
SNOWFLAKE: Rows = (
    (
        "auth_permission",
        _DENIED,
        "3001 390100 390101 390144 390186 390189 390191-390197 390201 390302 390303 394300-394304 390422 390420 3041 393901",
    ),
    ("credentials_expired", "the session or token of Snowflake has expired", "390110-390114 390115 390318"),
    ("missing_data", _MISSING, "2003 2043 606 2037 2049 94 391 93201"),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "1003 904 979 1044 1789 2022 2023 2028 2040 2140 2262 1006 1007 1065 2 1104 2080 2025",
    ),
    (
        "bad_data",
        _VALUE,
        "100035 100037 100038 100039 100040 100046 100051 100053 100065-100080 100089 100096 100132 100078 100069 100183 100016 22000",
    ),
    ("timeout_killed", _STOPPED, "604 630 627 684 632 57014 638"),
    ("concurrency_conflict", _CONFLICT, "625 626 90116 635 4509 4512 612"),
    ("jdbc_source_error", _THERE, "2002 2041 1998"),
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "100072 100087 100088",
    ),
    ("internal_spark_bug:as_is", _INSIDE, "603 300002 300010 370001 390001"),
    (
        "network_timeout",
        _AWAY,
        "200001-200006 250001-250007 251001-251020 253001-253012 254000-254011 390190 402002 290404 290503 390402",
    ),
    (
        "license_or_quota",
        "the account or its credit limit is suspended",
        "90073 90064 390913 8001 90040 93015 390507",
    ),
    ("resource_unavailable", "no warehouse is running", "608 90109 90110 57"),
)
DB2: Rows = (
    (
        "network_timeout",
        _AWAY,
        "-30080 -30081 -4499 -1224 -1035 -1776 -30108 -1015 -1229 -30108 -4498 -1032 -924",
    ),
    ("concurrency_conflict", _CONFLICT, "-904 -911 -913 -679 -501"),
    ("jdbc_source_error:as_is", _BUSY, "-1040 -1226 -13 -955 -964 -973 -912 "),
    ("jdbc_source_error", _FULL, "-289 -968 -1477 -1585 -670"),
    ("auth_permission", _DENIED, "-551 -552 -553 -567 -922 -1060 -1092 -1403 -30082 -4214 -30060 -20249"),
    ("missing_data", _MISSING, "-204 -1013 -440 -1031 -22 -818 -1024"),
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "-407 -530 -531 -532 -545 -803 -798 -811",
    ),
    ("jdbc_source_error", _THERE, "-601 -605 -612"),
    (
        "bad_data",
        _VALUE,
        "-180 -181 -302 -303 -304 -311 -413 -420 -433 -802 -406 -405 -404 -406 -191 -332 -16061 -1822",
    ),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "-7 -10 -29 -60 -84 -101 -103 -104 -105 -107 -108 -109 -117 -119 -120 -122 -125 -134 -138 -171 -199 -203 -205 -206 -207 -208 -401 -408 -415 -421 -492 -574 -10 -408 -441 -637 -203",
    ),
    ("timeout_killed", _STOPPED, "-952 -905 -495 "),
    ("internal_spark_bug", _INSIDE, "-901 -902"),
)
TERADATA: Rows = (
    (
        "network_timeout",
        _AWAY,
        "1000 1275 1277 804 8018 8055 224 2825-2828 3119-3121 3598 3897 8024 1154 440 1095 1107 1105",
    ),
    ("concurrency_conflict", _CONFLICT, "2631 2639 3111 3120 3603 7423 7595 2652 3737 2574 2595"),
    ("jdbc_source_error:as_is", _BUSY, "2633 2640 3149 3150 3151 3002 3134 3142 3151 2641 5495 2632"),
    ("jdbc_source_error", _FULL, "2644 2646 2507 2656 2667 3710 3713"),
    ("auth_permission", _DENIED, "3523 3524 3755 8017 3001 3002 3003 3032 3523 5315 8019 3004 3006"),
    ("missing_data", _MISSING, "3802 3807 3824 3854 5589 5526"),
    ("jdbc_source_error", _THERE, "3803 3804 5612"),
    (
        "jdbc_source_error",
        "a unique constraint or another rule of the database was broken",
        "2700 2726 2728 2801 2803 3604 5317 3811",
    ),
    (
        "bad_data",
        _VALUE,
        "2616 2617 2618 2620 2621 2665 2666 2679 3520 3532 3535 3996 5404 6705 6706 7453 7454 9134",
    ),
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "3504 3507 3509 3569 3621 3622 3627 3654 3669 3706 3707 3708 3712 3721 3731 3733 3739 3760 3780 3789 3806 3810 3812 3813 3822 3839 3868 5407 5628 3782 3782 3741 5455",
    ),
    ("timeout_killed", _STOPPED, "3110 3156 3158 3577 3110 3157 3159 3164 3170 3180 3191"),
    ("internal_spark_bug", _INSIDE, "3610 2971 2972"),
)
TRINO: Rows = (
    (
        "schema_or_analysis_error",
        _SYNTAX,
        "SYNTAX_ERROR COLUMN_NOT_FOUND TYPE_MISMATCH AMBIGUOUS_NAME FUNCTION_NOT_FOUND INVALID_ARGUMENTS "
        "EXPRESSION_NOT_AGGREGATE MISMATCHED_COLUMN_ALIASES MISSING_GROUP_BY NOT_SUPPORTED INVALID_COLUMN_REFERENCE "
        "NESTED_AGGREGATION NESTED_WINDOW EXPRESSION_NOT_SCALAR COLUMN_TYPE_UNKNOWN TYPE_NOT_FOUND DUPLICATE_COLUMN_NAME "
        "INVALID_VIEW VIEW_IS_STALE INVALID_SESSION_PROPERTY MISSING_COLUMN_NAME COLUMN_ALREADY_EXISTS "
        "INVALID_FUNCTION_ARGUMENT SUBQUERY_MULTIPLE_ROWS EXCEEDED_FUNCTION_MEMORY_LIMIT QUERY_HAS_TOO_MANY_STAGES",
    ),
    (
        "missing_data",
        _MISSING,
        "TABLE_NOT_FOUND SCHEMA_NOT_FOUND CATALOG_NOT_FOUND NOT_FOUND MISSING_TABLE MISSING_SCHEMA_NAME "
        "MISSING_CATALOG_NAME HIVE_FILE_NOT_FOUND ICEBERG_MISSING_METADATA HIVE_TABLE_DROPPED_DURING_QUERY PARTITION_NOT_FOUND",
    ),
    (
        "jdbc_source_error",
        _THERE,
        "TABLE_ALREADY_EXISTS SCHEMA_ALREADY_EXISTS ALREADY_EXISTS CATALOG_ALREADY_EXISTS",
    ),
    ("auth_permission", _DENIED, "PERMISSION_DENIED INVALID_CREDENTIALS"),
    (
        "bad_data",
        _VALUE,
        "INVALID_CAST_ARGUMENT DIVISION_BY_ZERO NUMERIC_VALUE_OUT_OF_RANGE HIVE_BAD_DATA HIVE_CURSOR_ERROR "
        "HIVE_INVALID_METADATA ICEBERG_BAD_DATA ICEBERG_INVALID_METADATA CONSTRAINT_VIOLATION HIVE_PARTITION_SCHEMA_MISMATCH",
    ),
    (
        "network_timeout",
        _AWAY,
        "NO_NODES_AVAILABLE REMOTE_HOST_GONE REMOTE_TASK_ERROR REMOTE_TASK_MISMATCH PAGE_TRANSPORT_ERROR PAGE_TRANSPORT_TIMEOUT SERVER_STARTING_UP "
        "SERVER_SHUTTING_DOWN TOO_MANY_REQUESTS_FAILED HIVE_CANNOT_OPEN_SPLIT HIVE_FILESYSTEM_ERROR HIVE_WRITER_OPEN_ERROR HIVE_WRITER_CLOSE_ERROR",
    ),
    (
        "metastore_or_catalog",
        "the metastore behind the engine failed",
        "HIVE_METASTORE_ERROR GLUE_METASTORE_ERROR ICEBERG_CATALOG_ERROR",
    ),
    (
        "jdbc_source_error:as_is",
        _BUSY,
        "QUERY_QUEUE_FULL CLUSTER_OUT_OF_MEMORY EXCEEDED_SPILL_LIMIT SPILL_OUT_OF_SPACE GENERIC_INSUFFICIENT_RESOURCES "
        "EXCEEDED_GLOBAL_MEMORY_LIMIT",
    ),
    (
        "jdbc_source_error",
        "the query is larger than its engine grants",
        "EXCEEDED_LOCAL_MEMORY_LIMIT EXCEEDED_CPU_LIMIT EXCEEDED_SCAN_LIMIT QUERY_TEXT_TOO_LARGE",
    ),
    (
        "timeout_killed",
        _STOPPED,
        "EXCEEDED_TIME_LIMIT ADMINISTRATIVELY_KILLED ADMINISTRATIVELY_PREEMPTED USER_CANCELED ABANDONED_QUERY ABANDONED_TASK",
    ),
    (
        "concurrency_conflict",
        _CONFLICT,
        "TRANSACTION_CONFLICT ICEBERG_COMMIT_ERROR HIVE_CONCURRENT_MODIFICATION_DETECTED",
    ),
    ("internal_spark_bug", _INSIDE, "GENERIC_INTERNAL_ERROR COMPILER_ERROR FUNCTION_IMPLEMENTATION_ERROR"),
    ("nothing", "", "GENERIC_USER_ERROR GENERIC_EXTERNAL"),
)

_STATE = re.compile(
    r"(?:\bSQLSTATE[:= ]{1,3}|\bSQLState[:= ]{1,3}|\bSQL [Ss]tate[:= ]{1,3}|\bsqlstate[:= ]{1,3}|\bpgcode[:= ]{1,3}"
    r"|\bsql_state[:= ]{1,3})['\"(\[]?([0-9A-Z]{5})(?![0-9A-Za-z])"
)
_MYSQL_STATE = re.compile(r"\bERROR (\d{4}) \(([0-9A-Z]{5})\)")
_ODBC_STATE = re.compile(r"Error: \('([0-9A-Z]{5})', ['\"]")
_ORACLE = re.compile(r"\b(?:ORA|PLS|TNS|IO)-(\d{5})\b")
_DB2 = re.compile(r"\bSQLCODE ?[:=] ?(-\d{1,5})\b|\bSQL(\d{4,5})[NCW]\b")
_TERADATA = re.compile(r"\[Error (\d{3,5})\]|\bFailure (\d{4})\b(?= )")
_PYTHON_MYSQL = re.compile(
    r"(?:Operational|Programming|Integrity|Data|Internal|NotSupported|Interface|Database|MySQL)Error[:)]? {0,2}\((\d{4}), ['\"]"
)
_SQLSERVER = re.compile(
    r"\bMsg (\d{2,5}), Level \d|\bError(?: Number)?:? ?(\d{2,5}), (?:Severity|State|Level)"
    r"|\[SQL Server\].{0,2000}\((\d{2,5})\) \(SQL"
)
_SNOWFLAKE = re.compile(r"\b(\d{6}) \(([0-9A-Z]{5})\): ")
_TRINO = re.compile(
    r"\b(?:errorName|name)=\"?([A-Z]{2,30}(?:_[A-Z]{2,30}){0,6})\b|\berror_name ?[=:] ?\"?([A-Z_]{4,60})\b"
)
_SQLSERVER_CLASS = re.compile(r"com\.microsoft\.sqlserver|\[SQL Server\]")
_VENDOR = re.compile(r"\b(?:[Vv]endor|[Ee]rror) ?[Cc]ode[:= ]{1,3}(\d{1,6})\b")
_VENDOR_TABLES = (
    ("mysql", MYSQL),
    ("mariadb", MYSQL),
    ("oracle", ORACLE),
    ("sqlserver", SQLSERVER),
    ("snowflake", SNOWFLAKE),
)


@lru_cache(maxsize=16)
def _table(rows: Rows) -> dict[str, Meaning | None]:
    return by_code(rows)


def sqlstate(state: str) -> Meaning | None:
    """What a SQLSTATE means, by itself or by its class."""
    states = _table(SQLSTATES)
    return states[state] if state in states else states.get(state[:2])


def read(text: str) -> tuple[str, Meaning] | None:
    """The code of a database that a message states, with what it means: its own code before its SQLSTATE."""
    for system, number, table in _own(text):
        meaning = in_range(_table(table), number)
        if meaning is not None:
            return f"{system}-{str(number).lstrip('-')}", meaning
    trino = _TRINO.search(text)
    if trino is not None:
        name = trino[1] or trino[2]
        meaning = _table(TRINO).get(name)
        if meaning is not None:
            return f"trino-{name.lower().replace('_', '-')}", meaning
    state = _STATE.search(text) or _ODBC_STATE.search(text)
    if state is not None and (meaning := sqlstate(state[1])) is not None:
        return f"sqlstate-{state[1].lower()}", meaning
    return None


def _own(text: str) -> list[tuple[str, int, Rows]]:
    """Databases' own codes in a message: system, number, table."""
    found: list[tuple[str, int, Rows]] = []
    if "-" in text:
        found += [("oracle", int(each[1]), ORACLE) for each in _ORACLE.finditer(text)][:4]
    db2 = _DB2.search(text)
    if db2 is not None:
        found.append(("db2", int(db2[1]) if db2[1] else -int(db2[2]), DB2))
    if "[Teradata" in text or "teradata" in text:
        found += [("teradata", int(each[1] or each[2]), TERADATA) for each in _TERADATA.finditer(text)][:4]
    mysql = _MYSQL_STATE.search(text) or _PYTHON_MYSQL.search(text)
    if mysql is not None:
        found.append(("mysql", int(mysql[1]), MYSQL))
    server = _SQLSERVER.search(text)
    if server is not None:
        found.append(("sqlserver", int(server[1] or server[2] or server[3]), SQLSERVER))
    snowflake = _SNOWFLAKE.search(text)
    if snowflake is not None:
        found.append(("snowflake", int(snowflake[1]), SNOWFLAKE))
    vendor = _VENDOR.search(text)
    if vendor is not None:
        low = text.lower()
        found += [(name, int(vendor[1]), table) for name, table in _VENDOR_TABLES if name in low][:1]
    return found
