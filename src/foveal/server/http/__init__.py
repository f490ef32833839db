"""HTTP/1.1 on asyncio: sockets, connections, the bytes of requests."""
