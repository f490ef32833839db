"""Core ML: a package for Apple's devices, an application around it, and a proof without a Mac."""
