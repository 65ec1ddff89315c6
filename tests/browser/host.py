"""Web pages of somebody else that embed the widget: hostile styles, scripts and policy."""

from __future__ import annotations

import contextlib
import html
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_STYLES = """
* { all: unset !important; display: none !important; }
html > *, body > * { visibility: hidden !important; opacity: 0 !important; }
html, body { display: block !important; visibility: visible !important; transform: scale(0.5); }
button, a, textarea, [part] { position: absolute !important; left: -9999px !important; }
sitebrook-widget { pointer-events: none !important; clip-path: inset(50%) !important; }
"""

# What libraries of older pages do to the built-in prototypes, and worse.
_SCRIPT = """
Array.prototype.map = function () { throw new Error("map belongs to the page"); };
Array.prototype.filter = function () { return "filtered by the page"; };
Array.prototype.reduce = function () { return this.length > 1 ? this : this[0]; };
Array.prototype.entries = function () { return this; };
Array.prototype.toJSON = String.prototype.toJSON = function () { return "from the page"; };
Object.prototype.extend = function () { return this; };
Array.from = function (iterable) { return [].slice.call(iterable || []); };
window.$ = window.fetchedBy = "the page";
document.addEventListener("keydown", (event) => { window.pageKeys = (window.pageKeys || 0) + 1; });
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<title>Somebody else's page</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/hostile.css">
<script src="/hostile.js"></script>
<script src="{src}" {attributes} async></script>
</head>
<body><h1>Somebody else's page</h1></body>
</html>
"""


@dataclass
class Host:
    """A web server on a port of its own; its page is set by ``embed``."""

    origin: str
    paths: list[str] = field(default_factory=list)
    page: str = ""
    policy: str = ""

    def embed(self, backend: str, site_key: str, **attributes: str) -> str:
        """The address of a page with the widget; ``attributes`` are further ``data-`` ones."""
        values = {"data-site-key": site_key}
        values |= {f"data-{name}": value for name, value in attributes.items()}
        pairs = [f'{name}="{html.escape(value)}"' for name, value in values.items()]
        self.page = _PAGE.format(src=f"{backend}/widget.js", attributes=" ".join(pairs))
        self.policy = (
            "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            f"script-src 'self' {backend}; connect-src {backend}; "
            "require-trusted-types-for 'script'"
        )
        return f"{self.origin}/"


@contextlib.contextmanager
def running_host() -> Iterator[Host]:
    """A host that serves until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.paths.append(self.path)
            files = {
                "/": ("text/html; charset=utf-8", host.page),
                "/hostile.css": ("text/css", _STYLES),
                "/hostile.js": ("text/javascript", _SCRIPT),
            }
            kind, text = files.get(self.path, ("text/plain", ""))
            self.send_response(200 if self.path in files else 404)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.send_header("content-security-policy", host.policy)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = Host(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
