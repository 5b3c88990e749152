"""The daemon, a real Prometheus and a real Alertmanager: what goes wrong reaches the pager, and its end too."""

import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typing_extensions import override

from reconcilerd.cli.demo.tenant import write_tenant
from reconcilerd.simulator.shoppers import busy_hour, read_invoices
from tests.cli.programs import PATIENCE_S, run, running, wait_until
from tests.web.test_serve import free_port

MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: apt-get install {' '.join(MISSING)}")


class Pager:
    """Who is woken: keeps every alert that Alertmanager posts."""

    def __init__(self) -> None:
        self.pages: list[dict[str, Any]] = []
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pages.extend(body["alerts"])
                self.send_response(200)
                self.end_headers()

            @override
            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Pager":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def of(self, alert: str, status: str) -> list[dict[str, Any]]:
        return [
            each for each in self.pages if each["labels"]["alertname"] == alert and each["status"] == status
        ]


@contextmanager
def program(folder: Path, *command: str) -> Iterator[None]:
    """A server that is not ours; it ends with the block."""
    with (folder / f"{Path(command[0]).name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def get(url: str) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, ""
    except OSError:
        return 0, ""


def ask(prometheus: int, query: str) -> list[dict[str, Any]]:
    status, body = get(f"http://127.0.0.1:{prometheus}/api/v1/query?query={quote(query)}")
    found: list[dict[str, Any]] = json.loads(body)["data"]["result"] if status == 200 else []
    return found


def configure(folder: Path, page: int, alertmanager: int, pager: int) -> None:
    """Everybody looks every second, and the rules are those that ship."""
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["monitoring/rules.yml", "monitoring/slo.yml"]
scrape_configs:
  - job_name: reconcilerd
    static_configs: [{{targets: ["127.0.0.1:{page}"]}}]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]
""",
        "utf-8",
    )
    (folder / "alertmanager.yml").write_text(
        f"""
route: {{receiver: pager, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers:
  - name: pager
    webhook_configs: [{{url: "http://127.0.0.1:{pager}/", send_resolved: true}}]
""",
        "utf-8",
    )


def tenant_of(folder: Path, business: int, page: int) -> Path:
    """The demo's tenant, whose sources are stale after half a minute."""
    config = write_tenant(folder, business, busy_hour(read_invoices(None)))
    text = config.read_text("utf-8").replace("max_age_s = 90", "max_age_s = 30")
    text = text.replace("stock_poll_s = 15", "stock_poll_s = 15\nexpected_skus = 1000")
    config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{page}"), "utf-8")
    return config


def test_a_business_that_goes_away_wakes_somebody_and_lets_them_sleep_again(tmp_path: Path) -> None:
    page, prometheus, alertmanager, business = (free_port() for _ in range(4))
    simulator = ("simulator", "--demo", "--port", str(business))
    config = tenant_of(tmp_path, business, page)
    assert run(tmp_path, "export", "monitoring", "monitoring").returncode == 0
    with ExitStack() as until_the_end, Pager() as pager:
        configure(tmp_path, page, alertmanager, pager.port)
        with running(tmp_path, *simulator, log="simulator.log"):
            until_the_end.enter_context(running(tmp_path, "run", "--config", str(config)))
            wait_until("the daemon to be ready", lambda: get(f"http://127.0.0.1:{page}/readyz")[0] == 200)
            until_the_end.enter_context(
                program(
                    tmp_path,
                    "prometheus-alertmanager",
                    "--config.file=alertmanager.yml",
                    "--storage.path=alertmanager",
                    f"--web.listen-address=127.0.0.1:{alertmanager}",
                    "--cluster.listen-address=",
                )
            )
            until_the_end.enter_context(
                program(
                    tmp_path,
                    "prometheus",
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=prometheus",
                    f"--web.listen-address=127.0.0.1:{prometheus}",
                )
            )
            wait_until("a scrape", lambda: ask(prometheus, 'up{job="reconcilerd"} == 1'))
            wait_until("the rules", lambda: ask(prometheus, "reconcilerd:alerts_told:bool"))
            assert ask(prometheus, "reconcilerd_skus > 400")
            assert not ask(prometheus, 'ALERTS{alertname="ReconcilerdFeedStale"}')
            assert not pager.of("ReconcilerdFeedStale", "firing")
        wait_until("a page", lambda: pager.of("ReconcilerdFeedStale", "firing"))
        woken = pager.of("ReconcilerdFeedStale", "firing")[0]
        assert woken["labels"]["severity"] == "critical"
        assert "was not read completely for too long" in woken["annotations"]["summary"]
        assert woken["annotations"]["runbook"] == "reconcilerd runbook stale_source"
        assert get(f"http://127.0.0.1:{page}/readyz")[0] == 503
        assert get(f"http://127.0.0.1:{page}/healthz")[0] == 200
        told = run(tmp_path, "metrics", "--textfile", "reconcilerd.prom", "--config", str(config))
        assert (told.returncode, told.stdout) == (0, "")
        assert "reconcilerd_ready 1.0\n" in (tmp_path / "reconcilerd.prom").read_text("utf-8")
        with running(tmp_path, *simulator, log="simulator.log"):
            wait_until("the end of it", lambda: pager.of("ReconcilerdFeedStale", "resolved"))
