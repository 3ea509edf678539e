"""Paths that are built into a server, out of what it says of itself.

    nginx version: nginx/1.22.1                     nginx -V
    configure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf ...

     -D HTTPD_ROOT="/etc/apache2"                   apache2ctl -V
     -D SERVER_CONFIG_FILE="apache2.conf"

What one does not say is as its makers have it: nginx's auto/options, and Debian's package of Apache.
"""

import os.path
import re
import shlex
from typing import NamedTuple


class NginxPaths(NamedTuple):
    """nginx's, absolute."""

    prefix: str = "/usr/share/nginx"
    configuration: str = "/etc/nginx/nginx.conf"
    log: str = "/var/log/nginx/access.log"  # where no access_log stands


class ApachePaths(NamedTuple):
    """Apache's, absolute."""

    root: str = "/etc/apache2"
    configuration: str = "/etc/apache2/apache2.conf"


DEBIAN_NGINX = NginxPaths()
DEBIAN_APACHE = ApachePaths()
REDHAT_APACHE = ApachePaths("/etc/httpd", "/etc/httpd/conf/httpd.conf")


def nginx_paths(said: str) -> NginxPaths | None:
    """Out of what `nginx -V` says; None if it says nothing."""
    found = re.search(r"^configure arguments:(.*)$", said, re.MULTILINE)
    if found is None:
        return None
    try:
        words = shlex.split(found[1])
    except ValueError:  # a quote is open
        words = found[1].split()
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    prefix = options.get("prefix", "/usr/local/nginx")
    return NginxPaths(
        prefix,
        os.path.join(prefix, options.get("conf-path", "conf/nginx.conf")),
        os.path.join(prefix, options.get("http-log-path", "logs/access.log")),
    )


def apache_paths(said: str) -> ApachePaths | None:
    """Out of what `apache2ctl -V` says; None if it says nothing."""
    values = dict(re.findall(r'^ *-D (HTTPD_ROOT|SERVER_CONFIG_FILE)="(.*)"$', said, re.MULTILINE))
    if len(values) < 2:
        return None
    root = values["HTTPD_ROOT"]
    return ApachePaths(root, os.path.join(root, values["SERVER_CONFIG_FILE"]))
