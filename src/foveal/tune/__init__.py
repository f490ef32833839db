"""Look for a better recipe within a budget, and prove it against the default one."""
