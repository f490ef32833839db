"""`python -m foveal` is the `foveal` command."""

from foveal.cli.main import main

if __name__ == "__main__":
    main()
