"""The server of `foveal review`: suspects, their pictures, and decisions."""
