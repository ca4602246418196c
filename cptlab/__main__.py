"""`python -m cptlab` is the `cptlab` command."""

from cptlab.cli import main

if __name__ == "__main__":
    main()
