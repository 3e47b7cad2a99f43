"""What keeps a page from hurting the server for all: frames are checked before they are parsed, one kernel a reader."""

import asyncio
from collections import defaultdict
from urllib.parse import parse_qs

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

PROTOCOL = "v1.kernel.websocket.jupyter.org"
PARTS = 16              # of a message at most; a page sends five, and perhaps buffers
LARGEST = 1_000_000     # bytes of a frame


def sound(frame) -> bool:
    """Whether a frame is what PROTOCOL says: a count, so many offsets in order, and the parts that they name.

    jupyter_server believes the count, and would build a list of 2^63 offsets.
    """
    if not isinstance(frame, bytes) or not 8 < len(frame) <= LARGEST:
        return False
    count = int.from_bytes(frame[:8], "little")
    if not 6 <= count <= PARTS or len(frame) < 8 * (count + 1):
        return False
    offsets = [int.from_bytes(frame[8 * i:8 * i + 8], "little") for i in range(1, count + 1)]
    return offsets[0] == 8 * (count + 1) and offsets == sorted(offsets) and offsets[-1] == len(frame)


class Line(VoilaKernelWebsocketHandler):
    """A page's websocket: of PROTOCOL alone, for the older one believes its counts too, and of sound frames alone."""

    async def get(self, kernel_id):
        if PROTOCOL not in self.request.headers.get("Sec-WebSocket-Protocol", ""):
            self.set_status(400)
            return self.finish("this protocol is not spoken here")
        return await super().get(kernel_id)

    def on_message(self, ws_message):
        if sound(ws_message):
            return super().on_message(ws_message)
        self.log.warning("a malformed frame was refused, and its page's line closed")
        self.close(1003, "malformed")


class OnePerReader(AsyncMappingKernelManager):
    """One kernel a reader: a page that is opened ends the kernel of the page before, whose answers are on the disk."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self._of: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start_kernel(self, **settings):
        code = parse_qs((settings.get("env") or {}).get("QUERY_STRING", "")).get("r", [""])[0]
        async with self._locks[code]:       # two at once wait for each other
            if self._of.get(code) in self:
                await self.shutdown_kernel(self._of[code], now=True)
            self._of[code] = await super().start_kernel(**settings)
        return self._of[code]
