"""The LiteLLM proxy in an environment of its own, kept in a cache folder between runs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.servers import NotStarted, clean_environment, free_port, stop

VERSION = "1.106.2"
KEY = "sk-bench"
_REQUIREMENT = f"litellm[proxy]=={VERSION}"
_INSTALL_S = 600
_START_S = 90


def installed(cache: Path) -> Path:
    """The ``litellm`` command of the pinned version; installs it where it is not there yet."""
    folder = cache / f"litellm-{VERSION}"
    command = folder / "bin" / "litellm"
    stamp = folder / ".installed"
    if not stamp.exists():
        print(f"installing LiteLLM {VERSION} into {folder}", file=sys.stderr)
        python = folder / "bin" / "python"
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        # Compiled once, it starts in a third of the time.
        _uv("pip", "install", "--compile-bytecode", "--python", str(python), _REQUIREMENT)
        stamp.touch()
    return command


@contextlib.contextmanager
def running(
    command: Path, folder: Path, upstream: int, models: Collection[str]
) -> Iterator[tuple[int, int]]:
    """Port and process of one worker, once it answers; with a master key and nothing else on."""
    port = free_port()
    to_upstream = {"api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [
            {"model_name": model, "litellm_params": {"model": f"openai/{model}", **to_upstream}}
            for model in models
        ],
        "litellm_settings": {"num_retries": 0, "request_timeout": 600},
        "general_settings": {"master_key": KEY},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML too
    environment = {
        **clean_environment(),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches the prices at each start
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
    }
    arguments = ["--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(command), *arguments, "--num_workers", "1", "--telemetry", "False"],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, port, log)
        yield port, process.pid
    finally:
        stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.1)
    raise NotStarted(f"LiteLLM did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _uv(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("uv")), *arguments, "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotStarted("installing LiteLLM took too long; use --without litellm") from None
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace")
        raise NotStarted(f"LiteLLM could not be installed; use --without litellm\n{reason}")
