"""API keys, the key file, and the audit log."""

from foveal.access.audit import append_audit, audit_path, check_audit
from foveal.access.key import SCOPES, Key, Rate
from foveal.access.keyfile import KeyFile, default_keys_file, existing_keys_file

__all__ = [
    "SCOPES",
    "Key",
    "KeyFile",
    "Rate",
    "append_audit",
    "audit_path",
    "check_audit",
    "default_keys_file",
    "existing_keys_file",
]
