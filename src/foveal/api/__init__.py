"""The public functions. The command line, notebooks and jobs call these and nothing else.

`import foveal` fetches each from its module when it is first used; heavy parts (torch, the web
server) are imported where they are first needed, so that `foveal predict` starts fast.
"""
