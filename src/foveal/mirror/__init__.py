"""Mirror a local folder to a URL, where it is complete at all times.

What is behind the URL is what its manifest, `foveal.manifest.json`, says: name → sha256, size, and
the object that holds the content. Writing the manifest is the one step by which a new state takes
the place of the old one; until then everything new lies in objects that no manifest names. While a
folder still changes, they are `.parts/SHA256`; once it is final, every file lies under its own
name, where other programs find it.
"""

from foveal.mirror.download import sync_down
from foveal.mirror.state import PARTS, Kept, State, read_state
from foveal.mirror.upload import Upload, sweep, sync_up

__all__ = ["PARTS", "Kept", "State", "Upload", "read_state", "sweep", "sync_down", "sync_up"]
