"""The models of a server, and how they follow the stores."""
