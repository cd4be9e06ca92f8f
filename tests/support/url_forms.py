"""Forms of URLs that lead to this machine, its networks and metadata services, however they are written."""

from __future__ import annotations

#: Forms of addresses of this machine, its networks, and metadata services; `{port}` is where somebody listens.
FORMS = (
    "http://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/", "http://2130706433:{port}/",
    "http://0x7f000001:{port}/", "http://0x7f.0.0.1:{port}/", "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/", "http://0x7f.1:{port}/", "http://127.0.0.1.:{port}/", "http://127.255.255.254:{port}/",
    "http://0.0.0.0:{port}/", "http://0:{port}/", "http://[::]:{port}/", "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/", "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/", "http://[64:ff9b:1::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/", "http://localhost:{port}/", "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/", "http://localhost.localdomain:{port}/", "http://ip6-localhost:{port}/",
    "http://[fe80::1%25lo]:{port}/", "http://[fe80::1]:{port}/", "http://[fc00::1]:{port}/", "http://[ff02::1]:{port}/",
    "http://10.0.0.1:{port}/", "http://172.16.0.1:{port}/", "http://192.168.1.1:{port}/", "http://100.64.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/",
    "http://224.0.0.1:{port}/", "http://255.255.255.255:{port}/", "http://192.0.2.1:{port}/", "http://198.18.0.1:{port}/",
    "http://user@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/", "http://127.0.0.1:{port}@example.com/",
    "http://127.0.0.1:{port}#@example.com/", "http://127.0.0.1:{port}\\@example.com/", "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/", "http://\uff11\uff12\uff17.0.0.1:{port}/", "http://127.0.0.1%00.example.com:{port}/",
    "http://127.0.0.1\t:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock", "//127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http://:{port}/", "http://[::1",
)  # fmt: skip
