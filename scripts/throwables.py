"""Write scripts/throwables.tsv.gz: every exception class of pyspark's jars and of packages that jobs use, with its ancestors.

    python scripts/throwables.py PYTHON [JDK_JMODS]

PYTHON is an interpreter of an environment that has the packages named below; ``JDK_JMODS`` the jmods directory of a JDK
(without it, a JDK's ``jimage`` is asked for its classes). Needed only when pyspark or the packages change: what ships is
made from the result by ``make_kinds.py``.
"""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

RESULT = Path(__file__).with_name("throwables.tsv.gz")

_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
"""Tag of a constant to the bytes that follow it (JVM specification, section 4.4); 1 and 7 are read."""

_PACKAGES = """
requests urllib3 httpx httpcore aiohttp botocore boto3 s3transfer google.api_core google.auth google.cloud.bigquery
google.cloud.storage azure.core azure.storage.blob azure.identity psycopg psycopg2 pymysql kafka grpc pyarrow pandas
numpy py4j delta pyiceberg sqlalchemy redis pymongo cassandra snowflake.connector oracledb paramiko fastavro
confluent_kafka jsonschema pydantic pydantic_core polars sklearn fsspec s3fs gcsfs deltalake trino elasticsearch
great_expectations mlflow hdfs kubernetes yaml databricks.sdk databricks.sql thrift jwt cryptography
"""

_IN_PYTHON = r"""
import importlib, json, pkgutil, sys, warnings
warnings.simplefilter("ignore")
names = json.loads(sys.argv[1])
skip = ("test", "__main__", "conftest", "antigravity", "idlelib", "turtle", "benchmark", "vendored.packages.six")
for name in [*sorted(n for n in sys.stdlib_module_names if n not in ("this", "antigravity", "idlelib", "turtledemo", "test"))]:
    try:
        importlib.import_module(name)
    except BaseException:
        pass
for name in names:
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        print(name, type(error).__name__, error, file=sys.stderr)
        continue
    wide = name in ("kubernetes", "great_expectations", "mlflow", "sklearn", "polars", "pandas", "databricks.sdk")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + ".", onerror=lambda _: None):
        if any(word in found.name for word in skip) or (
            wide and not any(w in found.name for w in ("exception", "error"))
        ):
            continue
        try:
            importlib.import_module(found.name)
        except BaseException:
            pass
states = {}
try:
    import psycopg.errors, psycopg2.errors
    for each in vars(psycopg.errors).values():
        if isinstance(each, type) and getattr(each, "sqlstate", None):
            states[f"psycopg.errors.{each.__name__}"] = states[f"psycopg2.errors.{each.__name__}"] = each.sqlstate
except ImportError:
    pass
seen = {}
todo = [BaseException]
while todo:
    cls = todo.pop()
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    if name in seen or "<locals>" in name:
        continue
    parents = [b for b in cls.__mro__[1:] if issubclass(b, BaseException)]
    seen[name] = [b.__qualname__ if b.__module__ == "builtins" else f"{b.__module__}.{b.__qualname__}" for b in parents]
    if name in states:
        seen[name].insert(0, "SQLSTATE:" + states[name])
    todo.extend(type.__subclasses__(cls))
json.dump(seen, sys.stdout)
"""


def class_and_parent(data: bytes) -> tuple[str, str] | None:
    """The names of a class file's class and its superclass, read from its constant pool."""
    if data[:4] != b"\xca\xfe\xba\xbe":
        return None
    (count,) = struct.unpack_from(">H", data, 8)
    position, index = 10, 1
    texts: dict[int, tuple[int, int]] = {}
    classes: dict[int, int] = {}
    while index < count:
        tag = data[position]
        if tag == 1:
            (length,) = struct.unpack_from(">H", data, position + 1)
            texts[index] = (position + 3, length)
            position += 3 + length
        elif tag == 7:
            (classes[index],) = struct.unpack_from(">H", data, position + 1)
            position += 3
        else:
            position += 1 + _SIZES[tag]
            index += tag in (5, 6)  # a long or double takes two places
        index += 1
    this, parent = struct.unpack_from(">HH", data, position + 2)
    if parent == 0:
        return None
    names = []
    for each in (this, parent):
        start, length = texts[classes[each]]
        names.append(data[start : start + length].decode("utf-8", "replace").replace("/", "."))
    return names[0], names[1]


def classes_of(archive: bytes | Path) -> Iterator[tuple[str, str]]:
    """Every class of a jar or jmod, with its superclass."""
    if isinstance(archive, Path):
        archive = archive.read_bytes()
    with zipfile.ZipFile(BytesIO(archive)) as jar:
        for entry in jar.namelist():
            if entry.endswith(".class") and not entry.startswith("META-INF/"):
                found = class_and_parent(jar.read(entry))
                if found is not None:
                    yield found


def jdk_classes(jmods: Path | None) -> Iterator[tuple[str, str]]:
    """Every class of the JDK, from its jmods, or from its run-time image."""
    if jmods is not None:
        for jmod in sorted(jmods.glob("*.jmod")):
            yield from classes_of(jmod.read_bytes()[4:])  # four bytes stand before the archive
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(subprocess.check_output(["readlink", "-f", _which("java")], text=True).strip()).parents[1]
        subprocess.check_call([home / "bin" / "jimage", "extract", "--dir", folder, home / "lib" / "modules"])
        for path in sorted(Path(folder).rglob("*.class")):
            found = class_and_parent(path.read_bytes())
            if found is not None:
                yield found


def _which(command: str) -> str:
    return subprocess.check_output(["which", command], text=True).strip()


def java_exceptions(jmods: Path | None) -> dict[str, list[str]]:
    """Every Throwable of the JDK and of pyspark's jars, with its ancestors, the nearest first."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    parents = dict(jdk_classes(jmods))
    for jar in sorted((Path(spec.origin).parent / "jars").glob("*.jar")):
        for name, parent in classes_of(jar):
            parents.setdefault(name, parent)
    result = {}
    for name in parents:
        line = []
        each = parents.get(name)
        while each is not None and len(line) < 40:
            line.append(each)
            each = parents.get(each)
        if "java.lang.Throwable" in line:
            result[name] = line
    return result


def main() -> int:
    """Collect and write."""
    jmods = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    found = java_exceptions(jmods)
    java = len(found)
    told = subprocess.run(
        [sys.argv[1], "-c", _IN_PYTHON, json.dumps(_PACKAGES.split())],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found.update(json.loads(told.stdout[told.stdout.index('{"BaseException"') :]))
    text = "".join(f"{name}\t{' '.join(line)}\n" for name, line in sorted(found.items()))
    RESULT.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{RESULT}: {java} classes of Java, {len(found) - java} of Python")
    return 0


if __name__ == "__main__":
    sys.exit(main())
