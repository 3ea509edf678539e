"""Where something is sent to, or listened on."""


def endpoint(host: str, port: int) -> str:
    """Host and port as they are written for people: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
