"""Search for a better recipe within a budget, and compare it with the default one."""
