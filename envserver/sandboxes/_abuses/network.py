"""Whom programs call. Each function runs inside, alone; it prints `OUT` and whom it reached."""

from typing import Any

__all__ = ["abstract_socket", "host_loopback", "odd_sockets", "outside"]


def host_loopback(bait: dict[str, Any]) -> None:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", bait["port"]), timeout=2):
            print("OUT connected to the host's loopback")
    except OSError:
        pass


def outside(bait: dict[str, Any]) -> None:
    import socket

    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as any_socket:
                any_socket.connect((address, 9))  # of a datagram: whether there is a way, without a packet
                print("OUT has a way to", address)
        except OSError:
            continue


def abstract_socket(bait: dict[str, Any]) -> None:
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as any_socket:
            any_socket.connect("\0" + bait["abstract"])
            print("OUT connected to the host's abstract socket")
    except OSError:
        pass


def odd_sockets(bait: dict[str, Any]) -> None:
    import socket

    for name in ("AF_PACKET", "AF_NETLINK", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH", "AF_CAN"):
        try:
            with socket.socket(getattr(socket, name, -1), socket.SOCK_RAW):
                print("OUT has a socket of", name)
        except OSError:
            continue
