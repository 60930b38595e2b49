"""nginx before several replicas of a page, by the configuration that docs/scale.md recommends."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
MAIN = """{user}
pid {folder}/pid;
error_log {folder}/error.log;
daemon off;
events {{}}
http {{
    access_log off;
{paths}
    include {folder}/page.conf;
}}
"""
PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # where nginx writes, by default below /var


def recommended() -> str:
    """The configuration in docs/scale.md."""
    (found,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


@contextmanager
def before(replicas: list[str], folder: Path) -> Iterator[str]:
    """The address of nginx before replicas at these addresses. It writes to `folder` alone."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config = re.sub(r"( +)server 127\.0\.0\.1:7861;\n.*?}",
                    "".join(f"    server {urlsplit(replica).netloc};\n" for replica in replicas) + "}",
                    recommended(), flags=re.DOTALL)
    config = config.replace("listen 7860;", f"listen 127.0.0.1:{port};").replace("/var/cache/nginx", f"{folder}/cache")
    (folder / "page.conf").write_text(config)
    paths = "\n".join(f"    {name}_temp_path {folder}/{name};" for name in PATHS)
    user = "" if os.geteuid() else "user root;"  # or its workers could not write to the folder
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, paths=paths, user=user))
    log = folder / "error.log"
    process = subprocess.Popen([str(NGINX), "-e", str(log), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
