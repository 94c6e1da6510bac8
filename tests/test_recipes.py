"""The recipes in examples/ do what ``Router.route`` does."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from router_model.router import Router

EXAMPLES = Path(__file__).parent.parent / "examples"
PROMPTS = [f"prove the lemma {number} " * (number % 50) for number in range(300)]


@pytest.mark.skipif(not (find_spec("pyspark") and shutil.which("java")), reason="needs pyspark and Java")
def test_spark_labels_a_table(router: Router, artifact_path: Path, tmp_path: Path) -> None:
    rows = {"prompt": PROMPTS, "a name": range(300), "tags": [["x", str(n)] for n in range(300)]}
    parquet.write_table(pa.table(rows), tmp_path / "log.parquet", row_group_size=50)
    spec = find_spec("pyspark")
    assert spec
    assert spec.origin
    submit = Path(spec.origin).parent / "bin" / "spark-submit"
    quiet = ["--conf", "spark.ui.enabled=false", "--conf", "spark.log.level=ERROR"]
    work = [EXAMPLES / "spark_label.py", artifact_path, tmp_path / "log.parquet", tmp_path / "labels"]
    here = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [submit, "--master", "local[2]", *quiet, *work],
        env=here,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    found = parquet.read_table(tmp_path / "labels").sort_by("a name").to_pylist()
    for expected, row in zip(pa.table(rows).to_pylist(), found, strict=True):
        decision = router.route(expected["prompt"])
        assert {name: row[name] for name in rows} == expected
        assert row["tier"] == decision.tier
        assert row["expected_quality"] == pytest.approx(decision.expected_quality, abs=1e-5)
        assert row["expected_cost_usd"] == pytest.approx(decision.expected_cost_usd)


@pytest.fixture
def address(artifact_path: Path, tmp_path: Path) -> Iterator[str]:
    """Where the Ray Serve recipe answers."""
    if not (find_spec("ray") and find_spec("ray.serve") and find_spec("fastapi")):
        pytest.skip("needs ray[serve]")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [
            {
                "import_path": "examples.ray_serve:app",
                "route_prefix": "/route",
                "args": {"router": str(artifact_path)},
            }
        ],
    }
    (tmp_path / "serve.yaml").write_text(json.dumps(config))
    run = [sys.executable, "-m", "ray.serve.scripts", "run", str(tmp_path / "serve.yaml")]
    # The second keeps all of Ray to the loopback.
    here = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with (
        open(tmp_path / "log", "wb") as log,
        subprocess.Popen(run, cwd=EXAMPLES.parent, env=here, stdout=log, stderr=log) as process,
    ):
        url = f"http://127.0.0.1:{port}/route"
        try:
            while post(url, "ready?")[0] in (0, 404):
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGINT)


def post(url: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Status, 0 where nobody answers, and the JSON object that came."""
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        return error.code, json.loads(content) if content.startswith(b"{") else {}
    except OSError:
        return 0, {}


def test_ray_serve_answers_with_decisions(router: Router, address: str) -> None:
    for prompt in PROMPTS[:20]:
        body = {"messages": [{"role": "user", "content": prompt or "hello"}]}
        decision = router.route(body, quality=0.9)
        status, answer = post(f"{address}?quality=0.9", body)
        assert (status, answer["tier"], answer["why"]) == (200, decision.tier, decision.why)
        assert answer["sufficiency"] == pytest.approx(decision.sufficiency, abs=1e-5)
    status, answer = post(f"{address}?quality=2", "hello")
    assert (status, list(answer)) == (400, ["error"])
    assert "quality" in answer["error"]
    assert post(address, 7)[0] == 400
