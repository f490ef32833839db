"""The protocols that a server speaks: foveal's own and those of other servers."""
