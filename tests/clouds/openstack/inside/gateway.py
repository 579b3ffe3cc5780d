"""``gateway.py FOLDER``: one port for all services; the first part of a path names the service's socket.

Binds a free port of the loopback, prints it, and passes bytes. Only the head of a request is read, and each
connection serves one request: so that nothing has to be known about how bodies are framed.
"""

import asyncio
import sys
from pathlib import Path

run = Path(sys.argv[1])
serving = set()  # asyncio itself holds tasks but weakly


async def pipe(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def serve(reader, writer):
    serving.add(asyncio.current_task())
    back = None
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        service = first.split(b" ")[1].lstrip(b"/").split(b"/")[0].split(b"?")[0].decode()
        lines = [line for line in rest.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        from_service, back = await asyncio.open_unix_connection(run / f"{service}.sock")
        back.write(b"\r\n".join([first, b"Connection: close", *lines]))
        sending = asyncio.create_task(pipe(reader, back))
        await pipe(from_service, writer)
        sending.cancel()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
        pass  # hanging up is how a gateway says that there is nobody
    finally:
        serving.discard(asyncio.current_task())
        for each in (writer, back):
            if each is not None:
                each.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
