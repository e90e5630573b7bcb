"""Write the compiled catalogue beside the rules, for a wheel: with it, a fresh container reads no YAML.

``python scripts/compile_catalogue.py`` before a wheel is built. An outdated file does no harm: it is ignored.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_autoremed.failures import caching
from airflow_autoremed.failures.loading import compiled_package

if __name__ == "__main__":
    caching.SHIPPED.write_bytes(compiled_package())
    print(f"{caching.SHIPPED}: {caching.SHIPPED.stat().st_size} bytes")
