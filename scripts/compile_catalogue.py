"""Write the compiled catalogue beside the rules, for a wheel: with it, a fresh container reads no YAML.

``python scripts/compile_catalogue.py`` before a wheel is built. An outdated file does no harm: it is ignored.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_autoremed.failures.rules import compiled_cache
from airflow_autoremed.failures.rules.loading import compiled_package

if __name__ == "__main__":
    compiled_cache.SHIPPED.write_bytes(compiled_package())
    print(f"{compiled_cache.SHIPPED}: {compiled_cache.SHIPPED.stat().st_size} bytes")
