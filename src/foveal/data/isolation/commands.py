"""Commands of the server to the process that starts decoders."""

import struct
from typing import Final

COMMAND: Final = struct.Struct("<BI")
"""Kind and number of the decoder. With START come its socket and its memory."""
START, KILL = 1, 2
