"""Core ML: packages for Apple devices, an app, and verification without a Mac."""
